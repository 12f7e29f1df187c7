"""What staff can ask for: to cancel a reminder, and to ring again one that was not reached."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from attrs import evolve

from reminderd.core.intake import unfit, zone_of
from reminderd.core.lifecycle.company import Leading
from reminderd.core.lifecycle.reached import reached
from reminderd.core.lifecycle.step import Note, Step, ended
from reminderd.core.reminder import Call, Reminder, Response, Status, newest_call, open_call
from reminderd.core.rules import Rules

_RESPONSES: Final = frozenset(Response)


class NotAllowedError(Exception):
    """The reminder's state does not allow this; the message says why and, where it helps, until when."""


def cancelled(reminder: Reminder, calls: tuple[Call, ...], reason: str, now: datetime) -> Step:
    """The reminder is not rung any more; a call that is open is still followed to its end.

    Raises:
        NotAllowedError: it is final already.
    """
    if reminder.status.final:
        raise NotAllowedError(f"it is {reminder.status} already")
    after = ended(evolve(reminder, wake_at=now), calls, Status.CANCELLED, reason)
    return Step(reminder=after, calls=calls, call=newest_call(calls), notes=(Note(f"cancelled: {reason}"),))


def called_again(
    reminder: Reminder,
    calls: tuple[Call, ...],
    *,
    opted_out: bool,
    leading: Leading | None = None,
    number_free_from: datetime | None = None,
    rules: Rules,
    now: datetime,
) -> Step:
    """The reminder is scheduled anew with all its calls and a new time limit, counted from when it may ring.

    `leading` is another reminder's call in which it was said, or was to be.
    It may ring when the window is open and the limits leave its number free, from `number_free_from` on; None: now.

    Raises:
        NotAllowedError: it was reached, still waits, has an open call, or may never be rung.
    """
    zone = zone_of(reminder, rules)
    said = calls if leading is None else (*calls, leading.call)
    call = open_call(said)
    if any(reached(other, rules) for other in said):
        raise NotAllowedError("a call was completed: the patient was reached")
    if reminder.response in _RESPONSES:
        raise NotAllowedError(f"the patient was reached, and has answered: {reminder.response}")
    if call is not None:
        until = f"; its end is known by {_spoken(reminder.wake_at, zone)}" if reminder.wake_at else ""
        raise NotAllowedError(f"a call is still open ({call.status}){until}")
    if reminder.status not in {Status.FAILED, Status.EXPIRED, Status.CANCELLED}:
        raise NotAllowedError(f"it is {reminder.status}: only failed, expired or cancelled reminders can be rung again")
    if opted_out:
        raise NotAllowedError("the number has opted out")
    if not (reminder.phone_number or reminder.message):
        raise NotAllowedError("its phone number and message were purged")
    wrong = unfit(reminder)
    due = max(now, reminder.scheduled_at)  # a cancel may be taken back long before its time
    opens = rules.window.next_open(max(due, number_free_from or due), zone)
    if wrong is not None or opens is None:
        raise NotAllowedError(wrong or "the calling hours leave no time to ring")
    limit = opens + rules.max_lateness
    again = evolve(
        reminder,
        status=Status.SCHEDULED,
        wake_at=due,
        attempts=0,
        expires_at=limit if reminder.expires_at is None else max(reminder.expires_at, limit),
        last_error=None,
        lease_token=None,
        said_with=None if leading is None or leading.call.received_at is not None else reminder.said_with,
    )
    return Step(reminder=again, calls=calls, notes=(Note("scheduled again by staff"),))


def _spoken(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"
