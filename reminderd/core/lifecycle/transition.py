"""What a lifecycle function sees and returns, and the one function that applies the end of a call to its reminders."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter

import attrs
from attrs import field, frozen

from reminderd.core.answers import Listener, listener
from reminderd.core.model import Appointment, Call, CallOutcome, CallState, Member, Reminder, Status, evolve
from reminderd.core.outcomes import outcome_for, reached
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.requests import zone_of
from reminderd.core.rules import PlanningRules, Rules


class Level(StrEnum):
    """The level of a log line."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    """A human must act."""


@frozen
class LogLine:
    """What changed and why; never contains a phone number, a message or a transcript."""

    text: str
    level: Level = Level.INFO
    reminder_id: str | None = None
    call_id: str | None = None
    expired: bool = False
    """The reminder became `expired`."""


class ActionKind(StrEnum):
    """What must be done outside the database."""

    PLACE = "place"
    """Ask the provider to place the call."""
    RESEND = "resend"
    """Send the same request with the same key again: the provider places no second call for it."""
    FETCH = "fetch"
    """Ask for the state of the call with the provider's id."""
    FIND = "find"
    """Ask for the call that carries our id."""
    DROP = "drop"
    """Ask the provider to drop the call, because no reminder needs it anymore, and ask for its state afterward."""

    @property
    def is_request(self) -> bool:
        """Return whether it asks the provider to place a call."""
        return self in {ActionKind.PLACE, ActionKind.RESEND}


@frozen(kw_only=True)
class Action:
    """What must be done for a claimed call, under the lease of `call`."""

    kind: ActionKind
    call: Call
    reminders: tuple[Reminder, ...]
    """Its reminders, in the order in which they are spoken."""
    message: str
    """Everything that the call speaks."""

    @property
    def token(self) -> str:
        """Return the token that identifies the lease."""
        return self.call.lease_token or ""

    @property
    def language(self) -> str | None:
        """Return the language of its reminders, a BCP 47 tag; None: the clinic's own."""
        return next((one.language for one in self.reminders), None)


@frozen(kw_only=True)
class Ledger:
    """What a decision sees of the database: some reminders with all their memberships and calls, and their numbers.

    The code that loads it adds, for each call, its other memberships and their reminders, and for each number its alive
    calls.
    """

    reminders: Mapping[str, Reminder] = field(factory=dict)
    calls: Mapping[str, Call] = field(factory=dict)
    members: Mapping[tuple[str, str], Member] = field(factory=dict)
    """By the ids of the call and the reminder."""
    appointments: Mapping[str, Appointment] = field(factory=dict)
    """Those of the reminders that were asked for; one that is missing was deleted."""
    opted_out: frozenset[str] = frozenset()
    """Those of the numbers that have opted out."""
    heard_at: Mapping[str, tuple[datetime, ...]] = field(factory=dict)
    """When each number was reached recently, if the limits need it."""
    newest_seq: int = 0
    """The `seq` of the newest call of all."""
    restored_at: datetime | None = None
    """The time up to which a restored backup may have forgotten calls; None: none was restored."""
    restored_seq: int = 0
    """The `seq` of the newest call at that time."""

    def put(self, *rows: Reminder | Call | Member | Appointment) -> "Ledger":
        """Return the ledger with these rows instead of their earlier versions."""
        if not rows:
            return self
        reminders, calls, members = dict(self.reminders), dict(self.calls), dict(self.members)
        appointments = self.appointments
        for row in rows:
            if isinstance(row, Reminder):
                reminders[row.id] = row
            elif isinstance(row, Call):
                calls[row.id] = row
            elif isinstance(row, Member):
                members[row.call_id, row.reminder_id] = row
            else:
                appointments = {**appointments, row.id: row}
        return Ledger(  # what `evolve` would do, several times for each event, in three times the time
            reminders=reminders,
            calls=calls,
            members=members,
            appointments=appointments,
            opted_out=self.opted_out,
            heard_at=self.heard_at,
            newest_seq=self.newest_seq,
            restored_at=self.restored_at,
            restored_seq=self.restored_seq,
        )

    def members_of(self, call: Call) -> list[Member]:
        """Return all memberships of a call, in the order in which they are spoken."""
        return sorted((one for one in self.members.values() if one.call_id == call.id), key=attrgetter("position"))

    def current(self, call: Call) -> list[tuple[Member, Reminder]]:
        """Return the memberships of a call that are current, each with its reminder.

        A reminder that was moved, got another number or was deleted since has left its calls.
        """
        found = ((member, self.reminders.get(member.reminder_id)) for member in self.members_of(call))
        return [(member, one) for member, one in found if one is not None and _is_current(member, one, call)]

    def history(self, reminder: Reminder) -> list[tuple[Member, Call]]:
        """Return the current memberships of a reminder, each with its call, oldest first."""
        if not self.members:  # as for most reminders that are claimed, which asks ten times
            return []
        found = ((one, self.calls[one.call_id]) for one in self.members.values() if one.reminder_id == reminder.id)
        return sorted(
            ((member, call) for member, call in found if _is_current(member, reminder, call)),
            key=lambda pair: pair[1].seq,
        )

    def has_left(self, reminder: Reminder) -> bool:
        """Return whether the reminder was in calls, and was moved or got another number after all of them."""
        was_called = any(one.reminder_id == reminder.id and not one.deleted for one in self.members.values())
        return was_called and not self.history(reminder)

    def counted(self, reminder: Reminder) -> list[tuple[Member, Call]]:
        """Return the part of its history since staff asked to call it again, without adopted calls."""
        return [
            (member, call)
            for member, call in self.history(reminder)
            if call.seq > reminder.again_seq and not call.adopted
        ]

    def alive_call(self, reminder: Reminder) -> Call | None:
        """Return the alive call of which the reminder is a current member, or None."""
        return next((call for _, call in self.history(reminder) if call.state.alive), None)

    def alive_at(self, phone_number: str) -> list[Call]:
        """Return the alive calls to a number, oldest first."""
        alive = (one for one in self.calls.values() if one.phone_number == phone_number and one.state.alive)
        return sorted(alive, key=attrgetter("seq"))

    def attempts(self, reminder: Reminder) -> int:
        """Return how many of its counted calls are over, or were heard."""
        over = {CallState.ENDED, CallState.UNREPORTED}
        return sum(call.state in over or call.outcome is not None for _, call in self.counted(reminder))

    def doubtful(self, reminder: Reminder, rules: Rules) -> bool:
        """Return whether nobody knows if one of its calls was heard, and the clinic does not allow another call."""
        unknown = [call for _, call in self.counted(reminder) if call.state is CallState.UNREPORTED]
        once_more = rules.call_again_when_unsure and len(unknown) == 1 and not unknown[0].evidence
        return bool(unknown) and not once_more

    def was_heard(self, reminder: Reminder, rules: Rules) -> bool:
        """Return whether the patient heard this reminder in one of its current calls."""
        return any(reached(member, call, rules) for member, call in self.history(reminder))


@frozen(kw_only=True)
class Transition:
    """The result of one event: the rows as they are after it, its log lines, and what must be done outside."""

    ledger: Ledger
    lines: tuple[LogLine, ...] = ()
    action: Action | None = None
    call: Call | None = None
    """The call that the event was about; None: there is none."""
    duplicate: bool = False
    """The event was a repeat of a terminal report."""
    recovered: bool = False
    """A lease had run out in the middle of a request: its process no longer exists."""

    def after(self, lines: Iterable[LogLine]) -> "Transition":
        """Return the transition with these log lines before its own."""
        return attrs.evolve(self, lines=(*lines, *self.lines))


class EndKind(StrEnum):
    """What closed a call."""

    REPORTED = "reported"
    """The provider reported its end; the call's outcome shows how it ended."""
    NOTED = "noted"
    """The same for a call that was closed before: only what was heard counts."""
    REFUSED = "refused"
    NOT_PLACED = "not_placed"
    ACCOUNT = "account"
    """Not placed: the provider refuses us."""
    NOT_SENT = "not_sent"
    """Not placed: we did not send the request."""
    UNREPORTED = "unreported"


@frozen(kw_only=True)
class CallEnd:
    """How a call was closed, as its reminders need to know it."""

    kind: EndKind
    reason: str = ""
    """The reason as a sentence."""
    pause: timedelta = timedelta(0)
    """How long a reminder whose call was not placed waits before the next request."""
    counts: bool = True
    """A request that was not placed counts as a try (not while the provider is failing)."""


def limit_of(reminder: Reminder, rules: Rules) -> datetime:
    """Return the moment from which no call of the reminder starts: the clinic's limit, or staff's if that is later.

    The call before an appointment never starts after it, whatever the limits have become since it was planned.
    """
    clinics = reminder.expires_at or reminder.scheduled_at + rules.max_lateness
    limit = clinics if reminder.again_until is None else max(clinics, reminder.again_until)
    return limit if reminder.planned_at is None else min(limit, reminder.planned_at)


def lasting_hold(reminder: Reminder) -> HoldCode | None:
    """Return the hold that only staff end, whatever happens to the reminder; None: it has none."""
    return reminder.hold_code if reminder.hold_code is HoldCode.NUMBER_CHANGED else None


def ended(
    reminder: Reminder,
    status: Status,
    code: EndCode | None,
    now: datetime,
    reason: str | None = None,
    *,
    attempts: int | None = None,
) -> Reminder:
    """Return the reminder in a final status, with its reason as a code and a sentence.

    `attempts` is its new count of them; None: the count that it has.
    """
    words = reason if reason is not None or code is None else code.sentence
    return evolve(
        reminder,
        status=status,
        attempts=reminder.attempts if attempts is None else attempts,
        end_code=code,
        last_error=words,
        ended_at=now,
        hold_code=lasting_hold(reminder),
        retry_at=None,
        wake_at=None,
    )


def scheduled(
    reminder: Reminder, at: datetime, hold: HoldCode | None = None, *, reason: str | None = None, now: datetime
) -> Reminder:
    """Return the reminder as one that waits for a call, which starts at `at` or later."""
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


def close(
    ledger: Ledger, closed: Call, end: CallEnd, *, rules: Rules, now: datetime
) -> tuple[Ledger, tuple[LogLine, ...]]:
    """Record a call that is closed now, and apply its end to each of its reminders.

    A stray call of the number becomes the open call: its phone may still be ringing.
    """
    before = ledger.put(closed)
    after, lines = _settle(before, closed, end, rules, now)
    alive = after.alive_at(closed.phone_number)
    if alive and not any(one.state.open for one in alive):
        after = after.put(evolve(alive[0], state=CallState.PLACED))
    return wake_unwanted(before, after, closed, now), lines


def is_unwanted(ledger: Ledger, call: Call) -> bool:
    """Return whether no reminder needs this call anymore; one that we do not know is never unwanted."""
    return not call.adopted and all(reminder.status.final for _, reminder in ledger.current(call))


def wake_left(before: Ledger, after: Ledger, now: datetime) -> Ledger:
    """Have alive calls looked at that no reminder needs anymore since the earlier ledger: they may be dropped."""
    unwanted = [one for one in after.calls.values() if one.state.alive and is_unwanted(after, one)]
    return after.put(*(evolve(one, wake_at=now) for one in unwanted if _is_idle(one) and not is_unwanted(before, one)))


def called_off(
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
    return wake_left(ledger, after, now), tuple(lines)


def _is_idle(call: Call) -> bool:
    """Return whether nobody works on a call just now."""
    return call.lease_token is None and call.state is not CallState.DIALING


def wake_unwanted(before: Ledger, after: Ledger, call: Call, now: datetime) -> Ledger:
    """Have other alive calls to the number looked at that no reminder needs since it was heard in this call."""
    others = [one for one in after.alive_at(call.phone_number) if one.id != call.id]
    unwanted = [one for one in others if is_unwanted(after, one) and not is_unwanted(before, one)]
    return after.put(*(evolve(one, wake_at=now) for one in unwanted if _is_idle(one)))


def _settle(
    ledger: Ledger, call: Call, end: CallEnd, rules: Rules, now: datetime
) -> tuple[Ledger, tuple[LogLine, ...]]:
    """Apply the end of a closed call to each of its current members in the same way."""
    lines: list[LogLine] = []
    after = ledger
    for member, reminder in ledger.current(call):
        settled = _settled(ledger, member, reminder, call, end, rules, now)
        if settled != reminder:
            after = after.put(settled)
            lines.append(line_for(settled, call, rules))
    return after, tuple(lines)


def _settled(
    ledger: Ledger, member: Member, reminder: Reminder, call: Call, end: CallEnd, rules: Rules, now: datetime
) -> Reminder:
    """Return one member of a closed call as the call's end leaves it."""
    if end.kind in {EndKind.REPORTED, EndKind.NOTED} and reached(member, call, rules):
        return called(ledger, reminder, now)
    is_noted = end.kind is EndKind.NOTED
    if is_noted or not reminder.status.in_call or ledger.alive_call(reminder) is not None:
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
            reason = f"not placed after {tried.tries} tries: {end.reason}"
            return ended(tried, Status.FAILED, EndCode.NOT_PLACED, now, reason)
        case EndKind.NOT_PLACED:
            tried = evolve(reminder, tries=reminder.tries + end.counts)
            return scheduled(tried, now + end.pause, HoldCode.NOT_PLACED, reason=f"not placed: {end.reason}", now=now)
        case EndKind.ACCOUNT:
            reason = f"the provider refuses us: {end.reason}"
            return scheduled(reminder, now, HoldCode.ACCOUNT, reason=reason, now=now)
        case EndKind.NOT_SENT if call.phone_number in ledger.opted_out:
            return ended(reminder, Status.CANCELLED, EndCode.OPTED_OUT, now)
        case _:
            return scheduled(reminder, now, HoldCode.NOT_SENT, reason=f"not sent: {end.reason}", now=now)


def called(ledger: Ledger, reminder: Reminder, now: datetime) -> Reminder:
    """Return a reminder that reached its patient: it becomes `called`, whatever it was, unless it was cancelled."""
    if reminder.status in {Status.CALLED, Status.CANCELLED}:
        return reminder
    return ended(reminder, Status.CALLED, None, now, attempts=ledger.attempts(reminder))


def _unreported(ledger: Ledger, reminder: Reminder, call: Call, rules: Rules, now: datetime) -> Reminder:
    counted = evolve(reminder, attempts=ledger.attempts(reminder), tries=0)
    if not ledger.doubtful(reminder, rules) and counted.attempts < rules.max_calls:
        reason = "outcome unknown: called once more, as configured"
        return scheduled(counted, now, HoldCode.REDIAL, reason=reason, now=now)
    code = EndCode.NO_REPORT if call.evidence else EndCode.UNCONFIRMED
    return ended(counted, Status.FAILED, code, now)


_ENDS_BY_OUTCOME = {
    CallOutcome.NOT_ANSWERED: EndCode.NOT_ANSWERED,
    CallOutcome.VOICEMAIL: EndCode.VOICEMAIL,
    CallOutcome.NOT_HEARD: EndCode.NOT_HEARD,
}


def bar_of(member: Member, call: Call) -> tuple[EndCode, str] | None:
    """Return why there is no automatic call after this one, as a code and a sentence; None: there may be one.

    The call has not reached the patient of this member.
    """
    if call.state is CallState.REFUSED:
        return EndCode.REFUSED, call.error or EndCode.REFUSED.sentence
    match outcome_for(member, call):
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
    bar = bar_of(member, call)
    if bar is not None:
        return ended(counted, Status.FAILED, bar[0], now, bar[1])
    outcome = outcome_for(member, call) or CallOutcome.NOT_ANSWERED
    code = _ENDS_BY_OUTCOME[outcome]
    word = _how(outcome, call)
    if attempts >= rules.max_calls:
        return ended(counted, Status.FAILED, code, now, f"{word}, after {attempts} calls")
    at = now + rules.redial_delay(max(attempts, 1))
    opens = rules.calling_hours.next_open(at, zone_of(reminder, rules))
    if opens is None or opens >= limit_of(reminder, rules):
        return ended(counted, Status.FAILED, EndCode.TOO_LATE, now, f"{word}, and too late for another call")
    redialed = scheduled(counted, at, HoldCode.REDIAL, reason=f"{word}; will be called again", now=now)
    return evolve(redialed, wake_at=opens)  # not `retry_at`: the calling hours may yet change


def _how(outcome: CallOutcome, call: Call) -> str:
    """Return how a call that may be repeated has ended, for people."""
    if outcome is CallOutcome.NOT_ANSWERED:
        words = outcome.words if call.status is None else call.status.replace("-", " ")
        return f"{outcome.words}{_details(call)}" if call.status == "failed" else words
    who = listener(call.answered_by)
    by = "" if outcome is not CallOutcome.NOT_HEARD or who is Listener.PERSON else f", answered by a {who}"
    return f"{outcome.words}{by}"


def _details(call: Call) -> str:
    """Return what is known about why a call failed, as a suffix."""
    codes = (("error", call.error_code), ("SIP", call.sip_response_code))
    known = ", ".join(f"{name} {code}" for name, code in codes if code is not None)
    return f" ({known})" if known else ""


def line_for(reminder: Reminder, call: Call | None, rules: Rules) -> LogLine:
    """Return the log line for a reminder's new state."""
    level, is_expired = Level.INFO, reminder.status is Status.EXPIRED
    if reminder.status is Status.SCHEDULED:
        why = reminder.last_error or (reminder.hold_code.sentence if reminder.hold_code else "its call is over")
        at = None if reminder.retry_at is None else reminder.wake_at
        until = "" if at is None else f", not before {local(at, reminder, rules)}"
        text = f"scheduled again: {why}{until}"
        level = Level.INFO if reminder.hold_code is HoldCode.REDIAL else Level.WARNING
    elif reminder.status in {Status.FAILED, Status.EXPIRED}:
        text, level = f"{reminder.status}: {reminder.last_error}", Level.ERROR
    elif reminder.status is Status.CANCELLED:
        text = f"cancelled: {reminder.last_error}"
    else:
        text = str(reminder.status)
    return LogLine(text, level, reminder.id, None if call is None else call.id, expired=is_expired)


def local(moment: datetime, reminder: Reminder, rules: PlanningRules) -> str:
    """Return a moment as the patient's wall clock shows it."""
    return f"{moment.astimezone(zone_of(reminder, rules)):%Y-%m-%d %H:%M %Z}"


def _is_current(member: Member, reminder: Reminder, call: Call) -> bool:
    """Return whether a call is still about the reminder as it is now."""
    is_same = member.scheduled_at == reminder.scheduled_at and call.phone_number == reminder.phone_number
    return is_same and not member.deleted
