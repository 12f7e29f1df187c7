"""Where two rules meet: other programs, clocks, moves and late news against what was decided before."""

from typing import Any

import pytest
from attrs import evolve

from reminderd.core.lifecycle.keypress import Key, key_pressed
from reminderd.core.lifecycle.staff import cancelled
from reminderd.core.lifecycle.transition import ActionKind
from reminderd.core.model import CallOutcome, CallState, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.script.prompts import Question
from tests.support.builders import (
    DAY,
    DROP,
    HOUR,
    KEY,
    MINUTE,
    NOW,
    RULES,
    TOKEN,
    a_call,
    a_ledger,
    a_member,
    a_reminder,
    a_report,
    able,
    an_action,
    call_claimed,
    claimed,
    not_sent_settled,
    report_settled,
)  # fmt: skip

BUSY = a_call(CallState.ENDED, id="call-0", status="busy", outcome=CallOutcome.NOT_ANSWERED, received_at=NOW)
HEARD = evolve(BUSY, status="completed", outcome=CallOutcome.HEARD)


def only(transition: Any) -> Any:
    [reminder] = transition.ledger.reminders.values()
    return reminder


def test_a_cancel_by_another_program_is_not_undone_by_a_clock_that_was_ahead() -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW, end_code=EndCode.TOO_LATE, ended_at=NOW + DAY)
    after = only(claimed(a_ledger(gone)))
    assert (after.status, after.end_code, after.ended_at) == (Status.CANCELLED, EndCode.CANCELLED_ELSEWHERE, NOW)


@pytest.mark.parametrize("code", [EndCode.CANCELLED_BY_STAFF, EndCode.DONE_BY_STAFF, EndCode.OPTED_OUT])
def test_a_cancelled_reminder_keeps_its_reason_when_it_is_checked_again(code: EndCode) -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW, end_code=code, ended_at=NOW - DAY)
    after = only(claimed(a_ledger(gone)))
    assert (after.end_code, after.ended_at) == (code, NOW - DAY)


def test_a_reminder_ended_by_another_program_has_no_hold_and_a_reason() -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW, hold_code=HoldCode.HOURS, retry_at=NOW + HOUR)
    after = only(claimed(a_ledger(gone)))
    assert (after.hold_code, after.retry_at) == (None, None)
    assert after.last_error == "ended by another program"


@pytest.mark.parametrize("status", [Status.CALLED, Status.PROCESSING])
def test_a_reminder_moved_later_and_then_earlier_is_called_at_the_earlier_time(status: Status) -> None:
    was = a_reminder(status, wake_at=NOW)
    later = claimed(a_ledger(evolve(was, scheduled_at=NOW + DAY), BUSY, a_member(BUSY, was)))
    earlier = evolve(only(later), scheduled_at=NOW + MINUTE, wake_at=NOW + MINUTE)
    assert claimed(later.ledger.put(earlier), now=NOW + MINUTE).action is not None


def test_a_reminder_moved_back_to_a_time_it_was_not_heard_for_is_called() -> None:
    back = a_reminder(Status.CALLED, wake_at=NOW)
    heard = evolve(HEARD, id="call-1", seq=2)
    other = a_member(heard, back, scheduled_at=NOW + HOUR, spoken=True)
    transition = claimed(a_ledger(back, BUSY, heard, a_member(BUSY, back), other))
    assert only(transition).status is not Status.CALLED


@pytest.mark.parametrize("scheduled", [True, False])
def test_a_revived_reminder_has_no_end_code(*, scheduled: bool) -> None:
    revived = a_reminder(end_code=EndCode.REFUSED, ended_at=NOW, wake_at=NOW)
    rows = (a_ledger(evolve(revived, scheduled_at=NOW + HOUR))) if scheduled else a_ledger(revived, a_call())
    after = only(claimed(rows))
    assert (after.end_code, after.ended_at) == (None, None)


def test_bundling_or_a_reopened_call_clears_the_end_code() -> None:
    first, revived = a_reminder(), a_reminder(id="reminder-2", end_code=EndCode.REFUSED, ended_at=NOW, wake_at=NOW)
    bundled = claimed(a_ledger(first, revived), rules=evolve(RULES, group_within=MINUTE)).ledger
    given_up = a_call(CallState.UNREPORTED, reminder_id="reminder-2")
    reopened = report_settled(a_ledger(revived, given_up), a_report("ringing", reminder_id="reminder-2")).ledger
    for after, status in ((bundled, Status.DIALING), (reopened, Status.PROCESSING)):
        one = after.reminders["reminder-2"]
        assert (one.status, one.end_code, one.ended_at) == (status, None, None)


@pytest.mark.parametrize("by_key", [True, False])
def test_once_a_message_was_heard_other_ringing_calls_for_it_are_checked(*, by_key: bool) -> None:
    reminder = a_reminder(Status.PROCESSING)
    answered = a_call(CallState.STRAY, external_call_id="ext-1", status="in-progress")
    rings = a_call(CallState.PLACED, id="call-2", seq=2, external_call_id="ext-2", status="ringing")
    leased = a_call(CallState.STRAY, id="call-3", seq=3, lease_token=TOKEN)
    calls = (answered, rings, leased)
    ledger = a_ledger(reminder, *calls, *(a_member(one, reminder, spoken=one is answered) for one in calls))
    if by_key:
        key = Key(digits="1", question=Question.MENU, repeats=0)
        heard = key_pressed(ledger, answered, key, rules=RULES, now=NOW).transition
    else:
        heard = report_settled(ledger, a_report("completed"), rules=able(DROP))
    assert only(heard).status is Status.CALLED
    assert heard.ledger.calls["call-1"].wake_at == (answered.wake_at if by_key else None)
    assert (heard.ledger.calls["call-2"].wake_at, heard.ledger.calls["call-3"]) == (NOW, leased)
    dropped = call_claimed(heard.ledger, "call-2", rules=able(DROP)).action
    assert dropped is not None
    assert dropped.kind is ActionKind.DROP


def test_a_ringing_call_that_another_reminder_needs_continues() -> None:
    heard, other = a_reminder(Status.PROCESSING), a_reminder(Status.PROCESSING, id="reminder-2")
    stray = a_call(CallState.STRAY, external_call_id="ext-1")
    rings = a_call(CallState.PLACED, id="call-2", seq=2)
    members = (a_member(stray, heard), a_member(rings, heard), a_member(rings, other, position=1))
    after = report_settled(a_ledger(heard, other, stray, rings, *members), a_report("completed"))
    assert after.ledger.calls["call-2"] == rings


def test_a_failed_drop_is_not_repeated_at_once() -> None:
    gone = a_reminder(Status.CANCELLED)
    asked = a_call(CallState.PLACED, status="ringing", external_call_id="ext-1", lease_token=TOKEN, checks=1)
    after = report_settled(a_ledger(gone, asked), a_report("ringing"), rules=able(DROP))
    assert after.call is not None
    assert (after.call.wake_at or NOW) > NOW


def test_a_repeated_report_of_an_unknown_call_does_not_keep_its_number_busy() -> None:
    after = report_settled(a_ledger(a_reminder()), a_report("busy", attempt_id=None), receipt_is_new=False)
    assert after.duplicate
    assert not any(call.state.alive for call in after.ledger.calls.values())


def test_all_reports_with_the_same_invalid_id_are_about_one_call() -> None:
    odd = a_report("ringing", attempt_id="no id of ours")
    first = report_settled(a_ledger(a_reminder()), odd)
    last = report_settled(first.ledger, evolve(odd, status="busy"), new_call_id="call-second")
    assert [call.state for call in last.ledger.calls.values()] == [CallState.ENDED]


def test_a_look_up_does_not_make_an_unsent_request_unconfirmed() -> None:
    placed = a_ledger(a_reminder(Status.PROCESSING), a_call(CallState.DIALING))
    action = an_action(placed)
    asking = placed.put(a_call(CallState.UNCONFIRMED, lease_token="another's look-up"))
    after = not_sent_settled(asking, action=action)
    assert after.ledger.calls["call-1"].state is CallState.NOT_PLACED
    assert only(after).status is Status.SCHEDULED


def test_a_reminder_reached_by_a_key_press_has_one_attempt() -> None:
    call = a_call(CallState.PLACED, external_call_id="ext-1", status="in-progress")
    reminder = a_reminder(Status.PROCESSING)
    ledger = a_ledger(reminder, call, a_member(call, reminder, spoken=True))
    key = Key(digits="1", question=Question.MENU, repeats=0)
    pressed = key_pressed(ledger, call, key, rules=RULES, now=NOW)
    over = report_settled(pressed.transition.ledger, a_report("completed"))
    assert (only(over).status, only(over).attempts) == (Status.CALLED, 1)


def test_a_cancel_checks_every_call_that_is_no_longer_needed() -> None:
    stray = a_call(CallState.STRAY, id="call-2", seq=2, external_call_id="ext-2", wake_at=NOW + HOUR)
    placed = a_call(CallState.PLACED, external_call_id="ext-1", wake_at=NOW + HOUR)
    reminder = a_reminder(Status.PROCESSING)
    after = cancelled(a_ledger(reminder, placed, stray), reminder, EndCode.CANCELLED_BY_STAFF, NOW)
    assert {call.wake_at for call in after.ledger.calls.values()} == {NOW}


def test_a_reminder_too_late_because_of_a_backoff_does_not_blame_the_calling_hours() -> None:
    delayed = a_reminder(retry_at=NOW + RULES.max_lateness, hold_code=HoldCode.NOT_PLACED)
    after = only(claimed(a_ledger(delayed, a_call(CallState.NOT_PLACED))))
    assert after.status is Status.EXPIRED
    assert "calling hours" not in (after.last_error or "")


def test_a_call_requested_again_with_its_key_may_be_looked_up_again() -> None:
    again = claimed(a_ledger(a_reminder(), a_call(CallState.NOT_PLACED, checks=9)), rules=able(KEY)).call
    assert again is not None
    assert (again.id, again.checks) == ("call-1", 0)


def test_a_waiting_reminder_that_is_moved_has_no_attempts() -> None:
    moved = a_reminder(scheduled_at=NOW + DAY, attempts=2)
    after = only(claimed(a_ledger(moved, BUSY, a_member(BUSY, evolve(moved, scheduled_at=NOW)))))
    assert after.attempts == 0
