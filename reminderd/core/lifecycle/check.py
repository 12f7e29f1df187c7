"""A call that nobody has reported: how to learn what became of it, and what follows if that can't be known."""

from datetime import datetime
from typing import Final

from attrs import evolve

from reminderd.core.answers import Capabilities
from reminderd.core.intake import expiry, zone_of
from reminderd.core.lifecycle.company import riding, says_the_same
from reminderd.core.lifecycle.reached import reached
from reminderd.core.lifecycle.step import Errand, Level, Note, Step, Surroundings, at_rest, ended, replaced
from reminderd.core.reminder import UNANSWERED, Call, Reminder, Status, newest_call, open_call
from reminderd.core.rules import Rules

MOST_CHECKS: Final = 10
"""A call is asked about so many times, then given up."""

RING_BY_HAND: Final = "unconfirmed, ring by hand"
NO_REPORT: Final = "no report from the provider"


def unconfirmed(call: Call) -> Call:
    """The call as one of which nobody knows whether it was placed."""
    return evolve(call, status="unconfirmed")


def key_holds(call: Call, rules: Rules, moment: datetime) -> bool:
    """Whether a request with this call's key, sent at that moment, would place no second call."""
    can = rules.capabilities
    return call.provider == rules.provider and can.honours_key and moment < call.created_at + can.key_lifetime


def is_to_be_dropped(reminder: Reminder, call: Call, rules: Rules, *, wanted_by_others: bool) -> bool:
    """Whether the provider is asked to spare the patient this call: nobody wants it any more or has answered it.

    It may say other reminders, too, that still want it.
    """
    is_ours = call.provider == rules.provider and call.external_call_id is not None
    is_unwanted = reminder.status is Status.CANCELLED and call.status in UNANSWERED and not wanted_by_others
    return rules.capabilities.drop and is_ours and is_unwanted and call.checks < MOST_CHECKS


def check(
    reminder: Reminder,
    calls: tuple[Call, ...],
    *,
    around: Surroundings,
    rules: Rules,
    now: datetime,
    token: str,
) -> Step:
    """The next step to learn what became of the open call of a `processing` or final reminder."""
    call = open_call(calls)
    if call is None:
        return _nothing_open(reminder, calls, rules, now)
    if call.status == "dialing":  # its dialer lost the lease: cancelled while dialing, or a crash
        return Step(
            reminder=evolve(reminder, lease_token=None, wake_at=now + rules.confirm_after),
            calls=replaced(calls, unconfirmed(call)),
            call=call,
            notes=(Note("the request was interrupted: unconfirmed, waiting for news of the call", Level.WARNING),),
        )
    can = rules.capabilities if call.provider == rules.provider else Capabilities()
    leased = evolve(reminder, lease_token=token, wake_at=now + rules.lease, hold_reason=None)
    if call.status == "unconfirmed":
        deferred_to = _resend_from(reminder, call, can, around, rules, now)
        if deferred_to is not None and deferred_to > now:
            held = evolve(reminder, lease_token=None, wake_at=deferred_to, hold_reason="unconfirmed, to be asked again")
            return Step(reminder=held, calls=calls, call=call)
        if deferred_to is not None:
            again = evolve(call, tries=call.tries + 1)
            return Step(
                reminder=leased,
                calls=replaced(calls, again),
                call=again,
                errand=Errand.RESEND,
                riders=riding(around.riders, rules, now),
                notes=(Note("unconfirmed: sending the same request with the same key again"),),
            )
        if can.look_up:
            return Step(reminder=leased, calls=calls, call=call, errand=Errand.FIND)
        return give_up(reminder, calls, call, rules, now)
    if is_to_be_dropped(reminder, call, rules, wanted_by_others=bool(riding(around.riders, rules, now))):
        return Step(reminder=leased, calls=calls, call=call, errand=Errand.DROP)
    if can.look_up and call.checks < MOST_CHECKS:
        errand = Errand.FIND if call.external_call_id is None else Errand.FETCH
        return Step(reminder=leased, calls=calls, call=call, errand=errand)
    return give_up(reminder, calls, call, rules, now)


def give_up(reminder: Reminder, calls: tuple[Call, ...], call: Call, rules: Rules, now: datetime) -> Step:
    """It can't be known what became of the open call: close it, and ask staff or ring again as the rules say."""
    unsure = call.status == "unconfirmed"
    reason = RING_BY_HAND if unsure else NO_REPORT
    rung_again_before = any(other.error == RING_BY_HAND for other in calls)
    closed = evolve(call, status="unreported", error=reason)
    calls = replaced(calls, closed)
    if reminder.status.final:
        note = Note(f"{reminder.status} already, and nobody knows what became of its last call", Level.WARNING)
        return Step(reminder=at_rest(reminder, calls), calls=calls, call=closed, notes=(note,))
    if unsure and rules.ring_again_when_unsure and not rung_again_before and reminder.attempts < rules.max_calls:
        again = evolve(
            reminder, status=Status.SCHEDULED, wake_at=now, lease_token=None, hold_reason="unconfirmed, ringing again"
        )
        note = Note("unconfirmed: rings once more, as configured; the phone may have rung", Level.WARNING)
        return Step(reminder=again, calls=calls, call=closed, notes=(note,))
    failed = ended(reminder, calls, Status.FAILED, reason)
    return Step(reminder=failed, calls=calls, call=closed, notes=(Note(f"failed: {reason}", Level.ERROR),))


def _resend_from(
    reminder: Reminder, call: Call, can: Capabilities, around: Surroundings, rules: Rules, now: datetime
) -> datetime | None:
    """When the request may be sent again with its key (now or later); None if that step is passed over."""
    if not can.honours_key or reminder.status.final or around.opted_out or call.tries >= rules.max_tries:
        return None
    if not says_the_same(call, reminder, riding(around.riders, rules, now)):  # its key stands for those words
        return None
    if around.number_free_from is not None:  # reached meanwhile for another reminder; this may be the first ring
        return None
    limit = min(expiry(reminder, rules), call.created_at + can.key_lifetime)
    opens = rules.window.next_open(now, zone_of(reminder, rules))
    if opens is None or opens >= limit:
        return None
    if opens == now and around.dial_from is not None:
        return around.dial_from
    return opens


def _nothing_open(reminder: Reminder, calls: tuple[Call, ...], rules: Rules, now: datetime) -> Step:
    """A row was woken for a call, but none is open: what its newest call says decides."""
    newest = newest_call(calls)
    if reminder.status.final:
        return Step(reminder=evolve(reminder, wake_at=None, lease_token=None), calls=calls, call=newest)
    if newest is not None and newest.status == "not-placed":
        again = evolve(reminder, status=Status.SCHEDULED, wake_at=now, lease_token=None)
        return Step(reminder=again, calls=calls, call=newest, notes=(Note("scheduled again: nothing was sent"),))
    if newest is not None and reached(newest, rules):
        called = ended(reminder, calls, Status.CALLED, None)
        return Step(reminder=called, calls=calls, call=newest, notes=(Note("called"),))
    if newest is None:
        reason = f"{reminder.status} without any call of ours, ring by hand"
    else:
        reason = newest.error or f"the call ended: {newest.status}"
    failed = ended(reminder, calls, Status.FAILED, reason)
    return Step(reminder=failed, calls=calls, call=newest, notes=(Note(f"failed: {reason}", Level.ERROR),))
