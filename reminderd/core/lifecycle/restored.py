"""What a reminder is after the database was put back to an earlier state: nobody is rung for it by guess."""

from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from reminderd.core.lifecycle.step import Level, Note, Step, ended
from reminderd.core.reminder import Call, Reminder, Status, newest_call

MAYBE_RUNG: Final = "may have been rung after the backup that was restored: ring by hand"
"""Why a reminder has failed of which the restored database can't know what became of it."""


def may_have_been_rung(
    reminder: Reminder, calls: tuple[Call, ...], restored_at: datetime | None, group_within: timedelta
) -> bool:
    """Whether a reminder without a call may have been rung before a restore that has forgotten it.

    That is one that was due by then, or near enough to have been said in a call to its number that was.

    Args:
        reminder: one that staff have not had rung again since.
        calls: all its calls; one that the daemon made since the restore ends the doubt.
        restored_at: the time of the last restore; None: there was none.
        group_within: how far apart reminders may lie that are said in one call.
    """
    return (
        restored_at is not None and newest_call(calls) is None and reminder.scheduled_at <= restored_at + group_within
    )


def known(
    reminder: Reminder, calls: tuple[Call, ...], restored_at: datetime | None, group_within: timedelta
) -> Reminder:
    """The reminder as it is when a report of it comes: `failed` already if a claim would find it to be so.

    For the arguments see `may_have_been_rung`.
    """
    if reminder.status is Status.SCHEDULED and may_have_been_rung(reminder, calls, restored_at, group_within):
        return ended(reminder, calls, Status.FAILED, MAYBE_RUNG)
    return reminder


def restored(reminder: Reminder, calls: tuple[Call, ...], now: datetime, *, group_within: timedelta) -> Step | None:
    """The reminder as `failed` if it may have been rung since the backup was made; None: it was not touched since.

    That is one whose time had come by `now`, or that was to be woken by then; one near enough to have been said in
    another's call; and one with a call that was open in the backup: it has ended since, and others may have followed.
    Such a call is closed as `unreported`; a report of it that still comes counts as ever.

    Args:
        reminder: as the backup has it.
        calls: all its calls.
        now: the time of the restore.
        group_within: how far apart reminders may lie that are said in one call.
    """
    under_way = reminder.status in {Status.DIALING, Status.PROCESSING}
    # A `wake_at` that is still to come proves nothing: changed hours may have brought it forward since.
    was_due = reminder.scheduled_at <= now + group_within or (reminder.wake_at is not None and reminder.wake_at <= now)
    if not (under_way or (reminder.status is Status.SCHEDULED and was_due)):
        return None
    closed = tuple(evolve(call, status="unreported", error=MAYBE_RUNG) if call.open else call for call in calls)
    return Step(
        reminder=ended(reminder, closed, Status.FAILED, MAYBE_RUNG),
        calls=closed,
        call=newest_call(closed),
        notes=(Note(f"failed: {MAYBE_RUNG}", Level.ERROR),),
    )
