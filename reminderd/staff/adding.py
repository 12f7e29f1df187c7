"""Add one reminder or one appointment manually; a page first shows what would be spoken, and when."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TypeAlias

from attrs import frozen

from reminderd.core.booking import AppointmentRequest, message_of, plan, why_call_too_late
from reminderd.core.requests import ReminderRequest, expiry, warnings_of, zone_of
from reminderd.core.rules import Rules
from reminderd.core.script.preview import Passage, passages_heard
from reminderd.core.upsert import Decision, Intake
from reminderd.store import reminders
from reminderd.store.appointments import add_appointment, appointment_decisions, find_appointment, stored_appointment
from reminderd.store.connection import Connection
from reminderd.store.intake import Source, similar_ref_warnings
from reminderd.store.opt_outs import has_opted_out
from reminderd.store.queries import ShownValue

AddRequest: TypeAlias = AppointmentRequest | ReminderRequest


@frozen(kw_only=True)
class Added:
    """A reminder that was added."""

    reminder: dict[str, ShownValue]
    """Its row."""
    warnings: tuple[str, ...]
    """Why the patient would not be called, and what would be misspoken; each with what to do about it."""


def add_one(
    connection: Connection, now: datetime, *, request: ReminderRequest, reminder_id: str, rules: Rules, source: Source
) -> Added:
    """Store one new reminder under a new id.

    Raises:
        RefTakenError: another reminder has its `ref`.
    """
    row = reminders.add(connection, now, request=request, reminder_id=reminder_id, source=source)
    own = warnings_of(request, rules, opted_out=has_opted_out(connection, request.phone_number))
    rewritten = similar_ref_warnings(connection, [request])
    return Added(reminder=row, warnings=(*own, *(warning for found in rewritten.values() for warning in found)))


@frozen(kw_only=True)
class ForeseenCall:
    """A call that would be placed."""

    at: datetime | None
    """None if there are no calling hours for it."""
    cadence: str | None = None
    """The entry of `[reminders].before` that plans it; None if staff asked for this call."""
    is_left_out: bool = False
    """Whether it is too late for this call, or there are no calling hours before the appointment."""


@frozen(kw_only=True)
class Foreseen:
    """What a request would lead to now."""

    decision: Decision
    ref_taken_by: str | None
    """The id of the reminder or appointment that already has its `ref`."""
    message: str
    passages: tuple[Passage, ...]
    """What a person would hear, and what a machine would, if it is left a message."""
    language: str
    """The tag of the voice."""
    calls: tuple[ForeseenCall, ...]
    """Empty for a number that has opted out: the decision has a warning about it."""

    @property
    def digest(self) -> str:
        """Return a digest of everything that is shown."""
        return sha256(repr((self.decision, self.passages, self.language, self.calls)).encode()).hexdigest()


class ForeseenOtherwiseError(Exception):
    """What would happen now is not what was shown; nothing was stored."""


def foresee(
    connection: Connection,
    *,
    request: AddRequest,
    rules: Rules,
    source: Source,
    now: datetime,
) -> Foreseen:
    """Return what a request of staff would lead to; write nothing."""
    if isinstance(request, ReminderRequest):
        ((reminder, decision),) = reminders.decisions(connection, now, requests=[request], rules=rules)
        existing_id = None if reminder is None else reminder.id
        message, language = request.message, request.language
        calls = _call_of(request, rules, now)
    else:
        ((known, decision),) = appointment_decisions(connection, now, requests=[request], rules=rules, source=source)
        appointment = None if request.ref is None else known or find_appointment(connection, request.ref)
        existing_id = None if appointment is None else appointment.id
        text = message_of(request, rules.planning)
        message, language = text.text, text.language
        calls = tuple(
            ForeseenCall(at=one.at, cadence=one.cadence, is_left_out=why_call_too_late(one, now) is not None)
            for one in plan(request, rules)
        )
    script = rules.planning.templates.scripts.of(language)
    return Foreseen(
        decision=decision,
        ref_taken_by=None if decision.intake is Intake.UNCHANGED else existing_id,
        message=message,
        passages=passages_heard(script, message, leaves_voicemail=rules.leave_voicemail),
        language=script.language,
        calls=() if has_opted_out(connection, request.phone_number) else calls,
    )


def _call_of(request: ReminderRequest, rules: Rules, now: datetime) -> tuple[ForeseenCall, ...]:
    """Return the first call of a reminder, if there is time for it; a past time means at once."""
    zone = zone_of(request, rules)
    if request.scheduled_at <= now and rules.calling_hours.is_open(now, zone):
        opens: datetime | None = request.scheduled_at
    else:
        opens = rules.calling_hours.next_open(max(request.scheduled_at, now), zone)
    return (ForeseenCall(at=opens),) if opens is not None and opens < expiry(request, rules) else ()


def add_as_shown(
    connection: Connection,
    now: datetime,
    *,
    request: AddRequest,
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
    shown: str,
) -> tuple[Decision, Sequence[Mapping[str, ShownValue]]]:
    """Store what staff ask for, if what would happen is still what was shown.

    What is already stored stays as it is: then the form was sent twice.

    Args:
        connection: in a write transaction.
        now: the time of the transaction.
        request: what staff ask for.
        rules: the clinic's rules.
        mint: returns new random UUIDs.
        source: who asks.
        shown: the digest of what was shown.

    Returns:
        What was done, and the rows of the reminders: the requested reminder, or those of the appointment.

    Raises:
        ForeseenOtherwiseError: What would happen is not what was shown.
        RefTakenError: another reminder, or appointment, has its `ref`.
    """
    foreseen = foresee(connection, request=request, rules=rules, source=source, now=now)
    is_there = foreseen.decision.intake is Intake.UNCHANGED
    if foreseen.digest != shown and not is_there:
        raise ForeseenOtherwiseError
    if isinstance(request, ReminderRequest):
        decision, row = reminders.add_once(connection, now, request=request, rules=rules, mint=mint, source=source)
        return decision, [row] if row else []
    if is_there:
        decision, stored = foreseen.decision, stored_appointment(connection, request.ref or request.own_id)
    else:
        decision, stored = add_appointment(connection, now, request=request, rules=rules, mint=mint, source=source)
    return decision, [] if stored is None else stored.reminders
