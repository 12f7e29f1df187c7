"""What other systems receive of a change, and how a reader's cursor is checked."""

from typing import Any

import pytest

from reminderd.core.changes import (
    UNDELIVERED_AFTER,
    Backlog,
    Change,
    ChangeKind,
    Cursor,
    CursorError,
    check_cursor,
    read_cursor,
    undelivered_warning,
)
from reminderd.core.model import CallOutcome
from reminderd.core.reasons import EndCode
from reminderd.core.sentences import text_of
from tests.support.builders import NOW

ID = "0123456789abcdef" * 2


def a_change(**columns: Any) -> Change:
    row: dict[str, Any] = {"seq": 7, "event_id": ID, "at": NOW, "kind": ChangeKind.REMINDER, "subject_id": "r1"}
    return Change(**row | {"ref": "a7", "status": "called"} | columns)


def test_an_event_has_the_change_and_the_outcome() -> None:
    change = a_change(response="confirmed", attempts=2, call_outcome=CallOutcome.CONFIRMED, spoken=True)
    assert change.event == {
        "id": ID,
        "at": "2026-03-02T10:00:00.000+00:00",
        "kind": "reminder",
        "reminder_id": "r1",
        "reminder_ref": "a7",
        "appointment_id": None,
        "appointment_ref": None,
        "appointment_at": None,
        "status": "called",
        "outcome": "confirmed",
        "response": "confirmed",
        "end_code": None,
        "attempts": 2,
        "call_outcome": "confirmed",
    }


def test_a_reminder_not_spoken_in_a_call_was_not_heard() -> None:
    assert a_change(call_outcome=CallOutcome.HEARD).event["call_outcome"] == "not_heard"


@pytest.mark.parametrize(
    ("status", "code", "done", "outcome", "shown"),
    [
        ("scheduled", EndCode.NOT_ANSWERED, True, "waiting", None),
        ("called", None, False, "reached", None),
        ("failed", EndCode.NOT_ANSWERED, False, "not reached", "not_answered"),
        ("failed", EndCode.NOT_ANSWERED, True, "done by staff", "not_answered"),
        ("failed", None, False, "not reached", "cancelled_elsewhere"),
        ("cancelled", EndCode.OPTED_OUT, False, "opted out", "opted_out"),
        ("cancelled", EndCode.NOT_ANSWERED, False, "cancelled", "cancelled_elsewhere"),
        ("cancelled", None, False, "cancelled", "cancelled_elsewhere"),
    ],
)
def test_the_reason_in_an_event_is_the_one_in_the_log(
    status: str, code: EndCode | None, done: bool, outcome: str, shown: str | None
) -> None:
    event = a_change(status=status, end_code=code, is_done=done).event
    assert (event["outcome"], event["end_code"]) == (outcome, shown)


@pytest.mark.parametrize(
    ("status", "response", "outcome"),
    [
        ("booked", None, "booked"),
        ("booked", "confirmed", "confirmed"),
        ("booked", "cancel_requested", "wants to cancel"),
        ("booked", "opted_out", "opted out"),
        ("booked", "done_by_staff", "done by staff"),
        ("booked", "a word of another program", "booked"),
        ("cancelled", "confirmed", "cancelled"),
    ],
)
def test_an_appointments_outcome_is_its_patients_response(status: str, response: str | None, outcome: str) -> None:
    change = a_change(kind=ChangeKind.APPOINTMENT, status=status, response=response)
    event = change.event
    assert (event["outcome"], event["end_code"]) == (outcome, None)
    assert [event[name] for name in ("reminder_id", "reminder_ref", "appointment_id", "appointment_ref")] == [
        None,
        None,
        "r1",
        "a7",
    ]


def test_a_cursor_is_read_back_unchanged() -> None:
    for cursor in (Cursor(), a_change().cursor):
        assert read_cursor(str(cursor)) == cursor
    assert str(Cursor()) == "0"


@pytest.mark.parametrize("text", ["", "7", f"0-{ID}", f"7-{ID}0", "-1", f" 7-{ID}", f"{'9' * 30}-{ID}", "\u0667-" + ID])
def test_any_other_text_is_not_a_cursor(text: str) -> None:
    with pytest.raises(ValueError, match="expected the value of next"):
        read_cursor(text)


@pytest.mark.parametrize(
    ("cursor", "found", "oldest"),
    [(Cursor(), None, None), (Cursor(), None, 1), (Cursor(7, ID), ID, 1), (Cursor(7, ID), ID, 7)],
)
def test_nothing_is_missing_after_a_cursor_of_this_database(
    cursor: Cursor, found: str | None, oldest: int | None
) -> None:
    check_cursor(cursor, found=found, oldest=oldest)


@pytest.mark.parametrize(
    ("cursor", "found", "oldest", "why"),
    [
        (Cursor(), None, 2, "no longer kept"),
        (Cursor(7, ID), None, 8, "no longer kept"),
        (Cursor(7, ID), "another", 1, "not of this database"),
        (Cursor(7, ID), None, 1, "not of this database"),
        (Cursor(7, ID), None, None, "not of this database"),
    ],
)
def test_a_cursor_after_which_changes_may_be_missing_is_refused(
    cursor: Cursor, found: str | None, oldest: int | None, why: str
) -> None:
    with pytest.raises(CursorError, match=why):
        check_cursor(cursor, found=found, oldest=oldest)


def test_changes_that_are_not_received_for_long_are_an_error() -> None:
    long_ago = NOW - UNDELIVERED_AFTER - UNDELIVERED_AFTER
    assert undelivered_warning(None, NOW) is None
    assert undelivered_warning(Backlog(waiting=0, oldest=None, error=None), NOW) is None
    assert undelivered_warning(Backlog(waiting=9, oldest=NOW - UNDELIVERED_AFTER, error="HTTP 500"), NOW) is None
    late = [
        undelivered_warning(Backlog(waiting=n, oldest=long_ago, error=why), NOW)
        for n, why in ((1, None), (2, "HTTP 500"))
    ]
    assert [text_of(one, str) for one in late if one is not None] == [
        "1 change was not received by [results].url, the oldest for 60 minutes",
        "2 changes were not received by [results].url, the oldest for 60 minutes: HTTP 500",
    ]
