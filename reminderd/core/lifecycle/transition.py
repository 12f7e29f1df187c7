"""What a lifecycle function gets and returns: a ledger, and a transition with its log lines and its action."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Final

import attrs
from attrs import field, frozen

from reminderd.core.model import Appointment, Call, CallState, Member, Reminder
from reminderd.core.outcomes import reached
from reminderd.core.requests import zone_of
from reminderd.core.rules import Rules

_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。")


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
    """Whether the reminder became `expired`."""


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

    @property
    def message(self) -> str:
        """Return everything that the call speaks."""
        return spoken_together(one.message for one in self.reminders)

    @property
    def token(self) -> str:
        """Return the token that identifies the lease."""
        return self.call.lease_token or ""

    @property
    def language(self) -> str | None:
        """Return the language of its reminders, a BCP 47 tag; None for the clinic's own."""
        return next((one.language for one in self.reminders), None)


@frozen(kw_only=True)
class Ledger:
    """The part of the database that a decision uses: some reminders, their memberships, calls and numbers.

    The code that loads it adds, for each call, its other memberships and their reminders, and for each number its alive
    calls.
    """

    reminders: Mapping[str, Reminder] = field(factory=dict)
    calls: Mapping[str, Call] = field(factory=dict)
    members: Mapping[tuple[str, str], Member] = field(factory=dict)
    """By the ids of the call and the reminder."""
    appointments: Mapping[str, Appointment] = field(factory=dict)
    """The appointments of the reminders for which it was loaded; a missing appointment was deleted."""
    opted_out: frozenset[str] = frozenset()
    """The phone numbers among these that have opted out."""
    heard_at: Mapping[str, tuple[datetime, ...]] = field(factory=dict)
    """When each number was reached recently; loaded only if there are limits."""
    newest_seq: int = 0
    """The `seq` of the newest call of all."""
    restored_at: datetime | None = None
    """The time up to which a restored backup may have forgotten calls; None if no backup was restored."""
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
        return Ledger(  # `evolve` would take three times as long, several times for each event
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

    def current_members(self, call: Call) -> list[tuple[Member, Reminder]]:
        """Return the current memberships of a call, each with its reminder.

        A reminder that was moved, got another number or was deleted after a call has left the call.
        """
        found = ((member, self.reminders.get(member.reminder_id)) for member in self.members_of(call))
        return [(member, one) for member, one in found if one is not None and _is_current(member, one, call)]

    def history(self, reminder: Reminder) -> list[tuple[Member, Call]]:
        """Return the current memberships of a reminder, each with its call, oldest first."""
        if not self.members:  # as for most claimed reminders, whose claim asks ten times
            return []
        found = ((one, self.calls[one.call_id]) for one in self.members.values() if one.reminder_id == reminder.id)
        return sorted(
            ((member, call) for member, call in found if _is_current(member, reminder, call)),
            key=lambda pair: pair[1].seq,
        )

    def has_left(self, reminder: Reminder) -> bool:
        """Return whether the reminder was in calls, and has left all of them since."""
        return self.was_called(reminder) and not self.history(reminder)

    def was_called(self, reminder: Reminder) -> bool:
        """Return whether any call was made for the reminder."""
        return any(one.reminder_id == reminder.id and not one.deleted for one in self.members.values())

    def counted_calls(self, reminder: Reminder) -> list[tuple[Member, Call]]:
        """Return its history since staff last asked to call again, without adopted calls."""
        return [
            (member, call)
            for member, call in self.history(reminder)
            if call.seq > reminder.again_seq and not call.adopted
        ]

    def alive_call(self, reminder: Reminder) -> Call | None:
        """Return the alive call of which the reminder is a current member, or None."""
        return next((call for _, call in self.history(reminder) if call.state.alive), None)

    def alive_calls_to(self, phone_number: str) -> list[Call]:
        """Return the alive calls to a number, oldest first; none for the empty number of purged calls."""
        alive = (
            one for one in self.calls.values() if phone_number and one.phone_number == phone_number and one.state.alive
        )
        return sorted(alive, key=attrgetter("seq"))

    def attempts(self, reminder: Reminder) -> int:
        """Return how many of its counted calls have ended, or were heard."""
        over = {CallState.ENDED, CallState.UNREPORTED}
        return sum(call.state in over or call.outcome is not None for _, call in self.counted_calls(reminder))

    def is_doubtful(self, reminder: Reminder, rules: Rules) -> bool:
        """Return whether nobody knows if one of its calls was heard, and the clinic does not allow another call."""
        unknown = [call for _, call in self.counted_calls(reminder) if call.state is CallState.UNREPORTED]
        once_more = rules.call_again_when_unsure and len(unknown) == 1 and not unknown[0].evidence
        return bool(unknown) and not once_more

    def free_from(self, reminder: Reminder, rules: Rules, now: datetime) -> datetime | None:
        """Return when the clinic's limits allow another call to the reminder's number; None if now."""
        heard_at, limits = self.heard_at.get(reminder.phone_number, ()), rules.limits
        return limits.free_from(heard_at, now, zone_of(reminder, rules)) if limits.is_set else None

    def was_heard(self, reminder: Reminder, rules: Rules) -> bool:
        """Return whether the patient heard this reminder in one of its current calls."""
        return any(reached(member, call, rules) for member, call in self.history(reminder))


@frozen(kw_only=True)
class Transition:
    """The result of one event: the rows after it, its log lines, and what must be done outside the database."""

    ledger: Ledger
    lines: tuple[LogLine, ...] = ()
    action: Action | None = None
    call: Call | None = None
    """The call that the event was about; None if it was about no call."""
    duplicate: bool = False
    """Whether the event was a repeated terminal report."""
    recovered: bool = False
    """Whether a lease had expired during a request: its process no longer exists."""

    def with_lines_before(self, lines: Iterable[LogLine]) -> "Transition":
        """Return the transition with these log lines before its own."""
        return attrs.evolve(self, lines=(*lines, *self.lines))


def noted(ledger: Ledger, call: Call, text: str, level: Level = Level.INFO) -> Transition:
    """Return a transition that stores a call, with a log line about it."""
    return Transition(ledger=ledger.put(call), call=call, lines=(line_about(call, text, level),))


def line_about(call: Call, text: str, level: Level = Level.INFO) -> LogLine:
    """Return a log line about a call."""
    return LogLine(text, level, call.reminder_id, call.id)


def spoken_together(messages: Iterable[str]) -> str:
    """Return everything that one call speaks: each message as a separate sentence; a single message is unchanged."""
    texts = tuple(messages)
    if len(texts) == 1:
        return texts[0]
    return " ".join(text if text.endswith(_SENTENCE_ENDS) else f"{text}." for text in map(str.strip, texts))


def _is_current(member: Member, reminder: Reminder, call: Call) -> bool:
    """Return whether a call is still about the reminder as it is now."""
    is_same = member.scheduled_at == reminder.scheduled_at and call.phone_number == reminder.phone_number
    return is_same and not member.deleted
