"""A clinic's templates for messages, and an appointment's day and hour as people say them."""

from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from babel.localedata import locale_identifiers
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.phone import ANY_NUMBER, patient_number
from reminderd.core.requests import Reading, ReminderRequest, RequestText, read_request, warnings_of
from reminderd.core.script.languages import read_language
from reminderd.core.script.scripts import Script, Scripts
from reminderd.core.script.templates import Message, Templates, Values, spoken_day, spoken_hour, value_error
from tests.support.builders import RULES

BERLIN = ZoneInfo("Europe/Berlin")
TEMPLATES = {"checkup": "{clinic} sees you on {date} at {time}.", "bill": "Please call {clinic}."}
OURS = Templates(
    by_name=TEMPLATES,
    scripts=Scripts(own=Script(clinic="Dr. Brown", language="en-US")),
    zone=BERLIN,
    max_lateness=timedelta(minutes=240),
)
FOUR = datetime(2027, 3, 2, 15, 0, tzinfo=UTC)


def asked(templates: Templates = OURS, /, **changes: str | None) -> ReminderRequest | list[str]:
    fields: dict[str, str | None] = {"template": "checkup", "appointment_at": "2027-03-02 16:00"}
    text = RequestText(phone_number="+4930123456", scheduled_at="2027-03-01 16:00", **(fields | changes))
    reading = Reading(
        zone=ZoneInfo("America/New_York"),  # the patient's
        normalize=partial(patient_number, numbering=ANY_NUMBER),
        templates=templates,
    )
    return read_request(text, reading)


def wanted(templates: Templates = OURS, /, **changes: str | None) -> ReminderRequest:
    found = asked(templates, **changes)
    assert isinstance(found, ReminderRequest)
    return found


@pytest.mark.parametrize(
    ("language", "day", "hour"),
    [
        ("en-US", "Tuesday, March 2", "4:00 PM"),
        ("en-GB", "Tuesday 2 March", "16:00"),
        ("de-DE", "Dienstag, 2. März", "16:00"),
        ("es-MX", "martes, 2 de marzo", "4:00 p.m."),
        ("pt-PT", "terça-feira, 2 de março", "16:00"),
        ("pl-PL", "wtorek, 2 marca", "16:00"),
        ("nl-NL", "dinsdag 2 maart", "16:00"),
        ("it-IT", "martedì 2 marzo", "16:00"),
        ("fr-FR", "mardi 2 mars", "16:00"),
        ("ru", "вторник, 2 марта", "16:00"),
        ("zh-Hans-CN", "3月2日星期二", "16:00"),
        ("de-XX", "Dienstag, 2. März", "16:00"),
        ("xx-YY", "Tuesday, March 2", "4:00 PM"),
    ],
)
def test_a_time_is_written_as_in_the_templates_language(language: str, day: str, hour: str) -> None:
    local = FOUR.astimezone(BERLIN)
    assert (spoken_day(local.date(), language), spoken_hour(local.time(), language)) == (day, hour)


@given(language=st.sampled_from(sorted(locale_identifiers())), days=st.integers(1, 300_000))
def test_every_language_writes_dates_and_times_without_unusual_spaces(language: str, days: int) -> None:
    local = (datetime(1970, 1, 1, 12, tzinfo=UTC) + timedelta(days=days)).astimezone(BERLIN)
    tag = language.replace("_", "-")
    spoken = [spoken_day(local.date(), tag), spoken_hour(local.time(), tag)]
    assert all(text and not {"\u00a0", "\u202f"} & set(text) for text in spoken)


def test_the_message_is_made_when_the_reminder_is_added_in_the_clinics_own_time() -> None:
    assert wanted().message == "Dr. Brown sees you on Tuesday, March 2 at 4:00 PM."
    assert wanted(Templates(by_name=TEMPLATES, zone=BERLIN), template="bill").message == "Please call your clinic."


def test_a_template_that_mentions_no_time_needs_none() -> None:
    assert wanted(template="bill", appointment_at=None).message == "Please call Dr. Brown."


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"template": "surgery"}, "template: unknown; expected one of checkup, bill"),
        ({"appointment_at": None}, "appointment_at: missing; expected the time that the template checkup mentions"),
        ({"appointment_at": "soon"}, "appointment_at: not a time"),
        ({"appointment_at": "2027-03-01 09:00"}, "appointment_at: not after the time to call; expected a later time"),
        ({"message": "Hello."}, "template: together with a message; expected one of the two"),
        ({"template": None}, "message: empty; expected the text to be spoken"),
    ],
)
def test_an_error_is_one_line_that_names_its_field(changes: dict[str, str | None], mistake: str) -> None:
    found = asked(**changes)
    assert isinstance(found, list)
    [line] = found
    assert line.startswith(mistake)


def test_without_templates_the_error_says_so() -> None:
    assert asked(Templates(zone=BERLIN)) == [
        "template: there are no templates in [messages.templates]; expected a message, or a template of this name there"
    ]


def test_a_message_that_a_template_makes_too_long_is_refused() -> None:
    found = asked(Templates(by_name={"checkup": "x" * 4001}, zone=BERLIN))
    assert found == ["message: 4001 characters; expected at most 4000"]


@pytest.mark.parametrize(
    ("appointment", "expires", "limit"),
    [
        ("2027-03-02 16:00", None, None),
        ("2027-03-01T17:00-05:00", None, datetime(2027, 3, 1, 22, 0, tzinfo=UTC)),
        ("2027-03-01T17:00-05:00", "2027-03-01 16:30", datetime(2027, 3, 1, 21, 30, tzinfo=UTC)),
        ("2027-03-01T20:00-05:00", None, None),
    ],
    ids=["the next day", "an hour later", "with a limit of its own", "just as late as may be"],
)
def test_no_reminder_is_called_after_its_appointment(
    appointment: str, expires: str | None, limit: datetime | None
) -> None:
    assert wanted(appointment_at=appointment, expires_at=expires).expires_at == limit


FULL = Templates(
    by_name={"checkup": "{name}, {provider} sees you at {place} on {date} at {time}.", "bill": "Please call {clinic}."},
    by_language={"es-US": {"checkup": "{name}: {date}, {time}, en {clinic}."}, "so": {}},
    scripts=Scripts(
        own=Script(clinic="Dr. Brown's office", language="en-US"),
        by_language={"es-US": Script(clinic="Consultorio Brown", language="es-US"), "so": Script(language="so-SO")},
    ),
    zone=BERLIN,
)
KNOWN: dict[str, str | None] = {"name": "Ana Ruiz", "provider": "Dr. Lee", "place": " Room 4 "}


def test_a_template_speaks_what_is_known_of_the_appointment() -> None:
    said = "Ana Ruiz, Dr. Lee sees you at Room 4 on Tuesday, March 2 at 4:00 PM."
    found = wanted(FULL, **KNOWN)
    assert (found.message, found.language, found.warning) == (said, None, None)
    assert FULL.message("checkup", Values(appointment=FOUR, name="Ana", provider="Lee", place="4"), "en") == Message(
        text="Ana, Lee sees you at 4 on Tuesday, March 2 at 4:00 PM.", language="en"
    )


@pytest.mark.parametrize("language", ["es", "es-MX", "Spanish"])
def test_a_template_uses_the_dates_and_the_clinics_name_of_its_language(
    language: str,
) -> None:
    found = wanted(FULL, language=language, **KNOWN)
    assert found.message == "Ana Ruiz: martes, 2 de marzo, 4:00 p.m., en Consultorio Brown."
    assert (found.language, found.warning) == (read_language(language), None)


@pytest.mark.parametrize(("language", "section"), [("es", "es-US"), ("es-MX", "es-US"), ("so", "so"), ("de", "de")])
def test_a_template_missing_in_a_language_is_spoken_in_the_clinics_with_a_warning(language: str, section: str) -> None:
    found = wanted(FULL, template="bill", language=language, appointment_at=None)
    assert (found.message, found.language) == ("Please call Dr. Brown's office.", None)
    what = f"template: bill is not written in {language}, so the whole call is in en-US"
    expected = f"expected bill in [messages.{section}.templates]"
    assert list(warnings_of(found, RULES, opted_out=False)) == [f"{what}; {expected}"]


def test_a_message_in_a_language_without_texts_is_kept_with_a_warning() -> None:
    found = wanted(FULL, template=None, appointment_at=None, message="Xin chào.", language="vi")
    assert (found.message, found.language) == ("Xin chào.", "vi")
    assert (found.warning or "").startswith("language: there are no texts in vi, so the call is spoken by the voice")
    spanish = wanted(FULL, template=None, appointment_at=None, message="Hola.", language="es")
    assert (spanish.language, spanish.warning) == ("es", None)


@pytest.mark.parametrize(
    ("changes", "mistakes"),
    [
        ({"name": None}, ["name: missing; expected the name that the template checkup mentions"]),
        (
            {"appointment_at": None, "provider": None, "place": None},
            [
                "appointment_at: missing; expected the time that the template checkup mentions",
                "provider: missing; expected the provider that the template checkup mentions",
                "place: missing; expected the place that the template checkup mentions",
            ],
        ),
        ({"name": " "}, ["name: empty; expected text to be spoken"]),
        ({"name": "-"}, ["name: no letter or digit in it; expected text to be spoken"]),
        ({"name": "x" * 101}, ["name: 101 characters; expected at most 100"]),
        (
            {"place": "Room\n4"},
            ["place: contains a line break or another control character; expected text on one line"],
        ),
        (
            {"name": "{name}"},
            ["name: contains a brace, a placeholder or markup; expected text as it is to be spoken"],
        ),
        (
            {"name": "[NameF]"},
            ["name: contains a brace, a placeholder or markup; expected text as it is to be spoken"],
        ),
        ({"language": "xx"}, ['language: not a known language; expected a language tag (BCP 47) like "es" or "pt-BR"']),
    ],
)
def test_what_a_template_needs_is_given_and_can_be_spoken_or_the_request_is_refused(
    changes: dict[str, str | None], mistakes: list[str]
) -> None:
    assert asked(FULL, **(KNOWN | changes)) == mistakes


def test_a_period_is_not_spoken_twice() -> None:
    ends = Templates(by_name={"visit": "{provider}. At {place}, {name}."}, zone=BERLIN)
    said = ends.message("visit", Values(name="John Lee Jr.", provider="Dr. Li", place="St. Mary St."))
    assert said.text == "Dr. Li. At St. Mary St., John Lee Jr."


def test_what_no_template_mentions_is_not_looked_at() -> None:
    assert wanted(FULL, template="bill", name="{", place="").message == "Please call Dr. Brown's office."


def test_braces_in_what_is_filled_in_are_never_filled_again() -> None:
    assert value_error("{date}") is not None
    assert value_error("Zoë O'Brien-Łukasz, 2nd floor (left)") is None
