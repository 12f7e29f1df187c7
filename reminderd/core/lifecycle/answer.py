"""Check a claimed request right before it is sent, and record the provider's answer to it."""

from datetime import datetime, timedelta

from reminderd.core.answers import Accepted, AccountRefused, NotPlaced, PlacingAnswer, Refused, Report, Unclear
from reminderd.core.lifecycle.replan import waits_for_plan, why_void
from reminderd.core.lifecycle.report import progress
from reminderd.core.lifecycle.states import CallEnd, EndKind, close_call, limit_of, unconfirmed
from reminderd.core.lifecycle.transition import Action, ActionKind, Ledger, Level, Transition, noted
from reminderd.core.model import PROGRESS, Call, CallState, Member, Reminder, digest, evolve
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.requests import zone_of
from reminderd.core.rules import Rules


def last_look(
    ledger: Ledger,
    action: Action,
    *,
    paused: bool,
    stopping: bool,
    time_left: timedelta,
    rules: Rules,
    now: datetime,
) -> str | None:
    """Return why a claimed request must not be sent, or None if it may; called right before it is sent.

    The ledger has the call as it is now, its reminders with their histories, and the alive calls to its number.
    `time_left` is how much of the lease would be left after the longest possible request, by the wall
    clock and the monotonic clock.
    """
    call = ledger.calls.get(action.call.id)
    if call is None or call.lease_token != action.token or not call.state.may_not_exist or call.evidence:
        return "the lease was lost"
    if stopping:
        return "the daemon stops or reloads"
    if time_left <= timedelta(0):
        return "too little of the lease is left"
    if paused:
        return "dialing is paused"
    if any(one.id != call.id for one in ledger.alive_calls_to(call.phone_number)):
        return HoldCode.NUMBER_BUSY.sentence
    return _changed_meanwhile(ledger, call, len(action.reminders), rules, now)


def _changed_meanwhile(ledger: Ledger, call: Call, claimed: int, rules: Rules, now: datetime) -> str | None:
    """Return what has changed about a call's reminders since they were claimed, or None; `claimed` is their number."""
    current = ledger.current_members(call)
    if len(current) != claimed or len(current) != len(ledger.members_of(call)):
        return "a reminder was moved, changed to another number, or deleted"
    if call.phone_number in ledger.opted_out:
        return EndCode.OPTED_OUT.sentence
    for member, reminder in current:
        if reminder.status.final:
            return f"a reminder is {reminder.status}"
        if not reminder.status.in_call or _was_changed(ledger, member, reminder):
            return "a reminder was changed"
        if ledger.is_doubtful(reminder, rules):
            return EndCode.UNCONFIRMED.sentence
        if now >= limit_of(reminder, rules):
            return EndCode.TOO_LATE.sentence
        if now < reminder.scheduled_at:
            return "its time is still to come"
        if not rules.calling_hours.is_open(now, zone_of(reminder, rules)):
            return HoldCode.HOURS.sentence
    return None


def _was_changed(ledger: Ledger, member: Member, reminder: Reminder) -> bool:
    """Return whether a reminder's message or appointment was changed."""
    is_other = why_void(ledger, reminder) is not None or waits_for_plan(ledger, reminder)
    return is_other or member.message_digest != digest(reminder.message, reminder.language)


def not_sent(ledger: Ledger, action: Action, reason: str, *, rules: Rules, now: datetime) -> Transition:
    """Record that a claimed request was not sent, so that the provider knows nothing of it."""
    call = ledger.calls[action.call.id]
    is_mine = call.lease_token == action.token
    call = evolve(call, requests=max(call.requests - 1, 0))
    ledger = ledger.put(call)
    if call.evidence or not call.state.may_not_exist:
        return Transition(ledger=ledger, call=call)
    if call.requests == 0:  # certainly nothing was sent, no matter which process works on the call now
        failed = evolve(call, state=CallState.NOT_PLACED, lease_token=None, wake_at=None, error=f"not sent: {reason}")
        return close_call(ledger, failed, CallEnd(kind=EndKind.NOT_SENT, reason=reason), rules=rules, now=now)
    if not is_mine:
        return Transition(ledger=ledger, call=call)
    waiting = evolve(call, lease_token=None, wake_at=now + rules.backoff.first)
    return noted(ledger, waiting, f"still unconfirmed, not sent again: {reason}; to be checked again")


def request_answered(
    ledger: Ledger, action: Action, answer: PlacingAnswer, *, counts: bool, draw: float, rules: Rules, now: datetime
) -> Transition:
    """Record the provider's answer to a request.

    The call and its reminders may have changed since the request was sent. `counts`: whether
    a request that placed no call counts as a try; False while the provider may be failing. `draw` is a random number in
    [0, 1), for the jitter.
    """
    call = ledger.calls[action.call.id]
    if isinstance(answer, Accepted):
        status = answer.status if answer.status in PROGRESS else "queued"
        report = Report(external_call_id=answer.external_call_id, status=status, attempt_id=call.id)
        return progress(ledger, call, report, text="the provider accepted the call", rules=rules, now=now)
    if not call.state.may_not_exist or call.evidence:
        return Transition(ledger=ledger, call=call)
    is_only_request = action.kind is ActionKind.PLACE and call.requests == 1
    if is_only_request and not isinstance(answer, Unclear):
        return _not_placed(ledger, call, answer, counts=counts, draw=draw, rules=rules, now=now)
    if call.lease_token != action.token:
        return Transition(ledger=ledger, call=call)
    call = evolve(call, error=answer.reason)
    if isinstance(answer, Unclear):
        return unconfirmed(ledger, call, answer.reason, rules, now)
    return _resend_answered(ledger, call, answer, draw, rules, now)


def _not_placed(
    ledger: Ledger,
    call: Call,
    answer: Refused | NotPlaced | AccountRefused,
    *,
    counts: bool,
    draw: float,
    rules: Rules,
    now: datetime,
) -> Transition:
    """Close the call because of the answer to its only request, no matter which process has the lease now."""
    state = CallState.NOT_PLACED
    if isinstance(answer, Refused):
        state, end = CallState.REFUSED, CallEnd(kind=EndKind.REFUSED, reason=answer.reason)
    elif isinstance(answer, AccountRefused):
        end = CallEnd(kind=EndKind.ACCOUNT, reason=answer.reason)
    else:
        tries = max((one.tries for _, one in ledger.current_members(call)), default=0) + 1
        backoff = rules.backoff.full_jitter(tries, draw)
        if answer.number_refused and not counts:  # only this number waits, and no count makes its backoff grow
            backoff = rules.backoff.maximum * (1 + draw) / 2
        pause = max(backoff, answer.retry_after or timedelta(0))
        end = CallEnd(kind=EndKind.NOT_PLACED, reason=answer.reason, pause=pause, counts=counts)
    failed = evolve(call, state=state, lease_token=None, wake_at=None, error=answer.reason)
    text = f"the call is {state.replace('_', ' ')}: {answer.reason}"
    return close_call(ledger, failed, end, text, rules=rules, now=now)


def _resend_answered(
    ledger: Ledger, call: Call, answer: Refused | NotPlaced | AccountRefused, draw: float, rules: Rules, now: datetime
) -> Transition:
    """Keep the call unconfirmed: every answer except acceptance is only about the repeated request."""
    pause = rules.backoff.half_jitter(call.requests, draw)
    if isinstance(answer, NotPlaced) and answer.retry_after is not None:
        pause = max(pause, answer.retry_after)
    waiting = evolve(call, lease_token=None, wake_at=now + pause)
    return noted(ledger, waiting, f"still unconfirmed: {answer.reason}; to be checked again", Level.WARNING)
