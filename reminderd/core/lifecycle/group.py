"""A reminder that is said in another one's call to its number: who rides along, and what becomes of it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from reminderd.core.intake import expiry, unfit, zone_of
from reminderd.core.lifecycle.again import rests_on_look_ups, taken_up_again
from reminderd.core.lifecycle.check import RING_BY_HAND
from reminderd.core.lifecycle.company import Leading, rides, together
from reminderd.core.lifecycle.reached import reached
from reminderd.core.lifecycle.report import VOICEMAIL, not_reached
from reminderd.core.lifecycle.step import Level, Note, Step, at_rest, ended
from reminderd.core.reminder import MESSAGE_LIMIT, TERMINAL, Call, Reminder, Response, Status, newest_call
from reminderd.core.rules import Rules

NOT_PLACED_RECHECK: Final = timedelta(minutes=1)
"""How often a reminder looks whether the call that is to say it can be placed now."""

RIDES: Final = "said in another reminder's call"
TOO_LATE: Final = "too late: the call that was to say it could not be placed in time"


def joined(
    leader: Step, beside: Iterable[tuple[Reminder, tuple[Call, ...]]], rules: Rules, now: datetime
) -> list[Step]:
    """The reminders that ride along in the call that `leader` begins, in the order in which they are said after it.

    Args:
        leader: the step that dials a new call.
        beside: other reminders that wait for the same number, with all their calls, by their time.
        rules: the clinic's.
        now: the time of the transaction.
    """
    texts = [leader.reminder.message]
    steps: list[Step] = []
    for other, calls in beside:
        longer = [*texts, other.message]
        if not _can_ride(other, calls, leader.reminder, rules, now) or len(together(longer)) > MESSAGE_LIMIT:
            continue
        texts = longer
        rider = evolve(
            other,
            status=Status.PROCESSING,
            wake_at=now + rules.outcome_timeout,
            lease_token=None,
            hold_reason=RIDES,
            attempts=other.attempts + 1,
            said_with=None if leader.call is None else leader.call.id,
        )
        note = Note(f"processing: said in the call of reminder {leader.reminder.id}")
        steps.append(Step(reminder=rider, calls=calls, notes=(note,)))
    return steps


def parted(riders: Iterable[Reminder]) -> list[Step]:
    """Those that have ended since they joined a call which is about to be placed: it does not say them any more."""
    return [Step(reminder=evolve(rider, said_with=None), calls=()) for rider in riders if not rides(rider)]


def heard(leading: Leading, rules: Rules) -> bool:
    """Whether a call that is over has reached the patient."""
    return not leading.call.open and (reached(leading.call, rules) or leading.has_told)


def is_followed(reminder: Reminder, calls: tuple[Call, ...]) -> bool:
    """Whether a shared call decides about this reminder, and no call of its own that came after it."""
    newest = newest_call(calls)
    return reminder.said_with is not None and (newest is None or newest.status in TERMINAL)


def follow(reminder: Reminder, calls: tuple[Call, ...], leading: Leading | None, rules: Rules, now: datetime) -> Step:
    """What becomes of a reminder that rides along when it is looked at, while its call was not heard.

    Args:
        reminder: one that `is_followed`.
        calls: all its own calls.
        leading: the call that says it; None if another program has deleted it.
        rules: the clinic's.
        now: the time of the transaction.
    """
    if reminder.status.final:
        return Step(reminder=at_rest(reminder, calls), calls=calls)
    if leading is None:
        return _failed(reminder, calls, RING_BY_HAND)
    call = leading.call
    if call.open:
        return _waits(reminder, calls, now + rules.outcome_timeout)
    if leading.reminder.status is Status.SCHEDULED and taken_up_again(leading.reminder, leading.calls) == call:
        if now >= expiry(reminder, rules) and not rests_on_look_ups(call):
            return _failed(reminder, calls, TOO_LATE, Status.EXPIRED)
        return _waits(reminder, calls, now + NOT_PLACED_RECHECK)
    return _not_said(reminder, calls, leading, rules, now)


def said_along(reminder: Reminder, calls: tuple[Call, ...], leading: Leading, rules: Rules, now: datetime) -> Step:
    """The patient has heard it, and what they answered by a key holds for all that was said.

    That is the truth whatever the reminder had come to; a call of its own that is open by now is followed to its end.
    """
    answer = leading.reminder.response
    if reminder.response is not None or answer not in frozenset(Response):
        answer = None
    later = evolve(reminder, wake_at=now + rules.outcome_timeout)
    called = ended(later, calls, Status.CALLED, None)
    told = f"called: said in the call of reminder {leading.reminder.id}"
    if answer is None:
        return Step(reminder=called, calls=calls, notes=(Note(told),))
    level = Level.ERROR if answer == Response.CANCEL_REQUESTED else Level.INFO
    note = Note(f"{told}: {answer.replace('_', ' ')} by key", level)
    return Step(reminder=evolve(called, response=answer), calls=calls, notes=(note,))


def _can_ride(other: Reminder, calls: tuple[Call, ...], leader: Reminder, rules: Rules, now: datetime) -> bool:
    """Whether a waiting reminder may be said in a call that is placed now for another one to its number."""
    if abs(other.scheduled_at - leader.scheduled_at) > rules.group_within or unfit(other) is not None:
        return False
    if other.said_with is not None or any(call.status not in TERMINAL for call in calls):  # all is not known of it
        return False
    is_in_time = now < expiry(other, rules) and rules.window.is_open(now, zone_of(other, rules))
    return is_in_time and other.attempts < rules.max_calls


def _not_said(reminder: Reminder, calls: tuple[Call, ...], leading: Leading, rules: Rules, now: datetime) -> Step:
    """The call is over for the reminder that it was placed for, and nobody has heard it."""
    call = leading.call
    if rests_on_look_ups(call):
        return _failed(reminder, calls, RING_BY_HAND)
    if call.status in {"not-placed", "refused"}:
        unused = evolve(reminder, attempts=max(reminder.attempts - 1, 0))
        return _alone(unused, calls, f"scheduled again: the call that was to say it is {call.status}", now)
    if call.status not in TERMINAL:
        rings_again = leading.reminder.status is Status.SCHEDULED and reminder.attempts < rules.max_calls
        if rings_again:
            return _alone(reminder, calls, "unconfirmed: rings once more, as configured; the phone may have rung", now)
        return _failed(reminder, calls, call.error or RING_BY_HAND)
    word = VOICEMAIL if call.status == "completed" else call.status
    after = evolve(not_reached(reminder, calls, call, word, rules, now), said_with=None)
    if after.status is Status.FAILED:
        return Step(reminder=after, calls=calls, notes=(Note(f"failed: {after.last_error}", Level.ERROR),))
    return Step(reminder=after, calls=calls, notes=(Note(f"{after.hold_reason}: {after.wake_at:%Y-%m-%d %H:%M %Z}"),))


def _waits(reminder: Reminder, calls: tuple[Call, ...], until: datetime) -> Step:
    return Step(reminder=evolve(reminder, lease_token=None, wake_at=until), calls=calls)


def _alone(reminder: Reminder, calls: tuple[Call, ...], why: str, now: datetime) -> Step:
    """It is to be rung by a call of its own; `said_with` stays, as the other may yet turn out to have been heard."""
    due = max(now, reminder.scheduled_at)
    again = evolve(reminder, status=Status.SCHEDULED, wake_at=due, lease_token=None, hold_reason=None)
    return Step(reminder=again, calls=calls, notes=(Note(why, Level.WARNING),))


def _failed(reminder: Reminder, calls: tuple[Call, ...], reason: str, status: Status = Status.FAILED) -> Step:
    note = Note(f"{status}: {reason}", Level.ERROR)
    return Step(reminder=ended(reminder, calls, status, reason), calls=calls, notes=(note,))
