"""A reminder that is said in another one's call to its number: what becomes of it."""

from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from reminderd.core.intake import expiry
from reminderd.core.lifecycle.again import rests_on_look_ups, taken_up_again
from reminderd.core.lifecycle.check import RING_BY_HAND
from reminderd.core.lifecycle.company import Leading, counts
from reminderd.core.lifecycle.report import VOICEMAIL, not_reached
from reminderd.core.lifecycle.step import Level, Note, Step, Surroundings, at_rest, ended
from reminderd.core.reminder import (
    OPTED_OUT,
    TERMINAL,
    Call,
    Reminder,
    Status,
    newest_call,
    open_call,
)
from reminderd.core.rules import Rules

NOT_PLACED_RECHECK: Final = timedelta(minutes=1)
"""How often a reminder looks whether the call that is to say it can be placed now."""

TOO_LATE: Final = "too late: the call that was to say it was not answered in time"


def is_followed(reminder: Reminder, calls: tuple[Call, ...]) -> bool:
    """Whether a shared call decides about this reminder, and no call of its own that came after it."""
    newest = newest_call(calls)
    return reminder.said_with is not None and (newest is None or newest.status in TERMINAL)


def follow(reminder: Reminder, calls: tuple[Call, ...], *, around: Surroundings, rules: Rules, now: datetime) -> Step:
    """What becomes of a reminder that rides along when it is looked at, while its call was not heard.

    Args:
        reminder: one that `is_followed`.
        calls: all its own calls.
        around: in it the call that says it, which another program may have deleted.
        rules: the clinic's.
        now: the time of the transaction.
    """
    leading = around.leading
    if reminder.status.final:
        return Step(reminder=at_rest(reminder, calls), calls=calls)
    if leading is None:
        return given_up(reminder, calls, RING_BY_HAND)
    if leading.call.open:
        return _waits(reminder, calls, now + rules.outcome_timeout)
    step = _unheard(reminder, calls, leading, around, rules, now)
    return step if step.reminder.status.final or not around.opted_out else stopped(reminder, calls)


def said_along(reminder: Reminder, calls: tuple[Call, ...], leading: Leading, rules: Rules, now: datetime) -> Step:
    """The patient has heard it, whatever it had come to; a call of its own that is open by now is followed."""
    later = evolve(reminder, wake_at=now + rules.outcome_timeout)
    called = ended(later, calls, Status.CALLED, None)
    note = Note(f"called: said in the call of reminder {leading.reminder.id}")
    return Step(reminder=called, calls=calls, notes=(note,))


def _unheard(
    reminder: Reminder, calls: tuple[Call, ...], leading: Leading, around: Surroundings, rules: Rules, now: datetime
) -> Step:
    """The call is not open, and nobody has heard it; it may still be taken up again."""
    call = leading.call
    again = _taken_up_from(leading)
    if again is not None and (around.paused or again < expiry(reminder, rules)):
        return _waits(reminder, calls, now + NOT_PLACED_RECHECK)
    if rests_on_look_ups(call):
        return given_up(reminder, calls, RING_BY_HAND)
    if call.status in {"not-placed", "refused"}:
        unused = evolve(reminder, attempts=max(reminder.attempts - counts(reminder, call.created_at), 0))
        if again is None:
            return _alone(unused, calls, f"scheduled again: the call that was to say it is {call.status}", now)
        if now >= expiry(reminder, rules):
            return given_up(evolve(unused, said_with=None), calls, TOO_LATE, Status.EXPIRED)
        why = "scheduled again: the call that was to say it would come too late"
        return _alone(evolve(unused, said_with=None), calls, why, now)
    if call.status not in TERMINAL:
        return given_up(reminder, calls, call.error or RING_BY_HAND)
    return _rung_in_vain(reminder, calls, call, rules, now)


def _taken_up_from(leading: Leading) -> datetime | None:
    """When a call that was not placed is to be taken up again by its own reminder; None if it never is."""
    leader = leading.reminder
    waits = leader.status is Status.SCHEDULED or (
        leader.status is Status.PROCESSING and open_call(leading.calls) is None  # to be scheduled at its next look
    )
    return leader.wake_at if waits and taken_up_again(leader, leading.calls) == leading.call else None


def _rung_in_vain(reminder: Reminder, calls: tuple[Call, ...], call: Call, rules: Rules, now: datetime) -> Step:
    free = evolve(reminder, said_with=None)
    if now < reminder.scheduled_at and not counts(reminder, call.created_at):
        return _alone(free, calls, f"{call.status} before its own time, to be rung then", now, Level.INFO)
    word = VOICEMAIL if call.status == "completed" else call.status
    after = not_reached(free, calls, call, word, rules, now)
    if after.status is Status.FAILED:
        return Step(reminder=after, calls=calls, notes=(Note(f"failed: {after.last_error}", Level.ERROR),))
    return Step(reminder=after, calls=calls, notes=(Note(f"{after.hold_reason}: {after.wake_at:%Y-%m-%d %H:%M %Z}"),))


def _waits(reminder: Reminder, calls: tuple[Call, ...], until: datetime) -> Step:
    return Step(reminder=evolve(reminder, lease_token=None, wake_at=until), calls=calls)


def _alone(reminder: Reminder, calls: tuple[Call, ...], why: str, now: datetime, level: Level = Level.WARNING) -> Step:
    """It is to be rung by a call of its own, not before its own time."""
    due = max(now, reminder.scheduled_at)
    again = evolve(reminder, status=Status.SCHEDULED, wake_at=due, lease_token=None, hold_reason=None)
    return Step(reminder=again, calls=calls, notes=(Note(why, level),))


def stopped(reminder: Reminder, calls: tuple[Call, ...]) -> Step:
    """Its number has opted out: it is not said, nor rung."""
    gone = ended(evolve(reminder, said_with=None), calls, Status.CANCELLED, OPTED_OUT)
    return Step(reminder=gone, calls=calls, notes=(Note(f"cancelled: {OPTED_OUT}"),))


def given_up(reminder: Reminder, calls: tuple[Call, ...], reason: str, status: Status = Status.FAILED) -> Step:
    """It has failed for this reason, or expired."""
    note = Note(f"{status}: {reason}", Level.ERROR)
    expired = status is Status.EXPIRED
    return Step(reminder=ended(reminder, calls, status, reason), calls=calls, notes=(note,), expired=expired)
