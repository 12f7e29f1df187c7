"""What a reminder is after the database was put back to an earlier state: nobody is rung for it by guess."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from reminderd.core.lifecycle.step import Level, Note, Step, ended
from reminderd.core.lifecycle.wake import HELD_BY_THE_CLINIC
from reminderd.core.reminder import Call, Reminder, Status, newest_call

MAYBE_RUNG: Final = "may have been rung after the backup that was restored: ring by hand"
"""Why a reminder has failed of which the restored database can't know what became of it."""


def restored(
    reminder: Reminder,
    calls: tuple[Call, ...],
    now: datetime,
    *,
    beside: Iterable[Reminder] = (),
    group_within: timedelta = timedelta(0),
) -> Step | None:
    """The reminder as `failed` if it may have been rung since the backup was made; None: it was not touched since.

    That is one that was due by `now`; one that waited for calling hours or limits, which may have been changed since;
    one that may have been said in another one's call; and one with a call that was open in the backup: it has ended
    since, and others may have followed. Such a call is closed as `unreported`; a report of it that still comes counts
    as ever.

    Args:
        reminder: as the backup has it.
        calls: all its calls.
        now: the time of the restore.
        beside: the other reminders for its number in the backup.
        group_within: how far apart reminders may lie that are said in one call; 0: each has a call of its own.
    """
    if not (_may_have_been_rung(reminder, now) or _may_have_been_said(reminder, now, beside, group_within)):
        return None
    closed = tuple(evolve(call, status="unreported", error=MAYBE_RUNG) if call.open else call for call in calls)
    return Step(
        reminder=ended(reminder, closed, Status.FAILED, MAYBE_RUNG),
        calls=closed,
        call=newest_call(closed),
        notes=(Note(f"failed: {MAYBE_RUNG}", Level.ERROR),),
    )


def _may_have_been_rung(reminder: Reminder, now: datetime) -> bool:
    if reminder.status in {Status.DIALING, Status.PROCESSING}:
        return True
    if reminder.status is not Status.SCHEDULED or reminder.wake_at is None:
        return False
    return reminder.wake_at <= now or reminder.hold_reason in HELD_BY_THE_CLINIC


def _may_have_been_said(reminder: Reminder, now: datetime, beside: Iterable[Reminder], group_within: timedelta) -> bool:
    if reminder.status is not Status.SCHEDULED or not group_within:
        return False
    leaders = (other for other in beside if _may_have_been_rung(other, now))
    return any(abs(reminder.scheduled_at - leader.scheduled_at) <= group_within for leader in leaders)
