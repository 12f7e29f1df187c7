"""A row's time has come: what a `scheduled` or `dialing` reminder becomes when it is claimed."""

from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from reminderd.core.intake import expiry, unfit, zone_of
from reminderd.core.lifecycle.again import rests_on_look_ups, taken_up_again
from reminderd.core.lifecycle.check import RING_BY_HAND, check, give_up, key_holds, unconfirmed
from reminderd.core.lifecycle.company import riding, says_the_same
from reminderd.core.lifecycle.group import follow, is_followed, said_along
from reminderd.core.lifecycle.joining import with_riders
from reminderd.core.lifecycle.reached import reached
from reminderd.core.lifecycle.restored import MAYBE_RUNG, may_have_been_rung
from reminderd.core.lifecycle.step import OUTSIDE, Errand, Level, Note, Step, Surroundings, at_rest, ended, replaced
from reminderd.core.reminder import OPTED_OUT, Call, Reminder, Status, newest_call, open_call
from reminderd.core.rules import Rules

NUMBER_BUSY_HOLD: Final = timedelta(minutes=1)
"""How long a reminder waits before it looks again whether its number's other call has ended."""


BROKEN: Final = "an error in the program, see the log"
BROKEN_HOLD: Final = timedelta(hours=1)
_PUT_RIGHT: Final = frozenset({Status.SCHEDULED, Status.PROCESSING, Status.FAILED, Status.EXPIRED})
"""Those of which a call that another reminder shares with them may say more."""

LIMITED: Final = "this number was reached as often as the limits allow"

HELD_BY_THE_CLINIC: Final = (OUTSIDE, LIMITED)
"""Reasons to wait that the clinic's own hours and limits give."""


def wake(
    reminder: Reminder,
    calls: tuple[Call, ...],
    *,
    around: Surroundings,
    rules: Rules,
    now: datetime,
    token: str,
    new_call_id: str,
) -> Step:
    """What a claimed row, whose `wake_at` has passed, becomes.

    With an errand the row is leased under `token` until `wake_at`; without one nothing is left to do outside.
    """
    leading = around.leading
    if leading is not None and reminder.status in _PUT_RIGHT and reached(leading.call, rules):
        return said_along(reminder, calls, leading, rules, now)
    if reminder.status is Status.SCHEDULED:
        return _scheduled(reminder, calls, around, rules, now, token, new_call_id)
    if reminder.status is Status.DIALING:
        return _lease_ran_out(reminder, calls, around, rules, now, token)
    if is_followed(reminder, calls):
        return follow(reminder, calls, around=around, rules=rules, now=now)
    return check(reminder, calls, around=around, rules=rules, now=now, token=token)


def put_aside(reminder: Reminder, now: datetime) -> Step:
    """A row that breaks the program: failed if it was to be dialled, and in any case looked at again in an hour."""
    later = evolve(reminder, lease_token=None, wake_at=now + BROKEN_HOLD, hold_reason=BROKEN)
    if reminder.status is Status.SCHEDULED:
        failed = evolve(later, status=Status.FAILED, last_error=BROKEN, hold_reason=None)
        return Step(reminder=failed, calls=(), notes=(Note(f"failed: {BROKEN}", Level.ERROR),))
    return Step(reminder=later, calls=(), notes=(Note(f"put aside for an hour: {BROKEN}", Level.ERROR),))


def _scheduled(
    reminder: Reminder,
    calls: tuple[Call, ...],
    around: Surroundings,
    rules: Rules,
    now: datetime,
    token: str,
    new_call_id: str,
) -> Step:
    ringing = open_call(calls)
    if ringing is not None:  # only another program's SQL does this; the next claim checks it, where there is room
        followed = evolve(reminder, status=Status.PROCESSING, lease_token=None, wake_at=now, hold_reason=None)
        note = Note("processing: one of its calls is still open", Level.WARNING)
        return Step(reminder=followed, calls=calls, call=ringing, notes=(note,))
    verdict = _never(reminder, calls, around, rules, now)
    if verdict is not None:
        status, reason, level = verdict
        return Step(
            reminder=ended(reminder, calls, status, reason),
            calls=calls,
            call=newest_call(calls),
            notes=(Note(f"{status}: {reason}", level),),
            expired=status is Status.EXPIRED,
        )
    hold = _not_yet(reminder, around, rules, now)
    again = taken_up_again(reminder, calls)
    same = again is not None and says_the_same(again, reminder, riding(around.riders, rules, now))
    if (
        again is not None
        and rests_on_look_ups(again)
        and not (same and key_holds(again, rules, now if hold is None else hold[0]))
    ):
        # Finding none proves nothing once the key is too old to keep a second request from ringing, nor can one be
        # sent that says something else.
        return give_up(reminder, calls, unconfirmed(again), rules, now)
    if hold is not None:
        until, reason = hold
        held = evolve(reminder, wake_at=until, hold_reason=reason, lease_token=None)
        note = Note(f"held back until {_spoken(until, reminder, rules)}: {reason}")
        notes = (note,) if reminder.hold_reason != reason else ()
        return Step(reminder=held, calls=calls, notes=notes)
    call = _call_to_dial(reminder, calls, again if same else None, rules, now, new_call_id)
    dialing = evolve(
        reminder,
        status=Status.DIALING,
        wake_at=now + rules.lease,
        lease_token=token,
        hold_reason=None,
        attempts=reminder.attempts + (again is None),
    )
    step = Step(reminder=dialing, calls=replaced(calls, call), call=call, errand=Errand.DIAL, notes=(Note("dialing"),))
    return with_riders(step, call, again, around, rules, now)


def _never(
    reminder: Reminder, calls: tuple[Call, ...], around: Surroundings, rules: Rules, now: datetime
) -> tuple[Status, str, Level] | None:
    """The final state that this reminder comes to instead of a call, or None."""
    wrong = unfit(reminder)
    if wrong is not None:
        return Status.FAILED, wrong, Level.ERROR
    if around.opted_out:
        return Status.CANCELLED, OPTED_OUT, Level.INFO
    if may_have_been_rung(reminder, calls, around.restored_at, rules.group_within):
        return Status.FAILED, MAYBE_RUNG, Level.ERROR
    limit = expiry(reminder, rules)
    opens = _opens(reminder, around, rules, now)
    if now < limit and opens is not None and opens < limit:
        return None
    if any(call.status == "unreported" or rests_on_look_ups(call) for call in calls):
        return Status.FAILED, RING_BY_HAND, Level.ERROR
    if now < limit and around.number_free_from is not None:
        reason = f"too late: {LIMITED}, and it may not be rung again before its limit"
    elif opens is None or now < limit:
        reason = "too late: the calling hours leave no time to ring before its limit"
    else:
        reason = f"too late: was to be rung before {_spoken(limit, reminder, rules)}"
    waited = "" if reminder.hold_reason is None else f"; it had waited: {reminder.hold_reason}"
    return Status.EXPIRED, reason + waited, Level.ERROR


def _not_yet(reminder: Reminder, around: Surroundings, rules: Rules, now: datetime) -> tuple[datetime, str] | None:
    """Until when this reminder must wait, and why; None if it may be dialled now."""
    opens = _opens(reminder, around, rules, now)
    if opens is not None and opens > now:
        return opens, OUTSIDE if around.number_free_from is None else LIMITED
    if around.number_busy:
        return now + NUMBER_BUSY_HOLD, "another call to this number is open"
    return None


def _opens(reminder: Reminder, around: Surroundings, rules: Rules, now: datetime) -> datetime | None:
    """The first moment at which the window is open and the limits leave the number free; None if there is none."""
    return rules.window.next_open(around.number_free_from or now, zone_of(reminder, rules))


def _call_to_dial(
    reminder: Reminder, calls: tuple[Call, ...], again: Call | None, rules: Rules, now: datetime, new_call_id: str
) -> Call:
    """A new call, or the one to be taken up again."""
    if again is not None:
        return evolve(again, status="dialing", provider=rules.provider, tries=again.tries + 1)
    newest = newest_call(calls)
    attempt = 1 if newest is None else (newest.attempt or 0) + 1
    return Call(
        id=new_call_id,
        reminder_id=reminder.id,
        attempt=attempt,
        provider=rules.provider,
        tries=1,
        created_at=now,
        updated_at=now,
    )


def _lease_ran_out(
    reminder: Reminder, calls: tuple[Call, ...], around: Surroundings, rules: Rules, now: datetime, token: str
) -> Step:
    call = open_call(calls)
    waiting = evolve(reminder, status=Status.PROCESSING, lease_token=None)
    if call is None or call.status != "dialing":
        return check(waiting, calls, around=around, rules=rules, now=now, token=token)
    unsure = unconfirmed(call)
    return Step(
        reminder=at_rest(evolve(waiting, wake_at=now + rules.confirm_after), calls),
        calls=replaced(calls, unsure),
        call=unsure,
        notes=(Note("the request was interrupted: unconfirmed, waiting for news of the call", Level.WARNING),),
        recovered=True,
    )


def _spoken(moment: datetime, reminder: Reminder, rules: Rules) -> str:
    return f"{moment.astimezone(zone_of(reminder, rules)):%Y-%m-%d %H:%M %Z}"
