"""What a transition returns: the new values, what happened in words, and what the claimer must do next."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from attrs import evolve, frozen

from reminderd.core.lifecycle.company import Leading, Waiting, together
from reminderd.core.reminder import Call, Reminder, Status, open_call

OUTSIDE: Final = "outside the calling hours"
"""Why a reminder waits for its window."""


class Level(StrEnum):
    """How loud a note is in the log."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    """A human must act."""


class Errand(StrEnum):
    """What a claimed row needs done outside the database."""

    DIAL = "dial"
    """Ask the provider to place the call."""
    RESEND = "resend"
    """Send the same request with the same key again: the provider places no second call for it."""
    FETCH = "fetch"
    """Ask how the call with the provider's id stands."""
    FIND = "find"
    """Ask for the call that carries our id."""
    DROP = "drop"
    """Ask to drop the call, as nobody wants it any more, and how it stands then."""


@frozen(kw_only=True)
class Claimed:
    """A leased row and its errand, as they were when they were claimed."""

    reminder: Reminder
    call: Call
    errand: Errand
    riders: tuple[Reminder, ...] = ()
    """Other reminders that the call says, too, in this order."""

    @property
    def message(self) -> str:
        """All that the call says, as sentences one after the other."""
        return together(one.message for one in (self.reminder, *self.riders))

    @property
    def token(self) -> str:
        """Names the lease."""
        return self.reminder.lease_token or ""

    @property
    def resend(self) -> bool:
        """An earlier request with the call's key may have been taken."""
        return self.errand is Errand.RESEND


@frozen
class Note:
    """One line of the log: what changed and why. No phone number, no message text, no transcript."""

    text: str
    level: Level = Level.INFO


@frozen(kw_only=True)
class Step:
    """The outcome of one event: rows to write and words to say. `before` and `after` may be the same."""

    reminder: Reminder
    calls: tuple[Call, ...]
    """All calls of the reminder, as they are after the step."""
    call: Call | None = None
    """The call that the event spoke of, or that the errand is about."""
    errand: Errand | None = None
    notes: tuple[Note, ...] = ()
    duplicate: bool = False
    """The event was a repeat of a terminal report."""
    expired: bool = False
    """The reminder has become `expired` by it."""
    recovered: bool = False
    """A lease had run out in the middle of a request: whoever held it is gone, and the call is unconfirmed."""
    riders: tuple[Reminder, ...] = ()
    """Other reminders that the errand's call says, too."""
    others: "tuple[Step, ...]" = ()
    """What becomes of other reminders along with it."""

    @property
    def claimed(self) -> Claimed | None:
        """What the step asks its claimer to do outside; None if nothing is left to do."""
        if self.errand is None or self.call is None:
            return None
        return Claimed(reminder=self.reminder, call=self.call, errand=self.errand, riders=self.riders)


@frozen(kw_only=True)
class Surroundings:
    """What a claim must know beyond the row: facts about its number, and about dialing as a whole."""

    opted_out: bool = False
    number_busy: bool = False
    """Another reminder has an open call to the same number."""
    number_free_from: datetime | None = None
    """When its number may be rung again by the clinic's limits; None: now."""
    paused: bool = False
    """Staff have paused all dialing."""
    beside: tuple[Waiting, ...] = ()
    """Other reminders that wait for the same number, by their time."""
    riders: tuple[Waiting, ...] = ()
    """Other reminders that its newest call says, too, by their time; some may have ended since."""
    restored_at: datetime | None = None
    """When the database was last restored from a backup; None: never, or staff have had the row rung again since."""
    leading: Leading | None = None
    """The other reminder's call in which it is said, or was to be."""
    dial_from: datetime | None = None
    """None: a line and a pacing token are at hand and dialing is not paused. Else when it is worth looking again."""


def replaced(calls: tuple[Call, ...], call: Call) -> tuple[Call, ...]:
    """The calls with this one in the place of its former self, or added."""
    if any(other.id == call.id for other in calls):
        return tuple(call if other.id == call.id else other for other in calls)
    return (*calls, call)


def at_rest(reminder: Reminder, calls: tuple[Call, ...]) -> Reminder:
    """The reminder with the marks of work taken off once it is final; woken again only while a call is open."""
    if not reminder.status.final:
        return reminder
    if open_call(calls) is None:
        return evolve(reminder, wake_at=None, lease_token=None, hold_reason=None)
    return evolve(reminder, hold_reason=None)


def ended(reminder: Reminder, calls: tuple[Call, ...], status: Status, reason: str | None) -> Reminder:
    """The reminder in a final state with its reason, its lease given up; woken again only while a call is open."""
    wake_at = None if open_call(calls) is None else reminder.wake_at
    return evolve(reminder, status=status, last_error=reason, lease_token=None, hold_reason=None, wake_at=wake_at)
