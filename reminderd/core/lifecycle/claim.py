"""Decide whether a due reminder ends, waits, or is called together with its bundle."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final

from attrs import frozen

from reminderd.core.lifecycle.reconcile import Witness, key_prevents_second_call
from reminderd.core.lifecycle.replan import waits_for_plan, why_void
from reminderd.core.lifecycle.states import (
    all_cancelled,
    ended,
    lasting_hold,
    limit_of,
    line_for,
    patient_time,
    scheduled,
    why_not_again,
    with_call_status,
)
from reminderd.core.lifecycle.transition import Action, ActionKind, Ledger, Level, LogLine, Transition, spoken_together
from reminderd.core.model import (
    MESSAGE_LIMIT,
    RESPONSES,
    Call,
    CallState,
    Member,
    Reminder,
    Status,
    digest,
    evolve,
)
from reminderd.core.outcomes import end_code_of, is_of_our_account, reached
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.requests import next_open, why_never_callable, zone_of
from reminderd.core.rules import Rules

NUMBER_BUSY_HOLD: Final = timedelta(minutes=1)
"""How long a reminder waits until the next check whether the call to its number is over."""

PLANNING_HOLD: Final = timedelta(seconds=1)
"""How long a reminder waits until the next check whether its changed appointment was planned."""

PROGRAM_ERROR_HOLD: Final = timedelta(hours=1)


@frozen
class NewIds:
    """The ids that a claim needs if it makes a call."""

    call_id: str
    token: str
    """Identifies the lease."""


@frozen
class Ends:
    """The reminder is not called."""

    status: Status
    code: EndCode | None
    """None if it was called."""
    reason: str | None = None


@frozen
class Waits:
    """The reminder is not called yet."""

    until: datetime
    code: HoldCode | None
    """None if its own time is in the future."""


def claim_reminder(
    ledger: Ledger, reminder: Reminder, *, new_ids: NewIds, witness: Witness, rules: Rules, now: datetime
) -> Transition:
    """Decide what happens to a reminder whose `wake_at` has passed, whatever its status.

    If the transition has an action, a call was made for it, and is leased under the new token.
    """
    if reminder.status.final:
        again = _scheduled_again(ledger, reminder, now)
        if again is None:
            return Transition(ledger=ledger.put(_at_rest(reminder, now)))
        line = LogLine(f"scheduled again: {again.last_error}", reminder_id=reminder.id)
        return Transition(ledger=ledger.put(again), lines=(line,))
    reminder = evolve(reminder, end_code=None, ended_at=None, done_at=None, attempts=ledger.attempts(reminder))
    reminder = _without_results(reminder) if ledger.has_left(reminder) else reminder
    call = ledger.alive_call(reminder)
    void = why_void(ledger, reminder)
    if call is not None and void is not None and not waits_for_plan(ledger, reminder):
        after, lines = all_cancelled(ledger, [reminder], void, now)
        return Transition(ledger=after, lines=lines)
    if call is not None:
        status = Status.DIALING if call.state is CallState.DIALING else Status.PROCESSING
        return Transition(ledger=ledger.put(with_call_status(reminder, status)))
    if reminder.status.in_call:
        reminder = _left_its_call(ledger, reminder, rules, now)
        if reminder.status.final:
            return _changed(ledger, reminder, rules)
    judged = _DueReminder(ledger, reminder, rules, now).verdict()
    if isinstance(judged, Ends) and judged.code is EndCode.TOO_LATE and reminder.scheduled_at > now:
        judged = Waits(reminder.scheduled_at, lasting_hold(reminder))  # the hours may change until then
    if isinstance(judged, Ends):
        return _changed(ledger, ended(reminder, judged.status, judged.code, now, judged.reason), rules)
    if isinstance(judged, Waits):
        return _held(ledger, reminder, judged.until, judged.code, rules)
    return _call(ledger, reminder, new_ids=new_ids, witness=witness, rules=rules, now=now)


def unexpected_error(ledger: Ledger, reminder: Reminder, now: datetime) -> Transition:
    """Return the reminder after the program has failed on it: it fails, or is checked again in an hour."""
    sentence = EndCode.PROGRAM_ERROR.sentence
    if reminder.status is Status.SCHEDULED:
        line = LogLine(f"failed: {sentence}", Level.ERROR, reminder.id)
        return Transition(ledger=ledger.put(ended(reminder, Status.FAILED, EndCode.PROGRAM_ERROR, now)), lines=(line,))
    line = LogLine(f"to be looked at again in an hour: {sentence}", Level.ERROR, reminder.id)
    return Transition(ledger=ledger.put(evolve(reminder, wake_at=now + PROGRAM_ERROR_HOLD)), lines=(line,))


def _scheduled_again(ledger: Ledger, reminder: Reminder, now: datetime) -> Reminder | None:
    """Return a final reminder as scheduled again, because of a wrong clock or a later move; None if it stays final."""
    if reminder.status is Status.CANCELLED or reminder.purged:
        return None
    is_ahead = reminder.ended_at is not None and reminder.ended_at > now
    if reminder.end_code is EndCode.TOO_LATE and is_ahead and reminder.done_at is None:
        return scheduled(reminder, now, reason="it had expired by a clock that was ahead", now=now)
    if not _was_moved(ledger, reminder):
        return None
    moved = evolve(_without_results(reminder), attempts=0, again_until=None)
    waiting = scheduled(moved, now, reason="moved, or changed to another number, since its call", now=now)
    return evolve(waiting, wake_at=max(now, reminder.scheduled_at))  # not `retry_at`: it may yet be moved to be earlier


def _was_moved(ledger: Ledger, reminder: Reminder) -> bool:
    """Return whether a final reminder's calls were for another time or number than it has now."""
    if ledger.has_left(reminder):
        return True
    members = [one for one in ledger.members.values() if one.reminder_id == reminder.id and not one.deleted]
    heard = [one for one in members if one.spoken and ledger.calls[one.call_id].outcome is not None]
    is_current = any(member in heard for member, _ in ledger.history(reminder))
    return reminder.status is Status.CALLED and bool(heard) and not is_current


def _at_rest(reminder: Reminder, now: datetime) -> Reminder:
    """Return a final reminder that is no longer checked; another program may have ended it."""
    code, reason = end_code_of(reminder.status, reminder.end_code), reminder.last_error
    if code is not reminder.end_code:
        reason = reason or None
    ended_at = min(reminder.ended_at or now, now)  # a clock that was ahead no longer matters
    return ended(reminder, reminder.status, code, ended_at, reason)


def _left_its_call(ledger: Ledger, reminder: Reminder, rules: Rules, now: datetime) -> Reminder:
    """Return what happens to a reminder whose status says that it is in a call, although it has no alive call."""
    if ledger.was_heard(reminder, rules):
        return ended(reminder, Status.CALLED, None, now)
    if ledger.is_doubtful(reminder, rules) or not ledger.was_called(reminder):
        return ended(reminder, Status.FAILED, EndCode.UNCONFIRMED, now)
    return scheduled(reminder, now, now=now)


def _without_results(reminder: Reminder) -> Reminder:
    """Return a reminder without the results of the calls that it has left: delays, tries, and the patient's answer."""
    response = None if reminder.response in RESPONSES else reminder.response
    return evolve(reminder, tries=0, retry_at=None, response=response)


@frozen
class _DueReminder:
    """A waiting reminder, and everything that decides whether it may be called."""

    ledger: Ledger
    reminder: Reminder
    rules: Rules
    now: datetime

    def verdict(self) -> Ends | Waits | None:
        """Return why the reminder may not be called now, or None if it may."""
        return self._ends() or self._too_late() or self._waits()

    def _ends(self) -> Ends | None:
        void = None if waits_for_plan(self.ledger, self.reminder) else why_void(self.ledger, self.reminder)
        if void is not None:
            return Ends(Status.CANCELLED, void)
        wrong = why_never_callable(self.reminder, self.rules.numbering)
        if wrong is not None:
            return Ends(Status.FAILED, EndCode.INVALID, wrong)
        if self.reminder.phone_number in self.ledger.opted_out:
            return Ends(Status.CANCELLED, EndCode.OPTED_OUT)
        if self.ledger.was_heard(self.reminder, self.rules):
            return Ends(Status.CALLED, None)
        if may_be_forgotten(self.ledger, self.reminder):
            return Ends(Status.FAILED, EndCode.RESTORED)
        if self.ledger.is_doubtful(self.reminder, self.rules):
            return Ends(Status.FAILED, EndCode.UNCONFIRMED)
        if self.ledger.attempts(self.reminder) >= self.rules.max_calls:
            return Ends(Status.FAILED, EndCode.MAX_CALLS)
        return self._barred()

    def _barred(self) -> Ends | None:
        """Return how it ends if its last call bars another call, and its message is still the same."""
        for member, call in self.ledger.counted_calls(self.reminder)[-1:]:
            bar = why_not_again(member, call)
            if bar is not None and member.message_digest == digest(self.reminder.message, self.reminder.language):
                return Ends(Status.FAILED, *bar)
        return None

    def _too_late(self) -> Ends | None:
        limit, now = limit_of(self.reminder, self.rules), self.now
        free, retry_at = self.free_from, self.retry_at
        opens = self._opens(max(now, self.reminder.scheduled_at, retry_at or now, free or now))
        if now < limit and opens is not None and opens < limit:
            return None
        if now < limit and free is not None and free >= limit:
            reason = f"too late: {HoldCode.LIMITS.sentence}, and it may not be called again before its limit"
        elif now < limit and retry_at is not None and retry_at >= limit:
            reason = "too late: can't be tried again before its limit"
        elif now < limit:
            reason = "too late: the calling hours leave no time to call before it expires"
        else:
            reason = f"too late: was to be called before {patient_time(limit, self.reminder, self.rules)}"
        hold = self.reminder.hold_code
        waited = "" if hold is None else f"; it had waited: {hold.sentence}"
        return Ends(Status.EXPIRED, EndCode.TOO_LATE, reason + waited)

    def _waits(self) -> Waits | None:
        if self.reminder.hold_code is HoldCode.NUMBER_CHANGED:
            return Waits(limit_of(self.reminder, self.rules), HoldCode.NUMBER_CHANGED)
        if waits_for_plan(self.ledger, self.reminder):
            return Waits(self.now + PLANNING_HOLD, HoldCode.PLANNING)
        if self.reminder.scheduled_at > self.now:
            return Waits(self.reminder.scheduled_at, None)
        if self.retry_at is not None and self.retry_at > self.now:
            return Waits(self.retry_at, self.reminder.hold_code or HoldCode.REDIAL)
        opens = self._opens(max(self.now, self.free_from or self.now))
        if opens is not None and opens > self.now:
            return Waits(opens, HoldCode.HOURS if self.free_from is None else HoldCode.LIMITS)
        if self.ledger.alive_calls_to(self.reminder.phone_number):
            return Waits(self.now + NUMBER_BUSY_HOLD, HoldCode.NUMBER_BUSY)
        return None

    @property
    def retry_at(self) -> datetime | None:
        """Return when its redial delay or backoff ends, even if the row was rewritten since; None if it has neither."""
        delays = [] if self.reminder.retry_at is None else [self.reminder.retry_at]
        for _, call in self.ledger.counted_calls(self.reminder)[-1:]:
            if call.state is CallState.ENDED and call.received_at is not None:
                delay = self.rules.redial_delay(max(self.ledger.attempts(self.reminder), 1))
                delays.append(call.received_at + delay)
        return max(delays, default=None)

    @property
    def free_from(self) -> datetime | None:
        """Return when the clinic's limits allow another call to the reminder's number; None if now."""
        return self.ledger.free_from(self.reminder, self.rules, self.now)

    def _opens(self, start: datetime) -> datetime | None:
        """Return the first moment from `start` on in the calling hours, or None if they never open."""
        return next_open(self.reminder, start, self.rules)


def may_be_forgotten(ledger: Ledger, reminder: Reminder) -> bool:
    """Return whether a restored backup may have forgotten that this reminder was called."""
    if ledger.restored_at is None or reminder.scheduled_at > ledger.restored_at:
        return False
    was_called_since = any(call.seq > ledger.restored_seq and not call.adopted for _, call in ledger.history(reminder))
    return reminder.again_seq < ledger.restored_seq and not was_called_since


def _held(ledger: Ledger, reminder: Reminder, until: datetime, code: HoldCode | None, rules: Rules) -> Transition:
    held = evolve(reminder, status=Status.SCHEDULED, wake_at=until, hold_code=code)
    if code is None or code is reminder.hold_code:
        return Transition(ledger=ledger.put(held))
    line = LogLine(f"held until {patient_time(until, reminder, rules)}: {code.sentence}", reminder_id=reminder.id)
    return Transition(ledger=ledger.put(held), lines=(line,))


def _changed(ledger: Ledger, reminder: Reminder, rules: Rules) -> Transition:
    history = ledger.history(reminder)
    call = history[-1][1] if history else None
    reached_by = [one for member, one in history if reached(member, one, rules)]
    shown = reached_by[-1] if reminder.status is Status.CALLED else call
    return Transition(ledger=ledger.put(reminder), lines=(line_for(reminder, shown, rules),), call=call)


def _call(
    ledger: Ledger, reminder: Reminder, *, new_ids: NewIds, witness: Witness, rules: Rules, now: datetime
) -> Transition:
    """Make a call for the reminder and its bundle, or wait for one more reminder of the bundle."""
    # No call to their number is alive: otherwise, the reminder would wait.
    others = (
        one
        for one in (ledger.reminders.values() if rules.group_within else ())
        if one.id != reminder.id and one.phone_number == reminder.phone_number and one.status is Status.SCHEDULED
    )
    waiting = [_without_results(one) if ledger.has_left(one) else one for one in others]
    judged = [(one, _DueReminder(ledger, one, rules, now).verdict()) for one in waiting]
    ready = [one for one, why in judged if why is None]
    early = [one for one, why in judged if isinstance(why, Waits) and why.code is None]
    bundle = _bundle_for(ledger, reminder, ready, early, rules, now)
    if bundle.waits_until is not None:
        return _held(ledger, reminder, bundle.waits_until, HoldCode.BUNDLE, rules)
    call = _call_to_repeat(ledger, bundle.reminders, witness, rules, now) or Call(
        id=new_ids.call_id,
        reminder_id=bundle.reminders[0].id,
        phone_number=reminder.phone_number,
        provider=rules.provider,
        account=rules.account,
        created_at=now,
        last_sign_at=now,
    )
    call = evolve(
        call,
        state=CallState.DIALING,
        requests=1,
        checks=0,
        error=None,
        lease_token=new_ids.token,
        wake_at=now + rules.lease,
        last_sign_at=now,
    )
    dialing = [evolve(with_call_status(one, Status.DIALING), attempts=ledger.attempts(one)) for one in bundle.reminders]
    members = [
        Member(
            call_id=call.id,
            reminder_id=one.id,
            position=position,
            scheduled_at=one.scheduled_at,
            message_digest=digest(one.message, one.language),
        )
        for position, one in enumerate(dialing)
    ]
    lines = tuple(LogLine("dialing", reminder_id=one.id, call_id=call.id) for one in dialing)
    action = Action(kind=ActionKind.PLACE, call=call, reminders=tuple(dialing))
    return Transition(ledger=ledger.put(call, *dialing, *members), lines=lines, action=action, call=call)


@frozen
class _Bundle:
    """The reminders for one call."""

    reminders: tuple[Reminder, ...]
    """In the order in which they are spoken."""
    waits_until: datetime | None = None
    """Until when to wait for another reminder; None if the call can be placed now."""


def _bundle_for(
    ledger: Ledger,
    reminder: Reminder,
    ready: Sequence[Reminder],
    early: Sequence[Reminder],
    rules: Rules,
    now: datetime,
) -> _Bundle:
    """Return the bundle of a reminder that may be called now.

    All its reminders are in one language, and none is spoken before its time. `ready` and `early` are the other
    reminders of the number: those that may be called now, and those that are due later.
    """
    if not rules.group_within:
        return _Bundle((reminder,))
    near = [
        one
        for one in ready
        if abs(one.scheduled_at - reminder.scheduled_at) <= rules.group_within
        and rules.scripts.can_share_call(one.language, reminder.language)
    ]
    bundle = [reminder]
    for other in sorted(near, key=attrgetter("scheduled_at", "id")):
        if _is_short_enough([*bundle, other]):
            bundle.append(other)
    is_first = all(ledger.attempts(one) == 0 and one.tries == 0 for one in bundle)
    later = [
        one.scheduled_at
        for one in early
        if one.scheduled_at - reminder.scheduled_at <= rules.group_within
        and rules.scripts.can_share_call(one.language, reminder.language)
        and _is_short_enough([*bundle, one])
    ]
    in_order = tuple(sorted(bundle, key=attrgetter("scheduled_at", "id")))
    waits = is_first and bool(later) and _can_wait(reminder, max(later), rules, now)
    return _Bundle(in_order, max(later) if waits else None)


def _is_short_enough(reminders: Sequence[Reminder]) -> bool:
    return len(spoken_together(one.message for one in reminders)) <= MESSAGE_LIMIT


def _can_wait(reminder: Reminder, until: datetime, rules: Rules, now: datetime) -> bool:
    """Return whether the reminder can be called at `until`: on the same day, in calling hours, before its limit."""
    zone = zone_of(reminder, rules)
    is_in_time = until < limit_of(reminder, rules) - rules.lease
    is_same_day = until.astimezone(zone).date() == now.astimezone(zone).date()
    return is_in_time and is_same_day and rules.calling_hours.is_open(until, zone)


def _call_to_repeat(
    ledger: Ledger, reminders: tuple[Reminder, ...], witness: Witness, rules: Rules, now: datetime
) -> Call | None:
    """Return the newest call of these reminders if it was not placed and its request can be sent unchanged, or None.

    If the provider answered "try later", but did place the call, the repeated request returns that call.
    """
    newest = {calls[-1][1].id: calls[-1][1] for one in reminders if (calls := ledger.history(one))}
    if len(newest) != 1 or not all(ledger.history(one) for one in reminders):
        return None
    call = next(iter(newest.values()))
    requested = [(one.reminder_id, one.message_digest) for one in ledger.members_of(call)]
    is_same = requested == [(one.id, digest(one.message, one.language)) for one in reminders]
    was_not_placed = call.state is CallState.NOT_PLACED and not call.evidence and call.received_at is None
    is_counted = all(call.seq > one.again_seq for one in reminders)
    if (
        is_same
        and was_not_placed
        and is_counted
        and is_of_our_account(call, rules)
        and key_prevents_second_call(call, witness, rules, now)
    ):
        return call
    return None
