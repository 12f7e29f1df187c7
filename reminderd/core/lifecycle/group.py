"""A reminder that is said in another one's call to its number: who rides along, and what becomes of it."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from reminderd.core.intake import expiry, unfit, zone_of
from reminderd.core.lifecycle.again import rests_on_look_ups, taken_up_again
from reminderd.core.lifecycle.check import RING_BY_HAND
from reminderd.core.lifecycle.company import Leading, Waiting, rides, together
from reminderd.core.lifecycle.report import VOICEMAIL, not_reached
from reminderd.core.lifecycle.step import Level, Note, Step, Surroundings, at_rest, ended
from reminderd.core.reminder import (
    MESSAGE_LIMIT,
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

RIDES: Final = "said in another reminder's call"
TOO_LATE: Final = "too late: the call that was to say it was not answered in time"


def joined(leader: Step, beside: Iterable[Waiting], rules: Rules, now: datetime) -> list[Step]:
    """The reminders that ride along in the call that `leader` begins, in the order in which they are said after it.

    Args:
        leader: the step that dials a new call.
        beside: other reminders that wait for the same number, by their time.
        rules: the clinic's.
        now: the time of the transaction.
    """
    texts = [leader.reminder.message]
    steps: list[Step] = []
    for waiting in beside:
        other = waiting.reminder
        longer = [*texts, other.message]
        if not _can_ride(waiting, leader.reminder, rules, now) or len(together(longer)) > MESSAGE_LIMIT:
            continue
        texts = longer
        rider = evolve(
            other,
            status=Status.PROCESSING,
            wake_at=now + rules.outcome_timeout,
            lease_token=None,
            hold_reason=RIDES,
            attempts=other.attempts + _counts(other, now),
            said_with=None if leader.call is None else leader.call.id,
        )
        note = Note(f"processing: said in the call of reminder {leader.reminder.id}")
        steps.append(Step(reminder=rider, calls=waiting.calls, notes=(note,)))
    return steps


def moved(riders: Iterable[Waiting], former: Call, call: Call, rules: Rules, now: datetime) -> list[Step]:
    """Those that still ride, in the new call with other words that is made because `former` was never placed."""
    begun = call.created_at
    return [
        Step(
            reminder=evolve(
                one,
                said_with=call.id,
                attempts=one.attempts + _counts(one, begun) - _counts(one, former.created_at),
            ),
            calls=rider.calls,
        )
        for rider in riders
        if rides(one := rider.reminder, rules, now)
    ]


def parted(riders: Iterable[Waiting], rules: Rules, now: datetime, *, opted_out: bool = False) -> list[Step]:
    """Riders that a call does not say: it is theirs no more, and those that have waited for it until now have ended."""
    return [_parted(rider, rules, now, opted_out=opted_out) for rider in riders]


def _parted(rider: Waiting, rules: Rules, now: datetime, *, opted_out: bool) -> Step:
    reminder, calls = evolve(rider.reminder, said_with=None), rider.calls
    waited = reminder.status is Status.PROCESSING and open_call(calls) is None
    if waited and opted_out:
        return _opted_out(reminder, calls)
    if waited and now >= expiry(reminder, rules):
        return _failed(reminder, calls, TOO_LATE, Status.EXPIRED)
    return Step(reminder=reminder, calls=calls)


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
        return _failed(reminder, calls, RING_BY_HAND)
    if leading.call.open:
        return _waits(reminder, calls, now + rules.outcome_timeout)
    step = _unheard(reminder, calls, leading, around, rules, now)
    return step if step.reminder.status.final or not around.opted_out else _opted_out(reminder, calls)


def said_along(reminder: Reminder, calls: tuple[Call, ...], leading: Leading, rules: Rules, now: datetime) -> Step:
    """The patient has heard it, whatever it had come to; a call of its own that is open by now is followed."""
    later = evolve(reminder, wake_at=now + rules.outcome_timeout)
    called = ended(later, calls, Status.CALLED, None)
    note = Note(f"called: said in the call of reminder {leading.reminder.id}")
    return Step(reminder=called, calls=calls, notes=(note,))


def _can_ride(waiting: Waiting, leader: Reminder, rules: Rules, now: datetime) -> bool:
    """Whether a waiting reminder may be said in a call that is placed now for another one to its number."""
    other = waiting.reminder
    if abs(other.scheduled_at - leader.scheduled_at) > rules.group_within or unfit(other) is not None:
        return False
    if other.said_with is not None or any(call.status not in TERMINAL for call in waiting.calls):
        return False  # all is not known of it
    is_in_time = now < expiry(other, rules) and rules.window.is_open(now, zone_of(other, rules))
    return is_in_time and other.attempts < rules.max_calls


def _counts(reminder: Reminder, begun: datetime) -> bool:
    """Whether a shared call that was begun then is one of the reminder's calls: not if that was before its own time."""
    return reminder.scheduled_at <= begun


def _unheard(
    reminder: Reminder, calls: tuple[Call, ...], leading: Leading, around: Surroundings, rules: Rules, now: datetime
) -> Step:
    """The call is not open, and nobody has heard it; it may still be taken up again."""
    call = leading.call
    again = _taken_up_from(leading)
    if again is not None and (around.paused or again < expiry(reminder, rules)):
        return _waits(reminder, calls, now + NOT_PLACED_RECHECK)
    if rests_on_look_ups(call):
        return _failed(reminder, calls, RING_BY_HAND)
    if call.status in {"not-placed", "refused"}:
        unused = evolve(reminder, attempts=max(reminder.attempts - _counts(reminder, call.created_at), 0))
        if again is None:
            return _alone(unused, calls, f"scheduled again: the call that was to say it is {call.status}", now)
        if now >= expiry(reminder, rules):
            return _failed(evolve(unused, said_with=None), calls, TOO_LATE, Status.EXPIRED)
        why = "scheduled again: the call that was to say it would come too late"
        return _alone(evolve(unused, said_with=None), calls, why, now)
    if call.status not in TERMINAL:
        return _failed(reminder, calls, call.error or RING_BY_HAND)
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
    if now < reminder.scheduled_at and not _counts(reminder, call.created_at):
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


def _opted_out(reminder: Reminder, calls: tuple[Call, ...]) -> Step:
    gone = ended(evolve(reminder, said_with=None), calls, Status.CANCELLED, OPTED_OUT)
    return Step(reminder=gone, calls=calls, notes=(Note(f"cancelled: {OPTED_OUT}"),))


def _failed(reminder: Reminder, calls: tuple[Call, ...], reason: str, status: Status = Status.FAILED) -> Step:
    note = Note(f"{status}: {reason}", Level.ERROR)
    expired = status is Status.EXPIRED
    return Step(reminder=ended(reminder, calls, status, reason), calls=calls, notes=(note,), expired=expired)
