import unicodedata
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.model import MESSAGE_LIMIT
from reminderd.core.phone import ANY_NUMBER, Numbering, patient_number
from reminderd.core.requests import (
    Reading,
    ReminderRequest,
    RequestText,
    content_mistakes,
    expiry,
    normal_name,
    note_mistake,
    read_request,
    source_mistake,
    warnings_of,
    why_never_callable,
    why_out_of_hours,
    why_too_late,
    zone_of,
)
from reminderd.core.schedule.calling_hours import CallingHours
from tests.support.builders import HOUR, NO_HOURS, NOW, RULES, a_reminder, hours

BERLIN = evolve(RULES, calling_hours=CallingHours(ZoneInfo("Europe/Berlin")))


@pytest.mark.parametrize("phone_number", ["+4930123456", " +49 30 123-456 "])
@pytest.mark.parametrize("message", ["Hello", "x" * MESSAGE_LIMIT, "Grüße \N{WAVING HAND SIGN}\nuntil tomorrow"])
@pytest.mark.parametrize(("timezone", "language"), [(None, None), ("Europe/Berlin", "pt-BR")])
def test_a_valid_request_has_no_errors(
    phone_number: str, message: str, timezone: str | None, language: str | None
) -> None:
    found = content_mistakes(
        phone_number=phone_number, message=message, timezone=timezone, language=language, numbering=ANY_NUMBER
    )
    assert found == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"phone_number": "030 123456"}, "phone_number: without country code"),
        ({"message": ""}, "message: empty"),
        ({"message": " \n\t"}, "message: empty"),
        ({"message": "x" * (MESSAGE_LIMIT + 1)}, "message: 4001 characters; expected at most 4000"),
        ({"message": "-"}, "message: no letter or digit in it; expected the text to be spoken"),
        ({"message": "\u200b\ufeff"}, "message: no letter or digit in it"),
        ({"message": "a\0b"}, "message: contains NUL or invalid characters"),
        ({"message": "a\ud800b"}, "message: contains NUL or invalid characters"),
        ({"message": "M\N{REPLACEMENT CHARACTER}ller"}, "message: contains NUL or invalid characters"),
        ({"message": f"a{chr(0xDFFF)}b"}, "message: contains NUL or invalid characters"),
        ({"timezone": "Mars/Base"}, "timezone: not a time zone"),
        ({"timezone": ""}, "timezone: not a time zone"),
        ({"language": "Spanish"}, "language: not a language tag; expected a language tag (BCP 47)"),
        ({"language": "und"}, "language: not a known language"),
    ],
    ids=[
        "no number",
        "empty",
        "blank",
        "too long",
        "only a dash",
        "invisible",
        "NUL",
        "first surrogate",
        "lost letter",
        "last surrogate",
        "no zone",
        "no name",
        "a language's name",
        "no language",
    ],
)
def test_an_error_names_its_field(wrong: dict[str, str], says: str) -> None:
    good = {"phone_number": "+4930123456", "message": "Hello", "timezone": None}
    (found,) = content_mistakes(**(good | wrong), numbering=ANY_NUMBER)  # type: ignore[arg-type] # a table of fields
    assert found.startswith(says)


def test_every_mistake_is_listed_at_once() -> None:
    assert len(content_mistakes(phone_number="", message="", timezone="?", numbering=ANY_NUMBER)) == 3


def test_a_stored_number_must_be_in_international_form() -> None:
    assert why_never_callable(a_reminder(), ANY_NUMBER) is None
    found = why_never_callable(a_reminder(phone_number="+1 202 555 0001"), ANY_NUMBER)
    assert (found or "").startswith("phone_number: not in its international form")


def test_a_stored_number_outside_the_allowed_countries_is_an_error() -> None:
    assert why_never_callable(a_reminder(), Numbering(country="US")) is None
    assert "United States (US)" in (why_never_callable(a_reminder(), Numbering(country="DE")) or "")


def test_the_errors_of_a_stored_row_are_one_line() -> None:
    wrong = why_never_callable(a_reminder(phone_number="12", message=""), ANY_NUMBER)
    assert wrong is not None
    assert wrong.count("; ") == 3  # two mistakes, each with what was expected
    assert "\n" not in wrong


@pytest.mark.parametrize(
    ("own", "zone"),
    [("America/New_York", "America/New_York"), (None, "Europe/Berlin"), ("Mars/Base", "Europe/Berlin")],
    ids=["its own", "none", "unknown"],
)
def test_the_zone_is_the_patients_or_else_the_clinics(own: str | None, zone: str) -> None:
    assert zone_of(a_reminder(timezone=own), BERLIN) == ZoneInfo(zone)


def test_the_limit_is_the_expiry_or_counts_from_the_due_time() -> None:
    assert expiry(a_reminder(scheduled_at=NOW), RULES) == NOW + RULES.max_lateness
    assert expiry(a_reminder(scheduled_at=NOW, expires_at=NOW + HOUR), RULES) == NOW + HOUR


def requested(**changes: Any) -> ReminderRequest | list[str]:
    values: dict[str, Any] = {
        "phone_number": " +49 30 123-456",
        "message": "Hello",
        "scheduled_at": "2027-03-01 16:00",
        "expires_at": None,
        "timezone": None,
        "ref": None,
    }
    reading: dict[str, Any] = {
        "zone": ZoneInfo("Europe/Berlin"),
        "normalize": partial(patient_number, numbering=ANY_NUMBER),
    }
    for name in ("zone", "normalize", "order", "templates"):
        if name in changes:
            reading[name] = changes.pop(name)
    return read_request(RequestText(**(values | changes)), Reading(**reading))


def test_a_request_is_in_its_stored_form() -> None:
    assert requested(expires_at="2027-03-01 16:00", ref="7", timezone="Europe/Paris") == ReminderRequest(
        phone_number="+4930123456",
        message="Hello",
        scheduled_at=datetime(2027, 3, 1, 15, tzinfo=UTC),
        expires_at=datetime(2027, 3, 1, 15, tzinfo=UTC),
        ref="7",
        timezone="Europe/Paris",
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"scheduled_at": "soon"}, "scheduled_at: not a time"),
        ({"expires_at": ""}, "expires_at: not a time"),
        ({"expires_at": "2027-03-01 15:59"}, "expires_at: before the time to call"),
        ({"ref": ""}, "ref: not a name"),
        ({"ref": "x" * 201}, "ref: not a name"),
        ({"ref": "a\nb"}, "ref: not a name"),
        ({"ref": "2.027E+11"}, "ref: rounded by a spreadsheet, its digits are lost; expected the column formatted"),
        ({"ref": "2,02701E+14"}, "ref: rounded by a spreadsheet"),
        ({"ref": "2E+11"}, "ref: rounded by a spreadsheet"),
        ({"ref": "2.03E11"}, "ref: rounded by a spreadsheet"),
        ({"ref": "#N/A"}, "ref: a spreadsheet's error; expected a name"),
        ({"ref": "-"}, "ref: no letter or digit in it; expected a name"),
    ],
)
def test_a_request_that_is_refused_has_a_reason(wrong: dict[str, str], says: str) -> None:
    [found] = requested(**wrong)  # type: ignore[misc] # a list
    assert found.startswith(says)


@pytest.mark.parametrize("ref", ["2E05", "7E12", "1E100-3", "E+11", "21E+11"])
def test_a_code_that_only_resembles_a_rounded_number_is_a_ref(ref: str) -> None:
    request = requested(ref=ref)
    assert isinstance(request, ReminderRequest)
    assert request.ref == ref


def test_all_errors_of_a_request_are_listed_at_once() -> None:
    found = requested(phone_number="", message="", scheduled_at="", expires_at="", timezone="", ref="")
    assert isinstance(found, list)
    assert len(found) == 6


def test_equal_requests_have_equal_ids_and_others_differ() -> None:
    same = {requested().own_id, requested(phone_number="+4930123456", ref="8").own_id}  # type: ignore[union-attr] # good ones
    other = {requested(message="Hi").own_id, requested(scheduled_at="2027-03-01 17:00").own_id}  # type: ignore[union-attr] # good ones
    assert len(same) == 1
    assert len(same | other) == 3


def test_a_request_is_too_late_from_its_limit() -> None:
    wanted = ReminderRequest(phone_number="+4930123456", message="Hello", scheduled_at=NOW, expires_at=NOW + HOUR)
    assert why_too_late(wanted, BERLIN, NOW) is None
    assert why_too_late(wanted, BERLIN, NOW + HOUR) == "too late; it was to be called before 2026-03-02 12:00:00"


def test_a_request_without_remaining_calling_hours_will_expire() -> None:
    wanted = ReminderRequest(phone_number="+4930123456", message="Hello", scheduled_at=NOW, expires_at=NOW + HOUR)
    assert why_out_of_hours(wanted, evolve(RULES, calling_hours=hours(9 * HOUR, 12 * HOUR))) is None
    said = why_out_of_hours(wanted, evolve(RULES, calling_hours=hours(11 * HOUR, 12 * HOUR)))
    assert said == "the calling hours leave no time to call before 2026-03-02 11:00 UTC, so it will expire"
    assert why_out_of_hours(wanted, evolve(RULES, calling_hours=NO_HOURS)) is not None


@pytest.mark.parametrize(
    ("note", "is_wrong"), [("she comes", False), ("x" * 501, True), ("", True), (" ", True), ("a\nb", True)]
)
def test_a_note_of_staff_is_one_printable_line(note: str, is_wrong: bool) -> None:
    assert (note_mistake(note) is not None) is is_wrong


@pytest.mark.parametrize(
    ("source", "is_wrong"),
    [("", False), ("letter of 3 May", False), ("x" * 200, False), ("x" * 201, True), ("a\nb", True)],
)
def test_the_source_of_an_opt_out_is_one_printable_line_or_nothing(source: str, is_wrong: bool) -> None:
    assert (source_mistake(source) is not None) is is_wrong


FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("A 1", "A 1"),
        ("  A 1 ", "A 1"),
        ("A\u00a01", "A 1"),
        ("A\u202f1\u3000", "A 1"),
        ("A\t1", "A 1"),
        ("Ter\u00admin", "Termin"),
        ("A\u200b1\ufeff", "A1"),
        ("\u202eA1\u202c", "A1"),
        (FAMILY, FAMILY.replace("\u200d", "")),
        ("\u2764\ufe0f", "\u2764"),
        ("Mu\u0308ller", "M\u00fcller"),
        ("M\u00fcller", "M\u00fcller"),
        ("\u212b", "\u00c5"),
        ("", ""),
    ],
)
def test_names_that_look_the_same_are_the_same(written: str, read: str) -> None:
    assert normal_name(written) == read


@given(st.text())
def test_normalizing_a_name_twice_changes_nothing(name: str) -> None:
    assert normal_name(normal_name(name)) == normal_name(name)
    assert normal_name(unicodedata.normalize("NFD", name)) == normal_name(name)


REQUEST = ReminderRequest(phone_number="+12025550147", message="Hello.", scheduled_at=NOW, expires_at=NOW + HOUR)


def test_a_patient_who_will_be_called_causes_no_warning() -> None:
    assert list(warnings_of(REQUEST, RULES, opted_out=False)) == []


def test_an_opt_out_and_missing_calling_hours_both_cause_warnings() -> None:
    out, late = warnings_of(REQUEST, evolve(RULES, calling_hours=NO_HOURS), opted_out=True)
    assert out.startswith("this number has opted out: it will not be called; ")
    assert late.startswith("the calling hours leave no time to call before 2026-03-02 11:00 UTC, so it will expire; ")


def test_the_warning_about_unfilled_placeholders_comes_last() -> None:
    out, unfilled = warnings_of(evolve(REQUEST, message="Dear {name}"), RULES, opted_out=True)
    assert out.startswith("this number has opted out")
    assert unfilled.startswith("message: {name} would be read aloud as it stands")


def test_calling_hours_that_leave_time_cause_no_warning() -> None:
    assert list(warnings_of(REQUEST, evolve(RULES, calling_hours=hours(9 * HOUR, 12 * HOUR)), opted_out=False)) == []
