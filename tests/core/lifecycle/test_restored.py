from datetime import datetime, timedelta

import pytest
from attrs import evolve

from reminderd.core.lifecycle import MAYBE_RUNG, Errand, Level, Surroundings, known, restored
from reminderd.core.reminder import Call, Reminder, Status
from tests.support.nouns import HOUR, MINUTE, NOW, RULES, TOKEN, a_call, a_reminder, a_report, told, woken

ALONE = timedelta(0)
"""No two reminders are said in one call."""


def test_one_that_was_due_has_failed_for_staff_to_see_to() -> None:
    step = restored(a_reminder(wake_at=NOW, hold_reason="outside the calling hours"), (), NOW, group_within=ALONE)
    assert step is not None
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, MAYBE_RUNG)
    assert (step.reminder.wake_at, step.reminder.hold_reason) == (None, None)
    assert [note.level for note in step.notes] == [Level.ERROR]


@pytest.mark.parametrize("status", [Status.DIALING, Status.PROCESSING])
@pytest.mark.parametrize("call", ["dialing", "unconfirmed", "ringing"])
def test_one_with_an_open_call_has_failed_whenever_it_was_to_be_woken(status: Status, call: str) -> None:
    reminder = a_reminder(status, lease_token=TOKEN, wake_at=NOW + MINUTE)
    step = restored(reminder, (a_call(call),), NOW, group_within=ALONE)
    assert step is not None
    assert (step.reminder.status, step.reminder.lease_token, step.reminder.wake_at) == (Status.FAILED, None, None)
    assert [(each.status, each.error) for each in step.calls] == [("unreported", MAYBE_RUNG)]


def test_closed_calls_stay_as_they_are() -> None:
    busy = a_call("busy", id="call-0", attempt=1)
    step = restored(a_reminder(attempts=1), (busy,), NOW, group_within=ALONE)
    assert step is not None
    assert step.calls == (busy,)


@pytest.mark.parametrize(
    ("reminder", "calls"),
    [
        (a_reminder(scheduled_at=NOW + MINUTE, wake_at=NOW + MINUTE), ()),
        (a_reminder(Status.CALLED), (a_call("completed"),)),
        (a_reminder(Status.CANCELLED, wake_at=NOW), (a_call("ringing"),)),
    ],
)
def test_what_cannot_have_been_rung_since_stays_as_it_is(reminder: Reminder, calls: tuple[Call, ...]) -> None:
    assert restored(reminder, calls, NOW, group_within=ALONE) is None


def test_a_report_that_still_comes_tells_the_truth() -> None:
    step = restored(a_reminder(Status.PROCESSING), (a_call("ringing", external_call_id="e1"),), NOW, group_within=ALONE)
    assert step is not None
    after = told(step.reminder, *step.calls, report=a_report("completed"))
    assert after.reminder.status is Status.CALLED


def test_one_whose_wake_was_put_off_has_failed_as_it_may_have_been_brought_forward_since() -> None:
    step = restored(a_reminder(scheduled_at=NOW, wake_at=NOW + 3 * HOUR), (), NOW, group_within=ALONE)
    assert step is not None
    assert step.reminder.status is Status.FAILED


def test_one_that_was_to_be_rung_again_by_now_has_failed_whatever_its_time() -> None:
    step = restored(a_reminder(scheduled_at=NOW + HOUR, wake_at=NOW), (), NOW, group_within=ALONE)
    assert step is not None
    assert step.reminder.status is Status.FAILED


@pytest.mark.parametrize(("after", "fails"), [(HOUR, True), (HOUR + MINUTE, False)])
def test_one_near_enough_to_have_been_said_in_anothers_call_has_failed(after: timedelta, *, fails: bool) -> None:
    later = a_reminder(scheduled_at=NOW + after, wake_at=NOW + after)
    assert (restored(later, (), NOW, group_within=HOUR) is not None) is fails


@pytest.mark.parametrize(
    ("scheduled_at", "group_within", "status"),
    [
        (NOW - HOUR, ALONE, Status.FAILED),
        (NOW, ALONE, Status.FAILED),
        (NOW + MINUTE, ALONE, Status.DIALING),
        (NOW + MINUTE, MINUTE, Status.FAILED),
        (NOW + 2 * MINUTE, MINUTE, Status.DIALING),
    ],
)
def test_one_that_comes_again_after_a_restore_is_rung_only_if_it_was_not_due_before(
    scheduled_at: datetime, group_within: timedelta, status: Status
) -> None:
    again = a_reminder(scheduled_at=scheduled_at)
    rules = evolve(RULES, group_within=group_within)
    step = woken(again, around=Surroundings(restored_at=NOW), rules=rules, now=NOW + 2 * MINUTE)
    assert step.reminder.status is status
    assert step.reminder.last_error == (MAYBE_RUNG if status is Status.FAILED else None)


def test_a_call_made_since_the_restore_ends_the_doubt() -> None:
    busy = a_call("busy")
    step = woken(a_reminder(attempts=1), busy, around=Surroundings(restored_at=NOW), now=NOW + MINUTE)
    assert step.errand is Errand.DIAL


def test_a_report_of_a_call_that_the_backup_has_forgotten_is_kept_and_counts() -> None:
    step = restored(a_reminder(), (), NOW, group_within=ALONE)
    assert step is not None
    after = told(step.reminder, report=a_report("completed", attempt_id="forgotten"))
    assert (after.reminder.status, after.reminder.last_error) == (Status.CALLED, None)
    assert [(call.id, call.attempt, call.status) for call in after.calls] == [("call-kept", None, "completed")]


def test_another_end_of_a_forgotten_call_is_kept_and_leaves_the_doubt_to_staff() -> None:
    step = restored(a_reminder(), (), NOW, group_within=ALONE)
    assert step is not None
    after = told(step.reminder, report=a_report("busy", attempt_id="forgotten"))
    assert (after.reminder.status, after.reminder.last_error) == (Status.FAILED, MAYBE_RUNG)
    assert [call.status for call in after.calls] == ["busy"]


@pytest.mark.parametrize(
    ("reminder", "status"),
    [
        (a_reminder(), Status.FAILED),
        (a_reminder(scheduled_at=NOW + MINUTE), Status.SCHEDULED),
        (a_reminder(Status.CANCELLED), Status.CANCELLED),
    ],
)
def test_a_report_finds_one_that_came_again_as_a_claim_would(reminder: Reminder, status: Status) -> None:
    assert known(reminder, (), NOW, ALONE).status is status
