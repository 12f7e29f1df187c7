"""Return reminders as waiting, in a call or final, and apply the end of a call to its reminders."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from attrs import frozen

from reminderd.core.answers import Listener, listener_of
from reminderd.core.lifecycle.transition import Ledger, Level, LogLine, Transition, line_about, noted
from reminderd.core.model import Call, CallOutcome, CallState, Member, Reminder, Status, evolve
from reminderd.core.outcomes import member_outcome_of, reached
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.requests import expiry, next_open, zone_of
from reminderd.core.rules import PlanningRules, Rules


class EndKind(StrEnum):
    """What closed a call."""

    REPORTED = "reported"
    """The provider reported its end; the call's outcome shows how it ended."""
    REPORTED_LATE = "reported_late"
    """The provider reported its end after we had closed it: this counts only if the message was heard."""
    REFUSED = "refused"
    NOT_PLACED = "not_placed"
    ACCOUNT = "account"
    """Not placed: the provider refuses us."""
    NOT_SENT = "not_sent"
    """Not placed: we did not send the request."""
    UNREPORTED = "unreported"


@frozen(kw_only=True)
class CallEnd:
    """How a call was closed: everything that its reminders depend on."""

    kind: EndKind
    reason: str = ""
    """The reason as a sentence."""
    pause: timedelta = timedelta(0)
    """How long a reminder whose call was not placed waits before the next request."""
    counts: bool = True
    """Whether a request that placed no call counts as a try; False while the provider is failing."""


def limit_of(reminder: Reminder, rules: Rules) -> datetime:
    """Return the moment from which no call of the reminder starts: the clinic's limit, or staff's if that is later.

    The call before an appointment never starts after the appointment, even if the limits were changed since.
    """
    clinics = expiry(reminder, rules)
    limit = clinics if reminder.again_until is None else max(clinics, reminder.again_until)
    return limit if reminder.planned_at is None else min(limit, reminder.planned_at)


def lasting_hold(reminder: Reminder) -> HoldCode | None:
    """Return the hold that only staff can end, whatever happens to the reminder; None if it has no such hold."""
    return reminder.hold_code if reminder.hold_code is HoldCode.NUMBER_CHANGED else None


def ended(
    reminder: Reminder, status: Status, code: EndCode | None, now: datetime, reason: str | None = None
) -> Reminder:
    """Return the reminder in a final status, with its reason as a code and a sentence."""
    return evolve(
        reminder,
        status=status,
        end_code=code,
        last_error=reason if reason is not None or code is None else code.sentence,
        ended_at=now,
        hold_code=lasting_hold(reminder),
        retry_at=None,
        wake_at=None,
    )


def scheduled(
    reminder: Reminder, at: datetime, hold: HoldCode | None = None, *, reason: str | None = None, now: datetime
) -> Reminder:
    """Return the reminder as one that waits for a call; the call starts at `at` or later."""
    return evolve(
        reminder,
        status=Status.SCHEDULED,
        end_code=None,
        ended_at=None,
        done_at=None,
        hold_code=lasting_hold(reminder) or hold,
        last_error=reason if reason is not None else reminder.last_error,
        retry_at=at if at > now else None,
        wake_at=max(at, now),
    )


def with_call_status(reminder: Reminder, status: Status) -> Reminder:
    """Return the reminder as one that belongs to an alive call, which is checked instead of it."""
    return evolve(
        reminder,
        status=status,
        wake_at=None,
        hold_code=lasting_hold(reminder),
        end_code=None,
        ended_at=None,
        retry_at=None,
    )


def unconfirmed(ledger: Ledger, call: Call, why: str, rules: Rules, now: datetime) -> Transition:
    """Return a call that may or may not have been placed, with a log line: it waits for a report."""
    unsure = evolve(call, state=CallState.UNCONFIRMED, lease_token=None, wake_at=now + rules.confirm_after)
    processing = [
        evolve(one, status=Status.PROCESSING) for _, one in ledger.current_members(call) if one.status is Status.DIALING
    ]
    return noted(ledger.put(*processing), unsure, f"unconfirmed: {why}; waiting for a report", Level.WARNING)


def close_call(
    ledger: Ledger, closed: Call, end: CallEnd, text: str = "", *, rules: Rules, now: datetime
) -> Transition:
    """Record a call that is closed now, and apply its end to each of its current reminders in the same way.

    A stray call of the number becomes the open call: its phone may still be ringing. `text` is the log line if no
    reminder changes; empty for no log line.
    """
    before = after = ledger.put(closed)
    lines: list[LogLine] = []
    for member, reminder in before.current_members(closed):
        settled = _settled(before, member, reminder, closed, end, rules, now)
        if settled != reminder:
            after = after.put(settled)
            lines.append(line_for(settled, closed, rules))
    alive = after.alive_calls_to(closed.phone_number)
    if alive and not any(one.state.open for one in alive):
        after = after.put(evolve(alive[0], state=CallState.PLACED))
    after = wake_unwanted(before, after, now)
    if text and not lines:
        lines.append(line_about(closed, text))
    return Transition(ledger=after, call=closed, lines=tuple(lines))


def is_unwanted(ledger: Ledger, call: Call) -> bool:
    """Return whether no reminder needs this call anymore; an adopted call is never unwanted."""
    return not call.adopted and all(reminder.status.final for _, reminder in ledger.current_members(call))


def wake_unwanted(before: Ledger, after: Ledger, now: datetime, *, except_for: Call | None = None) -> Ledger:
    """Wake each alive call that `before` still needed and `after` does not: it may be dropped.

    A leased call is left alone, and so is `except_for`, in which somebody has just heard the message.
    """
    idle = (
        one
        for one in after.calls.values()
        if one.state.alive and one.lease_token is None and one.state is not CallState.DIALING
    )
    unwanted = [one for one in idle if is_unwanted(after, one) and not is_unwanted(before, one)]
    return after.put(*(evolve(one, wake_at=now) for one in unwanted if except_for is None or one.id != except_for.id))


def all_cancelled(
    ledger: Ledger, reminders: Iterable[Reminder], code: EndCode, now: datetime, reason: str | None = None
) -> tuple[Ledger, tuple[LogLine, ...]]:
    """Cancel reminders. Their alive calls are reconciled to the end, and dropped if no other reminder needs them."""
    after, lines = ledger, list[LogLine]()
    for reminder in reminders:
        changed = ended(reminder, Status.CANCELLED, code, now, reason)
        after = after.put(changed)
        call = ledger.alive_call(reminder)
        lines.append(
            LogLine(f"cancelled: {changed.last_error}", Level.INFO, reminder.id, None if call is None else call.id)
        )
    return wake_unwanted(ledger, after, now), tuple(lines)


def _settled(
    ledger: Ledger, member: Member, reminder: Reminder, call: Call, end: CallEnd, rules: Rules, now: datetime
) -> Reminder:
    """Return one reminder of a closed call after the call's end."""
    if end.kind in {EndKind.REPORTED, EndKind.REPORTED_LATE} and reached(member, call, rules):
        return called(ledger, reminder, now)
    is_late = end.kind is EndKind.REPORTED_LATE
    if is_late or not reminder.status.in_call or ledger.alive_call(reminder) is not None:
        return reminder
    if end.kind is EndKind.REPORTED:
        return _missed(ledger, member, reminder, call, rules, now)
    return _without_report(ledger, reminder, call, end, rules, now)


def _without_report(
    ledger: Ledger, reminder: Reminder, call: Call, end: CallEnd, rules: Rules, now: datetime
) -> Reminder:
    """Return one reminder of a call that was closed without a report of its end."""
    match end.kind:
        case EndKind.REFUSED:
            return ended(reminder, Status.FAILED, EndCode.REFUSED, now, end.reason)
        case EndKind.UNREPORTED:
            return _unreported(ledger, reminder, call, rules, now)
        case EndKind.NOT_PLACED if end.counts and reminder.tries + 1 >= rules.max_tries:
            tried = evolve(reminder, tries=reminder.tries + 1)
            reason = f"not placed after {tried.tries} tries ({end.reason})"
            return ended(tried, Status.FAILED, EndCode.NOT_PLACED, now, reason)
        case EndKind.NOT_PLACED:
            tried = evolve(reminder, tries=reminder.tries + end.counts)
            reason = f"not placed ({end.reason}); will be tried again"
            return scheduled(tried, now + end.pause, HoldCode.NOT_PLACED, reason=reason, now=now)
        case EndKind.ACCOUNT:
            reason = f"the provider refuses us ({end.reason}); will be tried again"
            return scheduled(reminder, now, HoldCode.ACCOUNT, reason=reason, now=now)
        case EndKind.NOT_SENT if call.phone_number in ledger.opted_out:
            return ended(reminder, Status.CANCELLED, EndCode.OPTED_OUT, now)
        case _:
            reason = f"not sent ({end.reason}); will be tried again"
            return scheduled(reminder, now, HoldCode.NOT_SENT, reason=reason, now=now)


def called(ledger: Ledger, reminder: Reminder, now: datetime) -> Reminder:
    """Return a reminder that reached its patient: it becomes `called`, unless it was cancelled."""
    if reminder.status in {Status.CALLED, Status.CANCELLED}:
        return reminder
    return ended(evolve(reminder, attempts=ledger.attempts(reminder)), Status.CALLED, None, now)


def _unreported(ledger: Ledger, reminder: Reminder, call: Call, rules: Rules, now: datetime) -> Reminder:
    counted = evolve(reminder, attempts=ledger.attempts(reminder), tries=0)
    if not ledger.is_doubtful(reminder, rules) and counted.attempts < rules.max_calls:
        reason = "outcome unknown; will be called once more, as configured"
        return scheduled(counted, now, HoldCode.REDIAL, reason=reason, now=now)
    code = EndCode.NO_REPORT if call.evidence else EndCode.UNCONFIRMED
    return ended(counted, Status.FAILED, code, now)


def why_not_again(member: Member, call: Call) -> tuple[EndCode, str] | None:
    """Return why no automatic call follows this one, as a code and a sentence; None if a call may follow.

    This call has not reached the patient of this member.
    """
    if call.state is CallState.REFUSED:
        return EndCode.REFUSED, call.error or EndCode.REFUSED.sentence
    match member_outcome_of(member, call):
        case CallOutcome.DECLINED:
            return EndCode.DECLINED, f"the provider reported: declined{_details(call)}"
        case CallOutcome.FAILED:
            return EndCode.PROVIDER_FAILED, f"the provider reported: {call.status or 'failed'}{_details(call)}"
        case CallOutcome.HUNG_UP:
            return EndCode.HUNG_UP, EndCode.HUNG_UP.sentence
        case _:
            return None


def _missed(ledger: Ledger, member: Member, reminder: Reminder, call: Call, rules: Rules, now: datetime) -> Reminder:
    """Return the reminder after a call in which it was not heard: redialed while calls and time remain, else failed."""
    attempts = ledger.attempts(reminder)
    counted = evolve(reminder, attempts=attempts, tries=0)
    bar = why_not_again(member, call)
    if bar is not None:
        return ended(counted, Status.FAILED, bar[0], now, bar[1])
    outcome = member_outcome_of(member, call) or CallOutcome.NOT_ANSWERED
    word = _how(outcome, call)
    if attempts >= rules.max_calls:
        return ended(counted, Status.FAILED, EndCode[outcome.name], now, f"{word}, after {attempts} calls")
    at = now + rules.redial_delay(max(attempts, 1))
    opens = next_open(reminder, at, rules)
    if opens is None or opens >= limit_of(reminder, rules):
        return ended(counted, Status.FAILED, EndCode.TOO_LATE, now, f"{word}, and too late for another call")
    redialed = scheduled(counted, at, HoldCode.REDIAL, reason=f"{word}; will be called again", now=now)
    return evolve(redialed, wake_at=opens)  # not `retry_at`: the calling hours may yet change


def _how(outcome: CallOutcome, call: Call) -> str:
    """Return how a call ended after which another may follow, for people."""
    if outcome is CallOutcome.NOT_ANSWERED:
        words = outcome.words if call.status is None else call.status.replace("-", " ")
        return f"{outcome.words}{_details(call)}" if call.status == "failed" else words
    who = listener_of(call.answered_by)
    by = "" if outcome is not CallOutcome.NOT_HEARD or who is Listener.PERSON else f", answered by a {who}"
    return f"{outcome.words}{by}"


def _details(call: Call) -> str:
    """Return what is known about why a call failed, as a suffix."""
    codes = (("error", call.error_code), ("SIP", call.sip_response_code))
    known = ", ".join(f"{name} {code}" for name, code in codes if code is not None)
    return f" ({known})" if known else ""


def line_for(reminder: Reminder, call: Call | None, rules: Rules) -> LogLine:
    """Return the log line for a reminder's new state; if it is `called`, `call` is the one that reached the patient."""
    level, is_expired = Level.INFO, reminder.status is Status.EXPIRED
    if reminder.status is Status.SCHEDULED:
        why = reminder.last_error or (reminder.hold_code.sentence if reminder.hold_code else "its call is over")
        at = None if reminder.retry_at is None else reminder.wake_at
        until = "" if at is None else f", not before {patient_time(at, reminder, rules, to='%H:%M:%S')}"
        text = f"scheduled: {why}{until}"
        level = Level.INFO if reminder.hold_code is HoldCode.REDIAL else Level.WARNING
    elif reminder.status.can_be_called_again:
        text = f"{reminder.status}: {reminder.last_error}"
        level = Level.INFO if reminder.status is Status.CANCELLED else Level.ERROR
    else:
        text = f"{reminder.status}: {_how_reached(call)}"
    return LogLine(text, level, reminder.id, None if call is None else call.id, expired=is_expired)


def _how_reached(call: Call | None) -> str:
    """Return how a call reached the patient, see `reached`."""
    match None if call is None else call.outcome:
        case CallOutcome.CONFIRMED | CallOutcome.HEARD:
            return "somebody heard the message"
        case CallOutcome.HUNG_UP:
            return "hung up, but only after the message"
        case CallOutcome.VOICEMAIL:
            return "voicemail, which counts as reached"
        case _:
            return "the patient was reached"


def patient_time(moment: datetime, reminder: Reminder, rules: PlanningRules, *, to: str = "%H:%M") -> str:
    """Return a moment as the patient's wall clock shows it; `to` is the format of the time of day."""
    return f"{moment.astimezone(zone_of(reminder, rules)):%Y-%m-%d {to} %Z}"
