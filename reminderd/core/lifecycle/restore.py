"""What becomes of reminders and calls when the database is restored to an earlier state."""

from datetime import datetime

from reminderd.core.lifecycle.transition import Ledger, Level, LogLine, Transition, ended
from reminderd.core.model import CallState, Status, evolve
from reminderd.core.reasons import EndCode


def restored(ledger: Ledger, *, restored_at: datetime, now: datetime) -> Transition:
    """Close every call and reminder whose end the backup can't know.

    Calls that were alive in the backup are given up; a sign of life opens them again. Reminders that were in a call,
    or whose time had come by `restored_at`, may have been called since: staff decide.

    Args:
        ledger: all alive calls of the backup, and all reminders that are not final.
        restored_at: the later of the time of the restore and of the last change in the backup.
        now: the time of the restore.
    """
    calls = [
        evolve(call, state=CallState.UNREPORTED, lease_token=None, wake_at=None, error=EndCode.RESTORED.sentence)
        for call in ledger.calls.values()
        if call.state.alive
    ]
    reminders = [
        ended(reminder, Status.FAILED, EndCode.RESTORED, now)
        for reminder in ledger.reminders.values()
        if reminder.status.in_call or (reminder.status is Status.SCHEDULED and reminder.scheduled_at <= restored_at)
    ]
    lines = tuple(LogLine(f"failed: {EndCode.RESTORED.sentence}", Level.ERROR, reminder.id) for reminder in reminders)
    return Transition(ledger=ledger.put(*calls, *reminders), lines=lines)
