"""Add one reminder or one appointment: show what would be spoken, and when, before anything is stored."""

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

from attrs import frozen

from reminderd.core.appointments import AppointmentRequest, message_of, plan, too_late_for
from reminderd.core.requests import ReminderRequest, expiry, zone_of
from reminderd.core.rules import Rules
from reminderd.core.script.preview import Passage, heard
from reminderd.core.upsert import Decision, Intake
from reminderd.store.appointments import (
    StoredAppointment,
    add_appointment,
    appointment_decisions,
    find_appointment,
    stored_appointment,
)
from reminderd.store.connection import Connection
from reminderd.store.opt_outs import opted_out
from reminderd.store.queries import Value
from reminderd.store.reminders import Source, add_once, decisions


@frozen(kw_only=True)
class ForeseenCall:
    """A call that would be placed."""

    at: datetime | None
    """None: there are no calling hours for it."""
    cadence: str | None = None
    """The entry of `[reminders].before` that it is planned by; None: it was asked for."""
    is_left_out: bool = False
    """Whether it is too late for it, or there are no calling hours before the appointment."""


@frozen(kw_only=True)
class Foreseen:
    """What would become of a request, as things stand."""

    decision: Decision
    ref_taken_by: str | None
    """The id of what has its `ref` already."""
    message: str
    passages: tuple[Passage, ...]
    """What a person would hear of it and, if it would be left one, a machine."""
    language: str
    """The tag of the voice."""
    calls: tuple[ForeseenCall, ...]
    """None for a number that has opted out: the decision's warnings say so."""

    @property
    def digest(self) -> str:
        """Return what tells it from anything else that could be shown."""
        return sha256(repr((self.decision, self.passages, self.language, self.calls)).encode()).hexdigest()


def foresee_reminder(connection: Connection, *, request: ReminderRequest, rules: Rules, now: datetime) -> Foreseen:
    """Return what would become of a reminder that staff ask for; write nothing."""
    ((existing, decision),) = decisions(connection, now, requests=[request], rules=rules)
    opens = None if opted_out(connection, request.phone_number) else _opens(request, rules, now)
    script = rules.planning.templates.scripts.of(request.language)
    is_taken = existing is not None and decision.intake is not Intake.UNCHANGED
    return Foreseen(
        decision=decision,
        ref_taken_by=existing.id if existing is not None and is_taken else None,
        message=request.message,
        passages=heard(script, request.message, leaves_voicemail=rules.leave_voicemail),
        language=script.language,
        calls=(ForeseenCall(at=opens),) if opens is not None and opens < expiry(request, rules) else (),
    )


def _opens(request: ReminderRequest, rules: Rules, now: datetime) -> datetime | None:
    """Return when its first call may begin; a time that is over means at once."""
    zone = zone_of(request, rules)
    if request.scheduled_at <= now and rules.calling_hours.is_open(now, zone):
        return request.scheduled_at
    return rules.calling_hours.next_open(max(request.scheduled_at, now), zone)


def foresee_appointment(
    connection: Connection, *, request: AppointmentRequest, rules: Rules, source: Source, now: datetime
) -> Foreseen:
    """Return what would become of an appointment that staff ask for; write nothing."""
    ((known, decision),) = appointment_decisions(connection, now, requests=[request], rules=rules, source=source)
    existing = known or (None if request.ref is None else find_appointment(connection, request.ref))
    is_taken = existing is not None and request.ref is not None and decision.intake is not Intake.UNCHANGED
    message = message_of(request, rules.planning)
    script = rules.planning.templates.scripts.of(message.language)
    planned = () if opted_out(connection, request.phone_number) else plan(request, rules)
    calls = [
        ForeseenCall(at=one.at, cadence=one.cadence, is_left_out=too_late_for(one, now) is not None) for one in planned
    ]
    return Foreseen(
        decision=decision,
        ref_taken_by=existing.id if existing is not None and is_taken else None,
        message=message.text,
        passages=heard(script, message.text, leaves_voicemail=rules.leave_voicemail),
        language=script.language,
        calls=tuple(calls),
    )


class ForeseenOtherwiseError(Exception):
    """What would happen now is not what was shown; nothing was stored."""


def add_reminder_as_shown(
    connection: Connection,
    now: datetime,
    *,
    request: ReminderRequest,
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
    shown: str,
) -> tuple[Decision, dict[str, Value]]:
    """Store a reminder if what would happen is still what was shown; return what was done, and its row.

    One that is there already stays as it is: the form was sent twice.

    Args:
        connection: in a write transaction.
        now: the time of the transaction.
        request: what staff ask for.
        rules: the clinic's rules.
        mint: returns new random UUIDs.
        source: who asks.
        shown: the digest of what was shown.

    Raises:
        ForeseenOtherwiseError: It is not.
        RefTakenError: another reminder has its `ref`.
    """
    foreseen = foresee_reminder(connection, request=request, rules=rules, now=now)
    if foreseen.digest != shown and foreseen.decision.intake is not Intake.UNCHANGED:
        raise ForeseenOtherwiseError
    return add_once(connection, now, request=request, rules=rules, mint=mint, source=source)


def add_appointment_as_shown(
    connection: Connection,
    now: datetime,
    *,
    request: AppointmentRequest,
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
    shown: str,
) -> tuple[Decision, StoredAppointment | None]:
    """Store an appointment in the same way, and plan its calls.

    Raises:
        ForeseenOtherwiseError: What would happen is not what was shown.
        RefTakenError: another appointment has its `ref`.
    """
    foreseen = foresee_appointment(connection, request=request, rules=rules, source=source, now=now)
    if foreseen.decision.intake is Intake.UNCHANGED:
        return foreseen.decision, stored_appointment(connection, request.ref or request.own_id)
    if foreseen.digest != shown:
        raise ForeseenOtherwiseError
    return add_appointment(connection, now, request=request, rules=rules, mint=mint, source=source)
