"""What has happened to a reminder, in order."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from reminderd.core.changes import Change, ChangeKind
from reminderd.core.reasons import EndCode
from reminderd.core.schedule.cadence import cadence_in_words
from reminderd.core.sentences import Sentence, text_of
from reminderd.staff.history import Event, ReminderRecord
from reminderd.store.queries import Bundled
from tests.support.builders import MINUTE, NOW


def a_row(**changes: Any) -> dict[str, Any]:
    usual = {"created_at": NOW, "updated_at": NOW, "status": "scheduled", "last_error": None, "hold_reason": None}
    return usual | {"response": None} | changes


def a_call(number: int, status: str | None, **changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "id": f"call-{number}",
        "adopted": 0,
        "state": "placed",
        "status": status,
        "created_at": NOW,
        "updated_at": NOW,
        "error": None,
    }
    ends = {"received_at": None, "outcome": None, "answered_by": None, "duration_seconds": None}
    return usual | ends | {"sip_response_code": None, "error_code": None} | changes


def history(
    reminder: dict[str, Any], calls: Any, acts: Any, bundled: Any = None, changes: Sequence[Change] = ()
) -> list[Event]:
    return ReminderRecord(
        reminder=reminder, appointment=None, calls=calls, bundled=bundled or {}, acts=acts, changes=changes
    ).events


def lines_of(*args: Any) -> list[str]:
    events = history(*args)
    assert [event.at for event in events] == sorted(event.at for event in events)
    return [
        text_of(event.what, str) + (f" ({text_of(event.detail, str)})" if event.detail is not None else "")
        for event in events
    ]


def a_change(minutes: float, status: str, **changes: Any) -> Change:
    usual: dict[str, Any] = {"seq": 1, "event_id": "e", "kind": ChangeKind.REMINDER, "subject_id": "r1", "ref": None}
    return Change(**(usual | {"at": after(minutes), "status": status} | changes))


def after(minutes: float) -> Any:
    return NOW + timedelta(minutes=minutes)


def test_actions_and_calls_are_listed_in_the_order_of_their_times() -> None:
    acts = [
        {"at": NOW, "act": "add", "actor": "anna", "detail": None},
        {"at": after(9), "act": "confirmed", "actor": "patient", "detail": None},
    ]
    calls = [
        a_call(1, "busy", created_at=after(1), received_at=after(2), outcome="not_answered", sip_response_code=486),
        a_call(
            2,
            "completed",
            created_at=after(8),
            received_at=after(10),
            outcome="confirmed",
            answered_by="human",
            duration_seconds=31,
        ),
    ]
    called = a_row(status="called", response="confirmed", updated_at=after(10))
    assert lines_of(called, calls, acts) == [
        "add by anna",
        "call 1 created",
        "call 1: busy (not answered, SIP 486)",
        "call 2 created",
        "confirmed by patient",
        "call 2: completed (confirmed, answered by human, seconds 31)",
        "called; the patient's answer: confirmed",
    ]


def test_given_up_calls_and_calls_in_progress_are_labeled() -> None:
    calls = [
        a_call(1, "queued", state="unreported", error="its end was never reported", updated_at=after(3)),
        a_call(2, "ringing", created_at=after(4), updated_at=after(5)),
        a_call(3, None, state="unconfirmed", created_at=after(5), updated_at=after(5)),
    ]
    waiting = a_row(status="processing", updated_at=after(5))
    assert lines_of(waiting, calls, []) == [
        "added (by another program, or an import)",
        "call 1 created",
        "call 1: unreported (its end was never reported)",
        "call 2 created",
        "call 2: ringing, not ended yet",
        "call 3 created",
        "call 3: unconfirmed, not ended yet",
        "processing",
    ]


def test_the_last_line_says_why_the_reminder_waits_or_has_ended() -> None:
    held = a_row(hold_reason="outside the calling hours", updated_at=NOW + MINUTE)
    assert lines_of(held, [], [])[-1] == "scheduled (outside the calling hours)"
    failed = a_row(status="failed", last_error="busy, after 3 calls", hold_reason="old", updated_at=NOW + MINUTE)
    calls = [a_call(1, "completed", adopted=1, received_at=NOW)]
    assert lines_of(failed, calls, [])[-1] == "failed (busy, after 3 calls)"


def test_an_adopted_call_is_labeled_as_unknown_to_reminderd() -> None:
    lines = lines_of(a_row(), [a_call(1, "completed", adopted=1, received_at=NOW)], [])
    assert "call 1 reported (a call that reminderd did not know)" in lines


def test_a_bundled_call_names_its_other_reminders() -> None:
    calls = [a_call(1, "completed", created_at=after(1), received_at=after(2)), a_call(2, "ringing")]
    lines = lines_of(a_row(updated_at=after(3)), calls, [], {"call-1": [Bundled("visit-2", "r2"), Bundled("r3", None)]})
    assert "call 1 created (bundled with visit-2, r3)" in lines
    assert "call 2 created" in lines


def test_the_outcome_before_it_was_called_again_is_kept() -> None:
    acts = [
        {"at": NOW, "act": "add", "actor": "anna", "detail": None},
        {"at": after(9), "act": "call-again", "actor": "anna", "detail": None},
    ]
    changes = [a_change(5, "failed", end_code=EndCode.MAX_CALLS), a_change(9, "scheduled")]
    assert lines_of(a_row(updated_at=after(9)), [], acts, {}, changes) == [
        "add by anna",
        "failed (called as often as configured, but not reached)",
        "call-again by anna",
        "scheduled",
    ]


def test_what_another_program_has_written_is_a_line_of_its_own() -> None:
    changes = [a_change(3, "called", response="confirmed"), a_change(4, "scheduled"), a_change(6, "called")]
    assert lines_of(a_row(status="called", updated_at=after(8)), [], [], {}, changes) == [
        "added (by another program, or an import)",
        "called; the patient's answer: confirmed",
        "scheduled",
        "called",
        "called",
    ]


def test_an_answer_by_key_is_no_second_line_where_the_change_records_it_too() -> None:
    acts = [{"at": after(3), "act": "confirmed", "actor": "patient", "detail": None}]
    called = a_row(status="called", response="confirmed", updated_at=after(3))
    changes = [a_change(3, "called", response="confirmed")]
    assert lines_of(called, [], acts, {}, changes) == [
        "added (by another program, or an import)",
        "confirmed by patient",
        "called; the patient's answer: confirmed",
    ]


def test_those_who_only_looked_are_left_out() -> None:
    acts = [
        {"at": NOW, "act": "add", "actor": "anna", "detail": None},
        {"at": after(1), "act": "view", "actor": "bert", "detail": None},
    ]
    assert lines_of(a_row(updated_at=after(2)), [], acts) == ["add by anna", "scheduled"]


def test_a_note_is_shown_as_it_was_written() -> None:
    acts = [{"at": NOW, "act": "done", "actor": "anna", "detail": "100 % sure: 50%s"}]
    assert "done by anna (100 % sure: 50%s)" in lines_of(a_row(), [], acts)


def test_why_a_reminder_was_planned_can_be_read_in_another_language() -> None:
    acts: list[dict[str, Any]] = [{"at": NOW, "act": "add", "actor": "anna", "detail": "3 days before its appointment"}]
    [event, _] = history(a_row(), [], acts)
    assert event.detail == Sentence("%(cadence)s before its appointment", {"cadence": cadence_in_words("3 days")})
    assert lines_of(a_row(), [], acts)[0] == "add by anna (3 days before its appointment)"
