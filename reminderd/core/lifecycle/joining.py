"""Who is said in another reminder's call: those that join it when it begins, and those that are left of them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from attrs import evolve

from reminderd.core.intake import expiry, unfit, zone_of
from reminderd.core.lifecycle.company import Waiting, counts, digest, rides, riding, together
from reminderd.core.lifecycle.group import TOO_LATE, given_up, stopped
from reminderd.core.lifecycle.step import Note, Step, Surroundings, replaced
from reminderd.core.reminder import MESSAGE_LIMIT, TERMINAL, Call, Reminder, Status, open_call
from reminderd.core.rules import Rules

RIDES: Final = "said in another reminder's call"


def with_riders(step: Step, call: Call, again: Call | None, around: Surroundings, rules: Rules, now: datetime) -> Step:
    """The step that dials a call, with those that it says, too: of one taken up again only who is left of them."""
    if again is not None and again.id == call.id:
        riders = riding(around.riders, rules, now)
        others = parted((one for one in around.riders if one.reminder not in riders), rules, now)
        return evolve(step, riders=riders, others=tuple(others))
    if again is None:
        joins, left = _joined(step, around.beside, rules, now), []
    else:
        joins = _moved(around.riders, again, call, rules, now)
        left = parted((one for one in around.riders if not rides(one.reminder, rules, now)), rules, now)
    riders = tuple(rider.reminder for rider in joins)
    call = evolve(call, said_digest=digest(step.reminder, riders))
    return evolve(step, calls=replaced(step.calls, call), call=call, riders=riders, others=(*joins, *left))


def _joined(leader: Step, beside: Iterable[Waiting], rules: Rules, now: datetime) -> list[Step]:
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
            attempts=other.attempts + counts(other, now),
            said_with=None if leader.call is None else leader.call.id,
        )
        note = Note(f"processing: said in the call of reminder {leader.reminder.id}")
        steps.append(Step(reminder=rider, calls=waiting.calls, notes=(note,)))
    return steps


def _moved(riders: Iterable[Waiting], former: Call, call: Call, rules: Rules, now: datetime) -> list[Step]:
    """Those that still ride, in the new call with other words that is made because `former` was never placed."""
    begun = call.created_at
    return [
        Step(
            reminder=evolve(
                one,
                said_with=call.id,
                attempts=one.attempts + counts(one, begun) - counts(one, former.created_at),
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
        return stopped(reminder, calls)
    if waited and now >= expiry(reminder, rules):
        return given_up(reminder, calls, TOO_LATE, Status.EXPIRED)
    return Step(reminder=reminder, calls=calls)


def _can_ride(waiting: Waiting, leader: Reminder, rules: Rules, now: datetime) -> bool:
    """Whether a waiting reminder may be said in a call that is placed now for another one to its number."""
    other = waiting.reminder
    if abs(other.scheduled_at - leader.scheduled_at) > rules.group_within or unfit(other) is not None:
        return False
    if other.said_with is not None or any(call.status not in TERMINAL for call in waiting.calls):
        return False  # all is not known of it
    is_in_time = now < expiry(other, rules) and rules.window.is_open(now, zone_of(other, rules))
    return is_in_time and other.attempts < rules.max_calls
