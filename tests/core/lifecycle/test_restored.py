from functools import partial

import pytest
from attrs import evolve

from reminderd.core.lifecycle import HELD_BY_THE_CLINIC, MAYBE_RUNG, Level, restored
from reminderd.core.reminder import Call, Reminder, Status
from tests.support.nouns import HOUR, MINUTE, NOW, TOKEN, a_call, a_reminder, a_report, told


def test_one_that_was_due_has_failed_for_staff_to_see_to() -> None:
    step = restored(a_reminder(wake_at=NOW, hold_reason="outside the calling hours"), (), NOW)
    assert step is not None
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, MAYBE_RUNG)
    assert (step.reminder.wake_at, step.reminder.hold_reason) == (None, None)
    assert [note.level for note in step.notes] == [Level.ERROR]


@pytest.mark.parametrize("reason", HELD_BY_THE_CLINIC)
def test_one_that_waited_for_hours_or_limits_has_failed_too_as_these_may_have_been_changed_since(reason: str) -> None:
    step = restored(a_reminder(wake_at=NOW + HOUR, hold_reason=reason), (), NOW)
    assert step is not None
    assert step.reminder.status is Status.FAILED


def test_one_that_may_have_been_said_in_another_ones_call_has_failed_too() -> None:
    later = a_reminder(scheduled_at=NOW + HOUR, wake_at=NOW + HOUR)
    due = a_reminder(id="reminder-2")
    held = partial(restored, later, (), NOW)
    assert held(beside=[due], group_within=HOUR) is not None
    assert held(beside=[due], group_within=HOUR - MINUTE) is None
    assert held(beside=[due]) is None
    assert held(beside=[evolve(due, wake_at=NOW + MINUTE)], group_within=HOUR) is None


@pytest.mark.parametrize("status", [Status.DIALING, Status.PROCESSING])
@pytest.mark.parametrize("call", ["dialing", "unconfirmed", "ringing"])
def test_one_with_an_open_call_has_failed_whenever_it_was_to_be_woken(status: Status, call: str) -> None:
    reminder = a_reminder(status, lease_token=TOKEN, wake_at=NOW + MINUTE)
    step = restored(reminder, (a_call(call),), NOW)
    assert step is not None
    assert (step.reminder.status, step.reminder.lease_token, step.reminder.wake_at) == (Status.FAILED, None, None)
    assert [(each.status, each.error) for each in step.calls] == [("unreported", MAYBE_RUNG)]


def test_closed_calls_stay_as_they_are() -> None:
    busy = a_call("busy", id="call-0", attempt=1)
    step = restored(a_reminder(attempts=1), (busy,), NOW)
    assert step is not None
    assert step.calls == (busy,)


@pytest.mark.parametrize(
    ("reminder", "calls"),
    [
        (a_reminder(wake_at=NOW + MINUTE), ()),
        (a_reminder(wake_at=NOW + MINUTE, hold_reason="busy, to be rung again"), (a_call("busy"),)),
        (a_reminder(Status.CALLED), (a_call("completed"),)),
        (a_reminder(Status.CANCELLED, wake_at=NOW), (a_call("ringing"),)),
    ],
)
def test_what_cannot_have_been_rung_since_stays_as_it_is(reminder: Reminder, calls: tuple[Call, ...]) -> None:
    assert restored(reminder, calls, NOW) is None


def test_a_report_that_still_comes_tells_the_truth() -> None:
    step = restored(a_reminder(Status.PROCESSING), (a_call("ringing", external_call_id="e1"),), NOW)
    assert step is not None
    after = told(step.reminder, *step.calls, report=a_report("completed"))
    assert after.reminder.status is Status.CALLED
