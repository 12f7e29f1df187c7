import pytest

from reminderd.core.lifecycle.staff import restored
from reminderd.core.lifecycle.transition import Ledger, Level
from reminderd.core.model import CallState, Status
from reminderd.core.reasons import EndCode
from tests.support.builders import HOUR, NOW, SECOND, a_call, a_ledger, a_reminder, a_report, report_settled


def put_back(ledger: Ledger) -> Ledger:
    return restored(ledger, restored_at=NOW, now=NOW + HOUR).ledger


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.DIALING, Status.PROCESSING])
def test_a_restore_fails_reminders_that_may_have_been_called_since_the_backup(status: Status) -> None:
    reminder = put_back(a_ledger(a_reminder(status))).reminders["reminder-1"]
    assert (reminder.status, reminder.end_code, reminder.wake_at) == (Status.FAILED, EndCode.RESTORED, None)


@pytest.mark.parametrize(
    "row",
    [
        a_reminder(scheduled_at=NOW + SECOND),
        a_reminder(Status.CALLED),
        a_reminder(Status.CANCELLED),
        a_reminder(Status.FAILED, end_code=EndCode.NOT_ANSWERED),
    ],
)
def test_a_restore_keeps_reminders_that_cannot_have_been_called_since(row: object) -> None:
    ledger = a_ledger(row)  # type: ignore[arg-type] # a reminder
    assert put_back(ledger) == ledger


@pytest.mark.parametrize("state", list(CallState))
def test_a_restore_gives_up_alive_calls_until_a_sign_of_life(state: CallState) -> None:
    after = put_back(a_ledger(a_reminder(Status.PROCESSING), a_call(state)))
    call = after.calls["call-1"]
    assert call.state is (CallState.UNREPORTED if state.alive else state)
    if state.alive:
        assert (call.wake_at, call.lease_token) == (None, None)
        assert report_settled(after, a_report("ringing")).ledger.calls["call-1"].state is CallState.PLACED
        assert report_settled(after, a_report()).ledger.reminders["reminder-1"].status is Status.CALLED


def test_each_reminder_that_a_restore_fails_is_an_error_in_the_log() -> None:
    [line] = restored(a_ledger(a_reminder()), restored_at=NOW, now=NOW).lines
    assert (line.level, line.reminder_id) == (Level.ERROR, "reminder-1")
