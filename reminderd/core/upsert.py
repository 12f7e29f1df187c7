"""Decide whether a request adds or changes the reminder that it names, leaves it unchanged, or is refused."""

import hmac
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final, NamedTuple

from attrs import evolve, frozen

from reminderd.core.model import Status
from reminderd.core.requests import ReminderRequest, warnings_of, why_too_late
from reminderd.core.rules import Rules

HELD: Final = (
    "phone_number: not the one that its ref had before; nobody is called until staff use reminderd accept, or cancel"
)
_OVER: Final = "its new time is in the past: it will expire, and nobody is called at the former time"
_AFTER_SALT: Final = ":"
_SHOWN: Final = 2
"""How many digits of a former phone number staff see."""


class Content(NamedTuple):
    """The values of a reminder that an edited line can change."""

    phone_number: str
    message: str
    scheduled_at: datetime
    expires_at: datetime | None
    timezone: str | None
    language: str | None


class Intake(StrEnum):
    """What happens to a reminder that somebody asks for."""

    ADDED = "added"
    CHANGED = "changed"
    HELD = "held"
    """Changed to another phone number: staff must accept it, as its `ref` may name another patient's reminder."""
    UNCHANGED = "unchanged"
    CANCELLED = "cancelled"
    """The row says that the appointment does not take place."""
    NOT_NEEDED = "not needed"
    """The row says that the appointment does not take place, and no reminder waits for it."""
    CONFLICT = "conflict"
    """The reminder with this `ref` has another phone number, or can't be changed anymore."""
    TOO_LATE = "too late"


@frozen
class Decision:
    """What happens to a reminder that somebody asks for, and the reason if it is refused."""

    intake: Intake
    reason: str = ""
    """Empty if it is not refused."""
    warnings: tuple[str, ...] = ()
    """Warnings about a reminder that is stored, but should be checked again."""

    @property
    def refused(self) -> bool:
        """Return whether nothing is stored."""
        return self.intake in {Intake.CONFLICT, Intake.TOO_LATE}


@frozen(kw_only=True)
class ExistingReminder:
    """The part of a stored reminder that a request can change or depends on."""

    id: str
    content: Content
    status: Status
    was_called: bool
    """Whether any call was made for it."""
    withdrawn: bool = False
    """Whether the clinic's own system has cancelled it."""
    held: str | None = None
    """Why it is held for staff, if its phone number was changed; otherwise None."""
    former: str | None = None
    """Its number before that change, as `number_seal` returns it; None if not known."""
    source: str | None = None
    """The import profile of the last file that named it; None if no such file did."""


@frozen(kw_only=True)
class ReminderCancellation:
    """A row that says that its appointment does not take place."""

    ref: str | None
    request: ReminderRequest | None = None
    """The reminder that the row would add, which identifies it if there is no `ref`; None if the row can't be read."""
    phone_number: str | None = None
    """The number of the patient; None if the row has no number."""

    @property
    def name(self) -> str:
        """Return the `ref` of the reminder, or the id that it has without one."""
        return self.ref or (self.request.own_id if self.request is not None else "")


def content_of(wanted: ReminderRequest) -> Content:
    """Return the values of a request that an edited line can change."""
    return Content(
        wanted.phone_number,
        wanted.message,
        wanted.scheduled_at,
        wanted.expires_at,
        wanted.timezone,
        wanted.language,
    )


def decide_reminder_cancellation(asked: ReminderCancellation, existing: ExistingReminder | None) -> Decision:
    """Decide what happens to the reminder of an appointment that does not take place."""
    if existing is None or existing.status.final:
        return Decision(Intake.NOT_NEEDED)
    if asked.phone_number is not None and asked.phone_number != existing.content.phone_number:
        why = (
            "not cancelled: the reminder with this ref has another phone number; expected the same, or reminderd cancel"
        )
        return Decision(Intake.CONFLICT, why)
    return Decision(Intake.CANCELLED)


def decide_reminder(
    request: ReminderRequest, existing: ExistingReminder | None, rules: Rules, now: datetime, *, opted_out: bool
) -> Decision:
    """Decide what a request does to the reminder that has its `ref` or id; the same for every kind of intake.

    A request with the content that is already stored changes nothing, whatever the status of its reminder. If the
    reminder will not be called although its time is in the future, there is a warning.
    """
    decided = _decide(request, existing, rules, now)
    if decided.intake is Intake.UNCHANGED and existing is not None:
        return evolve(decided, warnings=_given_up(existing, now))
    if decided.refused:
        return decided
    if existing is not None and existing.held is not None and existing.content == content_of(request):
        return evolve(decided, warnings=(f"held, nobody is called: {existing.held}",))
    held = (HELD,) if decided.intake is Intake.HELD else ()
    over = () if why_too_late(request, rules, now) is None else (_OVER,)
    return evolve(decided, warnings=(*held, *over, *warnings_of(request, rules, opted_out=opted_out)))


def _decide(request: ReminderRequest, existing: ExistingReminder | None, rules: Rules, now: datetime) -> Decision:
    if existing is None:
        late = why_too_late(request, rules, now)
        return Decision(Intake.ADDED) if late is None else Decision(Intake.TOO_LATE, late)
    if existing.content == content_of(request):
        is_held = existing.held is not None and existing.status is Status.SCHEDULED
        return Decision(Intake.HELD if is_held else Intake.UNCHANGED)
    if existing.status is not Status.SCHEDULED:
        why = f"not changed: the reminder is already {existing.status}; expected it unchanged, or another ref"
        return Decision(Intake.CONFLICT, why)
    if existing.was_called:
        why = "not changed: it was called already and will be again; expected it unchanged, or another ref"
        return Decision(Intake.CONFLICT, why)
    is_former = existing.held is not None and is_seal_of(existing.former, request.phone_number)
    is_sure = is_former or (existing.held is None and existing.content.phone_number == request.phone_number)
    # Changed even if its new time is in the past: if it were refused, the patient would be called at the former time.
    return Decision(Intake.CHANGED if is_sure else Intake.HELD)


def _given_up(existing: ExistingReminder, now: datetime) -> tuple[str, ...]:
    """Return a warning about a reminder that is asked for again, but will not be called."""
    if not existing.status.can_be_called_again or existing.content.scheduled_at <= now:
        return ()
    what = f"its reminder is {existing.status}, and will not be called"
    return (f"{what}; reminderd call-again {existing.id} schedules it again",)


def number_seal(phone_number: str, salt: str) -> str:
    """Return a salted hash of a number, which can be recognized by it, but not read or called."""
    return f"{salt}{_AFTER_SALT}{hmac.new(salt.encode(), phone_number.encode(), sha256).hexdigest()}"


def is_seal_of(seal: str | None, phone_number: str) -> bool:
    """Return whether a hash is the hash of this number; False for None."""
    salt, _, _ = (seal or "").partition(_AFTER_SALT)
    return seal == number_seal(phone_number, salt)


def why_held(existing: ExistingReminder, source: str) -> str:
    """Return the reason, for staff, why a reminder is held; `source` is where the change comes from.

    If the number changes several times, the reason names the last number that needed no acceptance.
    """
    if existing.held is not None:
        return existing.held
    return number_changed_reason(existing.content.phone_number, source)


def number_changed_reason(former: str, source: str) -> str:
    """Return why staff must accept a number; `former` is the number before, `source` is where the change comes from."""
    return f"phone number changed ({source}), the former one ended in {former[-_SHOWN:]}: accept the new one, or cancel"
