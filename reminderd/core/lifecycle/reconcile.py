"""Find out what happened to a call."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import attrs
from attrs import field, frozen

from reminderd.core.answers import Candidates, Found, LookUpAnswer, NoAnswer, NotFound
from reminderd.core.lifecycle.states import CallEnd, EndKind, close_call, is_unwanted, limit_of, unconfirmed
from reminderd.core.lifecycle.transition import Action, ActionKind, Ledger, Level, Transition, line_about, noted
from reminderd.core.model import UNANSWERED, Call, CallState, digest, evolve
from reminderd.core.outcomes import is_of_our_account
from reminderd.core.requests import next_open
from reminderd.core.rules import Rules

MOST_CHECKS: Final = 10
"""The most look-ups of a call without a sign of life in between."""

PAUSE_HOLD: Final = timedelta(minutes=1)
"""How long a request waits before it is checked again whether a pause, or another call to its number, is over."""


@frozen(kw_only=True)
class Witness:
    """What this process has seen of alive calls, on its monotonic clock, because somebody may set the wall clock."""

    monotonic: float = 0.0
    """The time now."""
    signs: Mapping[str, tuple[datetime, float]] = field(factory=dict)
    """The last sign of life of each call, and when this process first saw that sign."""
    first: Mapping[str, float] = field(factory=dict)
    """When this process first saw each call."""

    def silent_for(self, call: Call) -> timedelta:
        """Return how long this process has known the last sign of life of a call; zero if it does not know it yet."""
        seen = self.signs.get(call.id)
        is_known = seen is not None and seen[0] == call.last_sign_at
        return timedelta(seconds=self.monotonic - seen[1]) if seen is not None and is_known else timedelta(0)

    def known_for(self, call: Call) -> timedelta:
        """Return how long this process has known a call; zero if it does not know it yet."""
        return timedelta(seconds=self.monotonic - self.first.get(call.id, self.monotonic))


@frozen(kw_only=True)
class CheckLimits:
    """What is possible right now when calls are checked."""

    paused: bool = False
    """Whether staff have paused dialing."""
    request_from: datetime | None = None
    """When a request may be sent; None if now."""


def key_prevents_second_call(call: Call, witness: Witness, rules: Rules, moment: datetime) -> bool:
    """Return whether a request with this call's key, sent at that moment, would place no second call."""
    can = rules.capabilities
    by_wall = moment + rules.lease < call.created_at + can.key_lifetime
    by_monotonic = witness.known_for(call) + rules.lease < can.key_lifetime
    return can.honors_key and by_wall and by_monotonic


def is_to_be_dropped(ledger: Ledger, call: Call, rules: Rules) -> bool:
    """Return whether the provider should be asked to drop this call."""
    is_placed = call.state in {CallState.PLACED, CallState.STRAY} and call.external_call_id is not None
    is_unanswered = call.status is None or call.status in UNANSWERED
    can = rules.capabilities.drop and is_of_our_account(call, rules) and call.checks < MOST_CHECKS
    return can and is_placed and is_unanswered and is_unwanted(ledger, call)


def claim_call(
    ledger: Ledger, call: Call, *, token: str, room: CheckLimits, witness: Witness, rules: Rules, now: datetime
) -> Transition:
    """Decide what an alive call whose `wake_at` has passed needs next.

    The ledger has the call, its reminders with their histories, and what is known about its number. If the call has a
    lease, it belongs to another process and has expired; `token` is for a new lease.
    """
    if call.state is CallState.DIALING:  # nobody knows whether its request was sent
        return attrs.evolve(unconfirmed(ledger, call, "the request was interrupted", rules, now), recovered=True)
    call = evolve(call, lease_token=None)
    leased = evolve(call, lease_token=token, wake_at=now + rules.lease)
    left = rules.outcome_timeout - witness.silent_for(
        call
    )  # by the monotonic clock: somebody may have set the wall clock
    waits = Transition(ledger=ledger.put(evolve(call, wake_at=now + left)), call=call)
    if call.state is CallState.UNCONFIRMED:
        at = _resend_at(ledger, call, room, witness, rules, now)
        if at is not None and at > now:
            return Transition(ledger=ledger.put(evolve(call, wake_at=at)), call=call)
        if at is not None:
            return _resend(ledger, leased, now)
    elif is_to_be_dropped(ledger, call, rules):
        return _asks(ledger, leased, ActionKind.DROP)
    elif call.checks == 0 and left > timedelta(0) and now < call.last_sign_at + rules.outcome_timeout:
        return waits
    if is_of_our_account(call, rules) and rules.capabilities.look_up and call.checks < MOST_CHECKS:
        return _asks(ledger, leased, ActionKind.FIND if call.external_call_id is None else ActionKind.FETCH)
    return waits if left > timedelta(0) else _give_up(ledger, call, rules, now)


def finding_among(candidates: Candidates, call: Call, ids_of_others: frozenset[str]) -> LookUpAnswer:
    """Return the finding about `call`: the only candidate whose id no other call has.

    If a webhook has brought the provider's id of `call` since the look-up was sent, only the candidate with this id
    counts.
    """
    known = call.external_call_id
    free = [
        report
        for report in candidates.reports
        if report.external_call_id not in ids_of_others and known in {None, report.external_call_id}
    ]
    if len(free) > 1:
        return NoAnswer("several calls could be this one")
    return Found(free[0]) if free else NotFound()


def not_found(
    ledger: Ledger, call: Call, finding: LookUpAnswer, *, token: str, rules: Rules, now: datetime
) -> Transition:
    """Record that a look-up did not find this call for certain. That proves nothing: check again later."""
    if call.lease_token != token or not call.state.alive:
        return Transition(ledger=ledger, call=call)
    later = evolve(call, lease_token=None, wake_at=now + rules.confirm_after)
    return noted(ledger, later, _why(finding), Level.WARNING)


def _why(finding: LookUpAnswer) -> str:
    match finding:
        case NotFound():
            return "the provider knows no such call, which proves nothing: to be checked again"
        case Found():
            return "the provider names another call of ours: to be checked again"
        case _:
            return f"the check of the call failed: {finding.reason}"


def _resend_at(
    ledger: Ledger, call: Call, room: CheckLimits, witness: Witness, rules: Rules, now: datetime
) -> datetime | None:
    """Return when the same request may be sent again with its key, now or later; None if never."""
    if call.evidence or call.adopted or not is_of_our_account(call, rules) or call.requests >= rules.max_tries:
        return None
    current = ledger.current_members(call)
    reminders = [reminder for _, reminder in current]
    is_same = len(current) == len(ledger.members_of(call)) and all(
        member.message_digest == digest(one.message, one.language) and one.status.in_call for member, one in current
    )
    if not reminders or not is_same or any(ledger.is_doubtful(one, rules) for one in reminders):
        return None
    # A repeat may be the first real call, so the limits count, too.
    if call.phone_number in ledger.opted_out or ledger.free_from(reminders[0], rules, now) is not None:
        return None
    at = max(next_open(one, now, rules) or datetime.max.replace(tzinfo=now.tzinfo) for one in reminders)
    is_in_time = all(at < limit_of(one, rules) and one.scheduled_at <= now for one in reminders)
    if not is_in_time or not key_prevents_second_call(call, witness, rules, at):
        return None
    if at > now:
        return at
    is_busy = any(
        one.id != call.id for one in ledger.alive_calls_to(call.phone_number)
    )  # the last look would refuse the request
    return now + PAUSE_HOLD if room.paused or is_busy else room.request_from or now


def _resend(ledger: Ledger, leased: Call, now: datetime) -> Transition:
    call = evolve(leased, requests=leased.requests + 1, last_sign_at=now)
    asked = noted(ledger, call, "unconfirmed: sending the same request with the same key again")
    return attrs.evolve(asked, action=_action(ledger, call, ActionKind.RESEND))


def _asks(ledger: Ledger, leased: Call, kind: ActionKind) -> Transition:
    call = evolve(
        leased, checks=leased.checks + 1
    )  # counted before it is made, so that a look-up that never ends counts, too
    return Transition(ledger=ledger.put(call), action=_action(ledger, call, kind), call=call)


def _action(ledger: Ledger, call: Call, kind: ActionKind) -> Action:
    return Action(kind=kind, call=call, reminders=tuple(reminder for _, reminder in ledger.current_members(call)))


def _give_up(ledger: Ledger, call: Call, rules: Rules, now: datetime) -> Transition:
    """Close a call whose end nobody knows."""
    error = "its end was never reported"
    given_up = evolve(call, state=CallState.UNREPORTED, lease_token=None, wake_at=None, error=error)
    line = line_about(call, "given up: the provider has not reported the end of the call", Level.WARNING)
    return close_call(ledger, given_up, CallEnd(kind=EndKind.UNREPORTED), rules=rules, now=now).with_lines_before(
        [line]
    )
