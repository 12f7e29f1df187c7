"""Plan the reminders of an appointment by the rules, and settle reminders that are not needed anymore."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from attrs import frozen

from reminderd.core.booking import PlannedCall, plan, wanted_message, why_call_too_late
from reminderd.core.lifecycle.states import all_cancelled, ended, patient_time, wake_unwanted
from reminderd.core.lifecycle.transition import Ledger, Level, LogLine, Transition
from reminderd.core.model import RESPONSES, Appointment, AppointmentStatus, Reminder, Response, Status, evolve
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import PlanningRules
from reminderd.core.script.templates import Message

_PLANNED_AGAIN: Final = frozenset(
    {EndCode.APPOINTMENT_MOVED, EndCode.APPOINTMENT_CANCELLED, EndCode.NOT_PLANNED, EndCode.ANSWERED}
)
"""The codes of cancelled reminders that are planned again if they are wanted again, and were never called.

A reminder with `ANSWERED` is wanted again if the answer came from a former number of the appointment.
"""


def why_void(ledger: Ledger, reminder: Reminder) -> EndCode | None:
    """Return why nobody is called for a reminder, as its appointment is now; None if its appointment needs the call.

    The ledger must have been loaded for this reminder: an appointment that is not in it was deleted.
    """
    if reminder.appointment_id is None:
        return None
    appointment = ledger.appointments.get(reminder.appointment_id)
    if appointment is None or appointment.status is AppointmentStatus.CANCELLED:
        return EndCode.APPOINTMENT_CANCELLED
    if reminder.planned_at != appointment.at:
        return EndCode.APPOINTMENT_MOVED
    return EndCode.ANSWERED if appointment.is_answered else None


def waits_for_plan(ledger: Ledger, reminder: Reminder) -> bool:
    """Return whether another program has changed the appointment of a reminder, and it was not planned since."""
    appointment = ledger.appointments.get(reminder.appointment_id or "")
    return appointment is not None and appointment.wake_at is not None


def reminders_of(ledger: Ledger, appointment: Appointment) -> list[Reminder]:
    """Return the reminders that were planned for an appointment."""
    return [one for one in ledger.reminders.values() if one.appointment_id == appointment.id]


def response_recorded(
    ledger: Ledger, answered: Iterable[Reminder], response: Response, now: datetime
) -> tuple[Ledger, tuple[LogLine, ...]]:
    """Record a patient's answer for the appointments of the heard reminders, and settle their other reminders.

    An opt-out is never replaced. It is about the number, and all reminders of the number are cancelled anyway.
    """
    after, lines = ledger, list[LogLine]()
    heard = list(answered)
    for reminder in heard:
        appointment = after.appointments.get(reminder.appointment_id or "")
        if appointment is None or reminder.planned_at != appointment.at:
            continue  # the answer is about the appointment's former time
        kept_response = Response.OPTED_OUT if appointment.response == Response.OPTED_OUT else response
        after = after.put(evolve(appointment, response=kept_response))
        if response is not Response.OPTED_OUT:
            kept = {one.id for one in heard}
            others = [one for one in reminders_of(after, appointment) if not one.status.final and one.id not in kept]
            after, more = all_cancelled(after, others, EndCode.ANSWERED, now)
            lines += more
    return after, tuple(lines)


def done_for(ledger: Ledger, reminder: Reminder, now: datetime) -> tuple[Ledger, tuple[LogLine, ...]]:
    """Settle all other reminders of an appointment whose patient staff have called manually."""
    appointment = ledger.appointments.get(reminder.appointment_id or "")
    if appointment is None or reminder.planned_at != appointment.at:
        return ledger, ()
    response = appointment.response if appointment.is_answered else EndCode.DONE_BY_STAFF
    after = ledger.put(evolve(appointment, response=response))
    others = [one for one in reminders_of(after, appointment) if not one.status.final and one.id != reminder.id]
    return all_cancelled(after, others, EndCode.DONE_BY_STAFF, now)


def number_accepted(ledger: Ledger, reminder: Reminder) -> tuple[Ledger, list[Reminder]]:
    """Return the ledger with the number of a reminder's appointment accepted, and its other held reminders."""
    appointment = ledger.appointments.get(reminder.appointment_id or "")
    if appointment is None:
        return ledger, []
    held = [one for one in reminders_of(ledger, appointment) if one.hold_code is HoldCode.NUMBER_CHANGED]
    waiting = [one for one in held if not one.status.final and one.id != reminder.id]
    return ledger.put(evolve(appointment, former_number=None, last_error=None)), waiting


def appointment_cancelled(ledger: Ledger, appointment: Appointment, code: EndCode, now: datetime) -> Transition:
    """Cancel an appointment with all its waiting reminders; the code says who cancelled it."""
    cancelled = evolve(appointment, status=AppointmentStatus.CANCELLED, end_code=code, former_number=None)
    return _cancelled(ledger, cancelled, now)


def unplanned_by_error(ledger: Ledger, appointment: Appointment, now: datetime) -> Transition:
    """End the waiting reminders of an appointment on which the program fails, as they may be out of date."""
    sentence = EndCode.PROGRAM_ERROR.sentence
    failed = [
        ended(one, Status.FAILED, EndCode.PROGRAM_ERROR, now)
        for one in reminders_of(ledger, appointment)
        if one.status is Status.SCHEDULED
    ]
    lines = tuple(LogLine(f"failed: {sentence}", Level.ERROR, one.id) for one in failed)
    after = ledger.put(*failed, evolve(appointment, wake_at=None, last_error=sentence))
    return Transition(ledger=after, lines=lines)


def booked(
    appointment: Appointment, *, ids: Sequence[str], rules: PlanningRules, now: datetime
) -> tuple[Appointment, list[Reminder]]:
    """Plan the reminders of a new appointment from a request, like `replanned` for an appointment without a history.

    This is fast, as a file may book thousands at once. `ids` has an id for each call of the plan.
    """
    wanted = _Wanted(appointment, *wanted_message(appointment, rules, is_checked=True), rules, now)
    calls = [(one, why_call_too_late(one, now)) for one in plan(appointment, rules)]
    reminders = [wanted.added(call, new_id) for (call, late), new_id in zip(calls, ids, strict=False) if late is None]
    why = wanted.wrong or "; ".join(late for _, late in calls if late is not None) or None
    return evolve(appointment, planned_at=appointment.at, last_error=why), reminders


def replanned(
    ledger: Ledger, appointment: Appointment, *, ids: Sequence[str], rules: PlanningRules, now: datetime
) -> Transition:
    """Plan the reminders of an appointment as it is now: keep those that still match, cancel and add others.

    A reminder that was called for its time is never called again, and no reminder is added whose time is over.
    The ledger has all its reminders with their calls; `ids` has an id for each planned call, for new reminders.
    """
    own = reminders_of(ledger, appointment)
    appointment = _with_answer(appointment, own)
    if appointment.status is AppointmentStatus.CANCELLED:
        code = appointment.end_code or EndCode.CANCELLED_ELSEWHERE
        return _cancelled(ledger, evolve(appointment, end_code=code, former_number=None), now)
    waiting = [one for one in own if not one.status.final]
    moved = [one for one in waiting if one.planned_at != appointment.at]
    after, lines = all_cancelled(ledger, moved, EndCode.APPOINTMENT_MOVED, now)
    appointment = evolve(appointment, end_code=None, wake_at=None, planned_at=appointment.at)
    if appointment.is_answered:
        after, more = all_cancelled(after, _of_now(waiting, appointment), EndCode.ANSWERED, now)
        return Transition(ledger=after.put(evolve(appointment, last_error=None)), lines=(*lines, *more))
    return _planned(after, appointment, ids, rules, now).with_lines_before(lines)


def _cancelled(ledger: Ledger, appointment: Appointment, now: datetime) -> Transition:
    waiting = [one for one in reminders_of(ledger, appointment) if not one.status.final]
    after, lines = all_cancelled(ledger, waiting, EndCode.APPOINTMENT_CANCELLED, now)
    done = evolve(appointment, wake_at=None, planned_at=appointment.at, last_error=None)
    return Transition(ledger=after.put(done), lines=lines)


def _of_now(reminders: Iterable[Reminder], appointment: Appointment) -> list[Reminder]:
    return [one for one in reminders if one.planned_at == appointment.at]


def _with_answer(appointment: Appointment, own: Iterable[Reminder]) -> Appointment:
    """Return the appointment with the answer to its present time and number.

    An answer to a former time, or from a former number, does not count until the appointment has that time or number
    again. Another program that rewrites the whole row may have dropped the answer, so it is read from the reminders.
    """
    answers = [one for one in _of_now(own, appointment) if one.response in RESPONSES]
    current = [one.response for one in answers if one.phone_number in {appointment.phone_number, ""}]
    was_moved = appointment.planned_at is not None and appointment.planned_at != appointment.at
    is_former = appointment.response not in current and any(one.response == appointment.response for one in answers)
    if was_moved or is_former:
        appointment = evolve(appointment, response=None)
    return evolve(appointment, response=current[-1]) if current and not appointment.is_answered else appointment


def _planned(
    ledger: Ledger, appointment: Appointment, ids: Sequence[str], rules: PlanningRules, now: datetime
) -> Transition:
    """Change the waiting reminders of a booked appointment, cancel those without a planned call, add missing ones."""
    calls = plan(appointment, rules)
    wanted = _Wanted(appointment, *wanted_message(appointment, rules), rules, now)
    own = _of_now(reminders_of(ledger, appointment), appointment)
    known = [one for one in own if not one.status.final or one.end_code not in _PLANNED_AGAIN or ledger.history(one)]
    call_of = {one.id: _call_of(one, calls) for one in known}
    # If `before` was emptied, reminders that are planned already stay.
    untouched = [one for one in known if not one.status.final and not ledger.history(one)]
    unwanted = [one for one in untouched if calls and not _is_needed(one, untouched, call_of)]
    after, lines = all_cancelled(ledger, unwanted, EndCode.NOT_PLANNED, now)
    kept = [one for one in known if one not in unwanted]
    after = after.put(*(wanted.kept(one, call_of[one.id], is_new=not ledger.history(one)) for one in kept))
    covered = [one.cadence for one in call_of.values() if one is not None]
    missing = [(one, why_call_too_late(one, now)) for one in calls if one.cadence not in covered]
    left_out = [late for _, late in missing if late is not None]
    new = [wanted.added(one, new_id) for (one, late), new_id in zip(missing, ids, strict=False) if late is None]
    after = wake_unwanted(ledger, after.put(*new), now)
    for one in new:
        text = f"planned: {one.cadence} before its appointment, {patient_time(one.scheduled_at, one, rules)}"
        lines = (*lines, LogLine(text, reminder_id=one.id))
    why = wanted.wrong or "; ".join(left_out) or None
    if appointment.former_number is None:
        appointment = evolve(appointment, last_error=why)
    is_news = appointment.at > now or not own
    if why is not None and is_news and (wanted.wrong is not None or len(left_out) == len(calls)):
        level = Level.WARNING if wanted.wrong is None else Level.ERROR
        lines = (*lines, LogLine(f"appointment {appointment.id}, nobody is called: {why}", level))
    return Transition(ledger=after.put(appointment), lines=lines)


def _call_of(reminder: Reminder, calls: Sequence[PlannedCall]) -> PlannedCall | None:
    """Return the planned call of a reminder: that of its cadence, or after a change of the rules, one at its time."""
    by_name = next((one for one in calls if one.cadence == reminder.cadence), None)
    return by_name or next((one for one in calls if one.at == reminder.scheduled_at), None)


def _is_needed(reminder: Reminder, untouched: Iterable[Reminder], call_of: Mapping[str, PlannedCall | None]) -> bool:
    """Return whether a planned call needs this reminder: of several for the same call, only one is kept."""
    call = call_of[reminder.id]
    if call is None:
        return False
    same = (one for one in untouched if call_of[one.id] == call)
    return min(same, key=lambda one: one.cadence != call.cadence).id == reminder.id


@frozen
class _Wanted:
    """What the reminders of an appointment have in common, as it is now."""

    appointment: Appointment
    message: Message | None
    """None if it can't be made."""
    wrong: str | None
    """Why the patient can't be called; None if they can."""
    rules: PlanningRules
    now: datetime

    def added(self, call: PlannedCall, new_id: str) -> Reminder:
        """Return a new reminder; if it can't be called, it fails at once, while there is time to correct that."""
        appointment, at = self.appointment, call.at or self.appointment.at
        added = Reminder(
            id=new_id,
            phone_number=appointment.phone_number,
            message="" if self.message is None else self.message.text,
            language=None if self.message is None else self.message.language,
            scheduled_at=at,
            expires_at=self._limit(at),
            timezone=appointment.timezone,
            appointment_id=appointment.id,
            planned_at=appointment.at,
            cadence=call.cadence,
            wake_at=at if self.wrong is None else self.now,
            created_at=self.now,
        )
        return self._held(added)

    def kept(self, reminder: Reminder, call: PlannedCall | None, *, is_new: bool) -> Reminder:
        """Return a reminder of the appointment as it is wanted now; its time changes only before its first call."""
        kept = reminder
        at = None if call is None or not is_new or why_call_too_late(call, self.now) is not None else call.at
        is_invalid = reminder.status is Status.FAILED and reminder.end_code is EndCode.INVALID
        if is_invalid and at is not None and self.wrong is None:
            kept = evolve(kept, status=Status.SCHEDULED, end_code=None, ended_at=None, last_error=None)
        if kept.status.final:
            return reminder
        kept = evolve(kept, phone_number=self.appointment.phone_number, timezone=self.appointment.timezone)
        if at is not None:
            kept = evolve(kept, scheduled_at=at, expires_at=self._limit(at))
        kept = self._held(kept)
        is_moved = kept != reminder
        if self.message is not None:
            kept = evolve(kept, message=self.message.text, language=self.message.language)
        return evolve(kept, wake_at=self.now) if is_moved else kept

    def _held(self, reminder: Reminder) -> Reminder:
        """Return the reminder, held until staff have accepted its appointment's number."""
        if self.appointment.former_number is not None:
            return evolve(reminder, hold_code=HoldCode.NUMBER_CHANGED, last_error=self.appointment.last_error)
        if reminder.hold_code is HoldCode.NUMBER_CHANGED:
            return evolve(reminder, hold_code=None, last_error=None)
        return reminder

    def _limit(self, at: datetime) -> datetime | None:
        """Return the limit of a call: the appointment's time if it comes before the usual limit, else None."""
        return self.appointment.at if self.appointment.at < at + self.rules.max_lateness else None
