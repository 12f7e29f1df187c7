"""Add, change, move and cancel appointments, each with its reminders in the same transaction."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from attrs import frozen
from loguru import logger

from reminderd.core.booking import (
    AppointmentCancellation,
    AppointmentRequest,
    decide_appointment,
    decide_appointment_cancellation,
    with_content,
)
from reminderd.core.lifecycle.replan import appointment_cancelled, booked, replanned, unplanned_by_error
from reminderd.core.lifecycle.transition import Ledger, Transition
from reminderd.core.model import Appointment, AppointmentStatus, Reminder, evolve
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.requests import normal_name
from reminderd.core.rules import Rules
from reminderd.core.sentences import NotAllowedError
from reminderd.core.upsert import Decision, Intake, number_changed_reason, number_seal
from reminderd.store.audit import Act, audit, audit_all
from reminderd.store.connection import Connection, Row, is_of_savepoint, savepoint
from reminderd.store.errors import UnknownAppointmentError
from reminderd.store.intake import RefTakenError, Source, refuse_all_if_any, time_ordered_id, with_similar_ref_warnings
from reminderd.store.ledger import load, save
from reminderd.store.opt_outs import opted_out_among
from reminderd.store.queries import EVERY, ShownValue, is_comparable, reminder_with_id, row_by_name
from reminderd.store.rows import APPOINTMENTS, REMINDERS, rows_among, rows_named, to_ms
from reminderd.store.shared_state import put_setting, setting

PLANNED_AT_ONCE: Final = 50
"""The most appointments that one transaction plans, so that other writers do not wait long for it."""

_BY: Final = f"SELECT {APPOINTMENTS.names} FROM appointments WHERE COLUMN IN {{}} ORDER BY id"
_BETWEEN: Final = f"""
SELECT {APPOINTMENTS.names} FROM appointments
 WHERE at >= :start AND at < :end AND status = 'booked' AND source = :source
"""
_LIST: Final = f"""
SELECT {APPOINTMENTS.names} FROM appointments WHERE at >= :since AND at < :until ORDER BY at, id LIMIT :limit
"""
_REMINDERS_OF: Final = "SELECT id FROM reminders WHERE appointment_id = :id ORDER BY scheduled_at, id"
_DUE: Final = f"""
SELECT {APPOINTMENTS.names} FROM appointments
 WHERE wake_at IS NOT NULL ORDER BY wake_at, id LIMIT :limit
"""
_PLAN_AGAIN: Final = "UPDATE appointments SET wake_at = :now WHERE status = 'booked' AND at > :now"
_FROM: Final = "UPDATE appointments SET source = :source WHERE id = :id"
_NO_ALERT_YET: Final = "DELETE FROM alerts WHERE reminder_id = :id"


def find_appointment(connection: Connection, id_or_ref: str) -> Appointment | None:
    """Return the appointment with this id or `ref`; None if there is none. An id takes precedence over a `ref`."""
    if not is_comparable(id_or_ref):
        return None
    for name in (id_or_ref, normal_name(id_or_ref)):
        found = _by(connection, "id", [name]).get(name) or _by(connection, "ref", [name]).get(name)
        if found is not None:
            return found
    return None


def appointments_between(
    connection: Connection, source: str, start: datetime, end: datetime, *, among: Sequence[str] | None = None
) -> list[Appointment]:
    """Return the booked appointments, from `start` until before `end`, that files of an import profile have named.

    For the arguments, see `reminders.waiting_between`.
    """
    bounds = {"source": source, "start": to_ms(start), "end": to_ms(end)}
    found = rows_among(connection, _BETWEEN, bounds, ids=among, order="at, id")
    return [APPOINTMENTS.read(row) for row in found]


def appointment_decisions(
    connection: Connection, now: datetime, *, requests: Sequence[AppointmentRequest], rules: Rules, source: Source
) -> list[tuple[Appointment | None, Decision]]:
    """Return, for each request, the appointment that it names, if any, and the decision; write nothing."""
    known = _known(connection, requests)
    opted_out = opted_out_among(connection, (one.phone_number for one in requests))
    decide = partial(decide_appointment, rules=rules, now=now, cancels_as=source.cancels_as)
    decided = [
        decide(one, existing, opted_out=one.phone_number in opted_out)
        for one, existing in zip(requests, known, strict=True)
    ]
    return list(zip(known, with_similar_ref_warnings(connection, requests, decided, table="appointments"), strict=True))


def put_appointments(
    connection: Connection,
    now: datetime,
    *,
    requests: Sequence[AppointmentRequest],
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
) -> list[Decision]:
    """Store new and edited appointments and plan their reminders; return the decision for each request.

    No two requests have the same `ref`, or the same `own_id` without a `ref`. `mint` returns new random UUIDs.
    """
    decided = appointment_decisions(connection, now, requests=requests, rules=rules, source=source)
    changes = _Changes(connection, now, rules, mint, source)
    done = [(request, *one) for request, one in zip(requests, decided, strict=True) if not one[1].refused]
    changes.book([request for request, existing, _ in done if existing is None])
    for request, existing, decision in done:
        if existing is None:
            continue
        changed = _changed(existing, request, decision, mint, source)
        if changed != existing:
            changes.store(existing, changed, act="change")
        if source.profile is not None and source.profile != existing.source:
            connection.execute(_FROM, {"id": existing.id, "source": source.profile})
    return [decision for _, decision in decided]


def add_appointment(
    connection: Connection,
    now: datetime,
    *,
    request: AppointmentRequest,
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
) -> tuple[Decision, "StoredAppointment | None"]:
    """Store one new appointment and plan its reminders; return the decision and, unless refused, the stored row.

    An appointment without a `ref` that is already stored stays as it is. For the arguments, see `put_appointments`.

    Raises:
        RefTakenError: another appointment has its `ref`.
    """
    existing = None if request.ref is None else find_appointment(connection, request.ref)
    if existing is not None:
        raise RefTakenError(existing.id)
    (decision,) = put_appointments(connection, now, requests=[request], rules=rules, mint=mint, source=source)
    return decision, None if decision.refused else stored_appointment(connection, request.ref or request.own_id)


def put_all_appointments(
    connection: Connection,
    now: datetime,
    *,
    requests: Sequence[AppointmentRequest],
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
) -> list[tuple["StoredAppointment", Decision]]:
    """Store everything that is requested, or nothing; for the arguments, see `put_appointments`.

    Raises:
        RequestsRefusedError: at least one is refused, so all are.
    """
    decided = appointment_decisions(connection, now, requests=requests, rules=rules, source=source)
    refuse_all_if_any(decision for _, decision in decided)
    done = put_appointments(connection, now, requests=requests, rules=rules, mint=mint, source=source)
    stored = [None if one is None else stored_appointment(connection, one.id) for one in _known(connection, requests)]
    return [(one, decision) for one, decision in zip(stored, done, strict=True) if one is not None]


def move_appointment(
    connection: Connection,
    now: datetime,
    *,
    appointment_id: str,
    at: datetime,
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
) -> Transition:
    """Give a booked appointment another time: cancel the reminders that wait for the former time, and plan new ones.

    Raises:
        UnknownAppointmentError: no appointment has this id.
        NotAllowedError: it was cancelled, or the new time is in the past.
    """
    appointment = _with_id(connection, appointment_id)
    if appointment.status is AppointmentStatus.CANCELLED:
        raise NotAllowedError("the appointment was cancelled; expected one that takes place")
    if at <= now:
        raise NotAllowedError("the new time is in the past; expected a later one")
    moved = evolve(appointment, at=at)
    return _Changes(connection, now, rules, mint, source).store(appointment, moved, act="move")


def cancel_appointment(
    connection: Connection, now: datetime, *, appointment_id: str, rules: Rules, source: Source
) -> Transition:
    """Cancel an appointment with all its waiting reminders.

    Raises:
        UnknownAppointmentError: no appointment has this id.
        NotAllowedError: it is already cancelled.
    """
    appointment = _with_id(connection, appointment_id)
    if appointment.status is AppointmentStatus.CANCELLED:
        raise NotAllowedError("the appointment is cancelled already")
    before = load(connection, rules, now, appointments=[appointment])
    transition = appointment_cancelled(before, appointment, source.cancels_as, now)
    _save(connection, now, before, transition.ledger, source)
    audit(connection, now, actor=source.actor, act="cancel", appointment_id=appointment_id, detail=source.detail)
    return transition


def appointment_cancellations(
    connection: Connection, asked: Sequence[AppointmentCancellation]
) -> list[tuple[Appointment | None, Decision]]:
    """Return, for each cancellation, the appointment that it names, if any, and the decision; write nothing."""
    by_ref = _by(connection, "ref", [one.ref for one in asked if one.ref is not None])
    by_id = _by(connection, "id", [one.name for one in asked if one.ref is None])
    found = [by_ref.get(one.ref) if one.ref is not None else by_id.get(one.name) for one in asked]
    return [(known, decide_appointment_cancellation(one, known)) for one, known in zip(asked, found, strict=True)]


def put_appointment_cancellations(
    connection: Connection, now: datetime, *, asked: Sequence[AppointmentCancellation], rules: Rules, source: Source
) -> list[Decision]:
    """Cancel appointments that do not take place; return the decision for each."""
    decided = appointment_cancellations(connection, asked)
    for known, decision in decided:
        if known is not None and decision.intake is Intake.CANCELLED:
            cancel_appointment(connection, now, appointment_id=known.id, rules=rules, source=source)
    return [decision for _, decision in decided]


def plan_due(
    connection: Connection, now: datetime, *, rules: Rules, mint: Callable[[], str], limit: int = PLANNED_AT_ONCE
) -> list[Transition]:
    """Plan the reminders of appointments that other programs have written, or whose rules have changed.

    Rows that another program has locked are left out, and stay due.
    """
    rows = connection.execute(_DUE + connection.skip_locked, {"limit": limit}).fetchall()
    changes = _Changes(connection, now, rules, mint, Source(actor="reminderd"))
    planned = [changes.planned(one) for one in map(APPOINTMENTS.read, rows)]
    return [one for one in planned if one is not None]


def replan_if_rules_changed(connection: Connection, now: datetime, *, digest: str) -> bool:
    """Have all future appointments planned again if the planning rules have changed; return whether there are any.

    For the digest of these rules, see `Rules.planning_digest`.
    """
    if setting(connection, "planning") == digest:
        return False
    put_setting(connection, "planning", digest)
    return bool(connection.execute(_PLAN_AGAIN, {"now": to_ms(now)}).rowcount)


def _changed(
    existing: Appointment, request: AppointmentRequest, decision: Decision, mint: Callable[[], str], source: Source
) -> Appointment:
    """Return the stored appointment as a request changes it."""
    if decision.intake not in {Intake.CHANGED, Intake.HELD}:
        return existing
    changed = evolve(with_content(existing, request), status=AppointmentStatus.BOOKED)
    if existing.phone_number == request.phone_number:
        return changed
    changed = evolve(changed, response=None)  # the person who has the former number has answered
    if decision.intake is Intake.CHANGED:
        return evolve(changed, former_number=None)
    if existing.former_number is not None:
        return changed
    why = number_changed_reason(existing.phone_number, source.detail or source.actor)
    return evolve(changed, former_number=number_seal(existing.phone_number, mint()), last_error=why)


@frozen
class _Changes:
    """A transaction that changes appointments, and everything that it needs."""

    connection: Connection
    now: datetime
    rules: Rules
    mint: Callable[[], str]
    source: Source

    def book(self, requests: Iterable[AppointmentRequest]) -> None:
        """Store new appointments with their reminders, and record who did it, in a few statements for all of them."""
        new: list[Appointment] = []
        planned: list[Reminder] = []
        acts: list[Act] = []
        for request in requests:
            new_id = request.own_id if request.ref is None else self._new_id()
            appointment = Appointment(id=new_id, ref=request.ref, phone_number="", at=request.at, created_at=self.now)
            appointment = evolve(with_content(appointment, request), source=self.source.profile)
            ids = self._ids_for(appointment)
            appointment, own = booked(appointment, ids=ids, rules=self.rules, now=self.now)
            new.append(appointment)
            planned += own
            acts += [Act("add", reminder_id=one.id, detail=_why_added(one)) for one in own]
            acts.append(Act("add", appointment_id=new_id, detail=self.source.detail))
        REMINDERS.insert_all(self.connection, planned, updated_at=self.now)
        APPOINTMENTS.insert_all(self.connection, new, revision=1, updated_at=self.now)
        audit_all(self.connection, self.now, acts, actor=self.source.actor)

    def store(self, existing: Appointment, appointment: Appointment, *, act: str) -> Transition:
        """Store a changed appointment, plan its reminders, and record who changed it."""
        connection, now, rules, source = self.connection, self.now, self.rules, self.source
        before = load(connection, rules, now, appointments=[existing])
        transition = replanned(before, appointment, ids=self._ids_for(appointment), rules=rules, now=now)
        _save(connection, now, before, transition.ledger, source)
        audit(connection, now, actor=source.actor, act=act, appointment_id=appointment.id, detail=source.detail)
        return transition

    def _ids_for(self, appointment: Appointment) -> list[str]:
        """Return ids for all reminders that its plan may have."""
        return [self._new_id() for _ in self.rules.planning.of(appointment.type).before]

    def _new_id(self) -> str:
        return time_ordered_id(self.mint(), to_ms(self.now))

    def planned(self, appointment: Appointment) -> Transition | None:
        """Plan an appointment; after an unexpected error, its waiting reminders fail, so that staff see them.

        Return None if another program has locked one of its rows: it must be planned later.
        """
        try:
            with savepoint(self.connection):
                return self.store(appointment, appointment, act="plan")
        except Exception as error:  # whatever another program wrote, the appointments after it must be planned
            if not is_of_savepoint(self.connection, error):
                raise  # an error of the database, not of this row
            locked = self.connection.store_error(error)
            if locked is not None:
                logger.bind(appointment=appointment.id).warning(f"this appointment is planned later: {locked}")
                return None
            logger.bind(appointment=appointment.id).exception("unexpected error with this appointment")
            return self._unexpected_error(appointment)

    def _unexpected_error(self, appointment: Appointment) -> Transition:
        before = load(self.connection, self.rules, self.now, appointments=[appointment])
        transition = unplanned_by_error(before, appointment, self.now)
        save(self.connection, before, transition.ledger, self.now)
        return transition


def _save(connection: Connection, now: datetime, before: Ledger, after: Ledger, source: Source) -> None:
    """Write what a decision about appointments changed, and record what was done to each reminder."""
    save(connection, before, after, now)
    for reminder in after.reminders.values():
        former = before.reminders.get(reminder.id)
        done = _act(former, reminder)
        if done is not None:
            act, detail = done
            audit(connection, now, actor=source.actor, act=act, reminder_id=reminder.id, detail=detail)
        if former is not None and reminder.hold_code is HoldCode.NUMBER_CHANGED is not former.hold_code:
            connection.execute(_NO_ALERT_YET, {"id": reminder.id})  # a hold is news


def _act(former: Reminder | None, reminder: Reminder) -> tuple[str, str] | None:
    """Return the act on a reminder whose appointment was planned, and the reason; None if the audit needs no line."""
    if former is None:
        return "add", _why_added(reminder)
    if reminder.status != former.status and reminder.status.final:
        return "cancel", (reminder.end_code or EndCode.APPOINTMENT_CANCELLED).sentence
    is_same = (reminder.phone_number, reminder.message, reminder.scheduled_at, reminder.status) == (
        former.phone_number,
        former.message,
        former.scheduled_at,
        former.status,
    )
    return None if is_same else ("change", "as its appointment was changed")


def _why_added(reminder: Reminder) -> str:
    return f"{reminder.cadence} before its appointment"


def _known(connection: Connection, requests: Sequence[AppointmentRequest]) -> list[Appointment | None]:
    """Return, for each request, the appointment stored under its `ref`, or under its id if it has no `ref`."""
    by_ref = _by(connection, "ref", [one.ref for one in requests if one.ref is not None])
    by_id = _by(connection, "id", [one.own_id for one in requests if one.ref is None])
    return [by_id.get(one.own_id) if one.ref is None else by_ref.get(one.ref) for one in requests]


def _with_id(connection: Connection, appointment_id: str) -> Appointment:
    found = _by(connection, "id", [appointment_id]).get(appointment_id)
    if found is None:
        raise UnknownAppointmentError(appointment_id)
    return found


def _by(connection: Connection, column: str, names: Sequence[str]) -> dict[str, Appointment]:
    """Return the appointments with these values of a column."""
    statement = _BY.replace("COLUMN", column) + connection.for_update
    return {row[column]: APPOINTMENTS.read(row) for row in rows_named(connection, statement, names)}


@frozen(kw_only=True)
class StoredAppointment:
    """A stored appointment with the reminders that were planned for it, as rows by column name."""

    appointment: dict[str, ShownValue]
    reminders: list[dict[str, ShownValue]]
    """By their time, including those for a former time of the appointment."""


def stored_appointment(connection: Connection, id_or_ref: str) -> StoredAppointment | None:
    """Return the appointment with this id or `ref` (see `find_appointment`); None if there is none."""
    found = find_appointment(connection, id_or_ref)
    if found is None:
        return None
    row = connection.execute(_BY.replace("COLUMN", "id").format("(:id)"), {"id": found.id}).fetchone()
    ids = connection.execute(_REMINDERS_OF, {"id": found.id}).fetchall()
    rows = [reminder_with_id(connection, one["id"]) for one in ids]
    return StoredAppointment(appointment=_shown(row), reminders=[one for one in rows if one is not None])


def list_appointments(
    connection: Connection, *, since: datetime | None, until: datetime | None, limit: int | None
) -> list[dict[str, ShownValue]]:
    """Return rows of `appointments` from `since` until before `until`, by their time; None for no limit."""
    bounds = {
        "since": -EVERY if since is None else to_ms(since),
        "until": EVERY if until is None else to_ms(until),
        "limit": EVERY if limit is None else limit,
    }
    return [_shown(row) for row in connection.execute(_LIST, bounds).fetchall()]


def _shown(row: Row) -> dict[str, ShownValue]:
    """Return a row as staff see it: without the hash of a former number."""
    return {name: value for name, value in row_by_name(row).items() if name != "former_number"}


def withdraw_appointment(
    connection: Connection, now: datetime, *, id_or_ref: str, rules: Rules, source: Source
) -> tuple[StoredAppointment, Transition | None]:
    """Cancel an appointment over the API; a cancelled one stays cancelled.

    Raises:
        UnknownAppointmentError: no appointment has this id or `ref`.
    """
    found = find_appointment(connection, id_or_ref)
    if found is None:
        raise UnknownAppointmentError(id_or_ref)
    transition = None
    if found.status is AppointmentStatus.BOOKED:
        transition = cancel_appointment(connection, now, appointment_id=found.id, rules=rules, source=source)
    stored = stored_appointment(connection, found.id)
    if stored is None:  # pragma: no cover - it was found in this transaction
        raise UnknownAppointmentError(id_or_ref)
    return stored, transition
