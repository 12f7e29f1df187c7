"""How a reminder stands, in plain words, and what a report has of its days."""

import csv
from datetime import date, timedelta
from io import StringIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reminderd.core.outcomes import Figure, Group, Outcome
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.sentences import text_of
from reminderd.databases import Target
from reminderd.staff.standing import COLUMNS, days_of, report_csv, report_of, standing_of
from reminderd.store.any_engine import open_sync
from reminderd.store.rows import to_ms
from tests.support.builders import NOW
from tests.support.rows import insert_row

pytestmark = pytest.mark.also_on_postgres


def a_row(**columns: Any) -> dict[str, Any]:
    names = ("response", "end_code", "hold_code", "done_at", "last_error", "hold_reason", "call_outcome")
    usual: dict[str, Any] = dict.fromkeys(names)
    return usual | {"status": "scheduled"} | columns


@pytest.mark.parametrize(
    ("columns", "outcome", "why"),
    [
        ({}, Outcome.WAITING, None),
        ({"last_error": "busy"}, Outcome.WAITING, "busy"),
        ({"hold_code": "hours", "hold_reason": HoldCode.HOURS.sentence}, Outcome.WAITING, "outside the calling hours"),
        (
            {
                "hold_code": "number_changed",
                "hold_reason": HoldCode.NUMBER_CHANGED.sentence,
                "last_error": "the former one ended in 47",
            },
            Outcome.NUMBER_CHANGED,
            "the former one ended in 47",
        ),
        ({"status": "processing", "last_error": "busy"}, Outcome.UNDER_WAY, None),
        ({"status": "called", "response": "confirmed", "last_error": "busy"}, Outcome.CONFIRMED, None),
        ({"status": "failed", "end_code": "voicemail"}, Outcome.NOT_REACHED, EndCode.VOICEMAIL.sentence),
        (
            {"status": "failed", "end_code": "voicemail", "last_error": EndCode.VOICEMAIL.sentence},
            Outcome.NOT_REACHED,
            EndCode.VOICEMAIL.sentence,
        ),
        (
            {"status": "failed", "end_code": "invalid", "last_error": "phone_number: has an extension"},
            Outcome.NOT_REACHED,
            "this reminder can't be called (phone_number: has an extension)",
        ),
        (
            {"status": "cancelled", "end_code": "cancelled_by_staff", "last_error": "cancelled by anna"},
            Outcome.CANCELLED,
            "cancelled by staff",
        ),
        ({"status": "cancelled", "last_error": "moved"}, Outcome.CANCELLED, "moved"),
        (
            {
                "status": "failed",
                "end_code": "voicemail",
                "last_error": "voicemail, after 2 calls",
                "call_outcome": "voicemail",
            },
            Outcome.NOT_REACHED,
            "answered by voicemail",
        ),
        (
            {
                "hold_code": "redial",
                "hold_reason": HoldCode.REDIAL.sentence,
                "last_error": "outcome unknown; will be called once more, as configured",
            },
            Outcome.WAITING,
            "not reached yet; will be called again (outcome unknown; will be called once more, as configured)",
        ),
        (
            {
                "status": "failed",
                "end_code": "provider_failed",
                "last_error": "the provider reported: failed (error 13224, SIP 404)",
                "call_outcome": "failed",
            },
            Outcome.NOT_REACHED,
            "the provider reported: failed (error 13224, SIP 404)",
        ),
    ],
)
def test_the_reason_is_that_of_its_code_and_what_is_known_beyond_that(
    columns: dict[str, Any], outcome: Outcome, why: str | None
) -> None:
    standing = standing_of(a_row(**columns))
    assert standing.outcome is outcome
    assert (None if standing.why is None else text_of(standing.why, str)) == why
    assert (standing.group is Group.NEEDS_HUMAN) == (outcome in {Outcome.NUMBER_CHANGED, Outcome.NOT_REACHED})


def test_every_outcome_has_words() -> None:
    rows: list[dict[str, Any]] = [
        *({"status": status} for status in ("scheduled", "dialing", "called", "failed", "expired", "cancelled")),
        *({"status": "called", "response": response} for response in ("confirmed", "cancel_requested", "opted_out")),
        {"hold_code": "number_changed"},
        {"status": "failed", "done_at": 1},
    ]
    found = {standing_of(a_row(**row)).outcome for row in rows}
    assert found == set(Outcome)


BERLIN = ZoneInfo("Europe/Berlin")
DAY = timedelta(days=1)


def test_a_day_of_the_clinic_is_counted_by_its_own_clock_even_when_that_is_changed(target: Target) -> None:
    spring = date(2026, 3, 29)  # 23 hours long in Berlin
    with open_sync(target) as connection:
        for name, at in (
            ("late on the 28th", "2026-03-28 23:30+01:00"),
            ("late on the 29th", "2026-03-29 23:30+02:00"),
        ):
            moment = NOW.fromisoformat(at)
            row = {"id": name, "phone_number": "+4930123456", "message": "Hello", "scheduled_at": to_ms(moment)}
            insert_row(connection, "reminders", row)
        found = days_of(connection, first=spring - DAY, last=spring + DAY, zone=BERLIN)
    assert [(day.day, figures[Figure.OPEN]) for day, figures in found] == [(28, 1), (29, 1), (30, 0)]


def test_a_table_for_a_spreadsheet_may_be_made_in_parts(target: Target) -> None:
    with open_sync(target) as connection:
        for name, at in (("=1+1", NOW), ("b", NOW + DAY)):
            row = {"id": name, "phone_number": "+4930123456", "message": "Hello", "scheduled_at": to_ms(at)}
            insert_row(connection, "reminders", row | {"status": "failed", "last_error": "busy"})
        parts = [
            report_csv(report_of(connection, since=at, until=at + DAY, now=NOW).rows, BERLIN, has_header=at == NOW)
            for at in (NOW, NOW + DAY)
        ]
    rows = list(csv.reader(StringIO("".join(parts))))
    assert rows[0] == list(COLUMNS)
    assert [(row[2], row[5], row[-1]) for row in rows[1:]] == [
        ("2026-03-02 11:00", "busy", "'=1+1"),
        ("2026-03-03 11:00", "busy", "b"),
    ]
