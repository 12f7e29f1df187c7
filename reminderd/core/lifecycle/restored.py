"""What a reminder is after the database was put back to an earlier state: nobody is rung for it by guess."""

from datetime import datetime
from typing import Final

from attrs import evolve

from reminderd.core.lifecycle.step import Level, Note, Step, ended
from reminderd.core.reminder import Call, Reminder, Status, newest_call

MAYBE_RUNG: Final = "may have been rung after the backup that was restored: ring by hand"
"""Why a reminder has failed of which the restored database can't know what became of it."""


def restored(reminder: Reminder, calls: tuple[Call, ...], now: datetime) -> Step | None:
    """The reminder as `failed` if it may have been rung since the backup was made; None: it was not touched since.

    That is one that was due by `now`, and one with a call that was open in the backup: it has ended since, and others
    may have followed. Such a call is closed as `unreported`; a report of it that still comes counts as ever.

    Args:
        reminder: as the backup has it.
        calls: all its calls.
        now: the time of the restore.
    """
    under_way = reminder.status in {Status.DIALING, Status.PROCESSING}
    waited = reminder.status is Status.SCHEDULED and reminder.wake_at is not None and reminder.wake_at <= now
    if not (under_way or waited):
        return None
    closed = tuple(evolve(call, status="unreported", error=MAYBE_RUNG) if call.open else call for call in calls)
    return Step(
        reminder=ended(reminder, closed, Status.FAILED, MAYBE_RUNG),
        calls=closed,
        call=newest_call(closed),
        notes=(Note(f"failed: {MAYBE_RUNG}", Level.ERROR),),
    )
