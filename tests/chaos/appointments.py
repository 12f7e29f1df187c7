"""Keep the clinic's book of appointments in whole-program histories, and check what is promised about their calls."""

import re
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from attrs import define, field

from reminderd.core.model import Appointment, AppointmentStatus, Reminder
from reminderd.core.reasons import EndCode
from reminderd.core.rules import Rules
from reminderd.core.schedule.calling_hours import CallingHours
from reminderd.core.script.templates import Values
from reminderd.store.connection import Connection
from reminderd.store.rows import APPOINTMENTS, REMINDERS, to_ms
from tests.chaos.carrier import CarrierCall, Subject
from tests.chaos.configurations import TEMPLATES, ZONE
from tests.chaos.endings import MESSAGES
from tests.support.builders import DAY, HOUR, MINUTE

LOOKED_BACK: Final = 8 * DAY

_NAMES: Final = re.compile(r"Visit ([\w-]+) on")
_NEEDLESS: Final = frozenset(
    {EndCode.APPOINTMENT_MOVED, EndCode.APPOINTMENT_CANCELLED, EndCode.ANSWERED, EndCode.NOT_PLANNED}
)


@define(kw_only=True)
class Visit:
    """An appointment as the clinic has last written it."""

    name: str
    life: int
    phone_number: str
    at: datetime
    is_cancelled: bool = False
    is_held: bool = False
    """Whether it got a new number that staff have not accepted yet."""
    answers: set[tuple[datetime, str]] = field(factory=set)
    """The times and numbers for which a patient has answered with a key."""
    done_for: set[datetime] = field(factory=set)
    """The times for which staff have called the patient manually."""
    rules: Rules | None = None
    """The rules by which it was last planned."""

    @property
    def id(self) -> str:
        return f"{self.name}-{self.life}"

    @property
    def columns(self) -> dict[str, Any]:
        """Return the columns that other programs write."""
        return {
            "id": self.id,
            "ref": self.name,
            "phone_number": self.phone_number,
            "at": to_ms(self.at),
            "name": self.name,
            "status": "cancelled" if self.is_cancelled else "booked",
        }

    @property
    def why_not(self) -> str | None:
        """Return why nobody is to be called for the appointment; None if the call is wanted."""
        if self.is_cancelled:
            return "which is cancelled"
        if (self.at, self.phone_number) in self.answers:
            return "which the patient has answered for"
        return "for which staff have called already" if self.at in self.done_for else None


@define
class Diary:
    """All appointments of the clinic, by name, and every call that was ever planned for one of them."""

    visits: dict[str, Visit] = field(factory=dict)
    planned: dict[str, tuple[str, datetime | None, str | None]] = field(factory=dict)
    """For each planned reminder's id: its appointment, the appointment's time, and the entry of `before`."""
    rules: list[Rules] = field(factory=list)
    """Each set of rules by which calls were ever planned."""

    def saved(self) -> "Diary":
        """Return the diary as a backup keeps it."""
        kept = {name: copy(one) for name, one in self.visits.items()}
        for one in kept.values():
            one.answers, one.done_for = set(one.answers), set(one.done_for)
        return Diary(kept, dict(self.planned), self.rules)

    def visit_of(self, reminder: Reminder) -> Visit | None:
        """Return the appointment that a reminder was planned for."""
        return next((one for one in self.visits.values() if one.id == reminder.appointment_id), None)

    def note_plan(self, appointment_ids: Iterable[str], rules: Rules) -> None:
        """Note the rules by which appointments were planned."""
        if rules not in self.rules:
            self.rules.append(rules)
        for visit in self.visits.values():
            if visit.id in appointment_ids:
                visit.rules = rules

    def note_answer(self, call: CarrierCall) -> None:
        """Note a key: it is the answer for each appointment that the call is about, for the time of that call."""
        for subject in call.spoken:
            visit = self.visits.get(subject.name.partition("|")[0])
            if visit is not None and visit.life == subject.life and visit.phone_number == call.phone_number:
                visit.answers.add((_time_in(subject), call.phone_number))


def subjects_of(reminders: Iterable[Reminder], diary: Diary) -> tuple[Subject, ...]:
    """Return what a call is about: entries of `before`, each for one time of an appointment, whatever its row's id."""
    return tuple(
        Subject(f"{visit.name}|{one.planned_at.isoformat()}|{one.cadence}", visit.life, one.scheduled_at)
        for one in reminders
        if (visit := diary.visit_of(one)) is not None and one.planned_at is not None
    )


def spoken_of(call: CarrierCall, speech: str, of_reminders: Callable[[str], tuple[Subject, ...]]) -> list[Subject]:
    """Return what a speech is about, in its order; `of_reminders` recognizes messages that belong to no appointment."""
    left, spoken = [one for one in call.subjects if "|" in one.name], list[Subject]()
    for message in MESSAGES.findall(speech):
        names = _NAMES.findall(message)
        planned = [one for one in left if one.name.partition("|")[0] in names][:1]
        left = [one for one in left if one not in planned]
        spoken += planned or of_reminders(message)
    return spoken


def _time_in(subject: Subject) -> datetime:
    return datetime.fromisoformat(subject.name.split("|")[1])


@cache
def wanted_at(cadence: str, at: datetime, hours: CallingHours) -> datetime | None:
    """Return when a call before an appointment is wanted. It tries minute by minute, unlike the program."""
    count, unit = cadence.split()[:2]
    moment = at - int(count) * (HOUR if unit.startswith("hour") else DAY)
    if " at " in cadence:
        hour, minute = cadence.split(" at ")[1].split(":")
        moment = moment.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
    if hours.is_open(moment, ZONE):
        return moment
    earliest, moment = moment - LOOKED_BACK, moment.replace(second=0, microsecond=0)
    while not hours.is_open(moment, ZONE):
        moment -= MINUTE
        if moment < earliest:
            return None
    while hours.is_open(moment - MINUTE, ZONE):
        moment -= MINUTE
    return moment


def broken_by_a_call(
    call: CarrierCall, message: str, reminders: Iterable[Reminder], rules: Rules, now: datetime, diary: Diary
) -> Iterator[str]:
    """Report which promises about appointments are broken when a call begins."""
    for reminder in reminders:
        if reminder.appointment_id is None:
            continue
        visit = diary.visit_of(reminder)
        if visit is None:
            yield f"a call for {reminder.appointment_id}, which was deleted"
            continue
        yield from _broken_by_speaking(visit, message)
        if reminder.planned_at != visit.at:
            yield f"a call for {visit.name} at a time that it was moved from"
        if visit.phone_number != call.phone_number:
            yield f"a call for {visit.name}, which has another number now"
        if visit.is_held:
            yield f"a call for {visit.name}, whose new number nobody has accepted"
        if now < reminder.scheduled_at:
            yield f"a call for {visit.name} before its planned time"
        if now >= visit.at:
            yield f"a call for {visit.name} after its appointment"
        if not rules.calling_hours.is_open(now, ZONE):
            yield f"a call for {visit.name} outside the calling hours"


def broken_by_what_is_spoken(speech: str, diary: Diary) -> Iterator[str]:
    """Report what is spoken to somebody who answers, although nobody needs it anymore."""
    for name in _NAMES.findall(speech):
        if name not in diary.visits:
            yield f"{name} is spoken of, which was deleted"
        else:
            yield from _broken_by_speaking(diary.visits[name], speech)


def _broken_by_speaking(visit: Visit, message: str) -> Iterator[str]:
    if visit.why_not is not None:
        yield f"a call speaks of {visit.name}, {visit.why_not}"
    if TEMPLATES.message("visit", Values(appointment=visit.at, name=visit.name)).text not in message:
        yield f"a call speaks of {visit.name} at another time than it has"


def broken_in_the_plans(connection: Connection, diary: Diary, now: datetime) -> Iterator[str]:
    """Report which appointments and planned calls can't be explained; note new ones."""
    rows = connection.execute(f"SELECT {APPOINTMENTS.names} FROM appointments").fetchall()
    stored = {one.id: one for one in map(APPOINTMENTS.read, rows)}
    rows = connection.execute(f"SELECT {REMINDERS.names} FROM reminders WHERE appointment_id IS NOT NULL").fetchall()
    reminders = {one.id: one for one in map(REMINDERS.read, rows)}
    by_id = {one.id: one for one in diary.visits.values()}
    for one in by_id.keys() ^ stored.keys():
        yield f"{one}: in the diary or in the database only"
    for reminder_id, written in diary.planned.items():
        kept = reminders.get(reminder_id)
        if kept is None or (kept.appointment_id, kept.planned_at, kept.cadence) != written:
            yield f"{reminder_id}: planned for {written[0]}, and not on record anymore"
    for reminder in reminders.values():
        if reminder.id not in diary.planned:
            yield from _broken_by_planning(reminder, diary)
            diary.planned[reminder.id] = (reminder.appointment_id or "", reminder.planned_at, reminder.cadence)
    for visit_id in by_id.keys() & stored.keys():
        own = [one for one in reminders.values() if one.appointment_id == visit_id]
        yield from _broken_in(by_id[visit_id], stored[visit_id], own, now)


def _broken_by_planning(reminder: Reminder, diary: Diary) -> Iterator[str]:
    if reminder.cadence is None or reminder.planned_at is None:
        yield f"{reminder.id}: planned, and nobody knows by what"
        return
    moments = {wanted_at(reminder.cadence, reminder.planned_at, rules.calling_hours) for rules in diary.rules}
    if reminder.scheduled_at not in moments:
        yield f"{reminder.id}: planned at {reminder.scheduled_at}, wanted at {moments}"


def _broken_in(visit: Visit, stored: Appointment, own: list[Reminder], now: datetime) -> Iterator[str]:
    written = (stored.phone_number, stored.at, stored.status is AppointmentStatus.CANCELLED)
    if written != (visit.phone_number, visit.at, visit.is_cancelled):
        yield f"{visit.name}: another number, time or status than the clinic has written"
    if stored.wake_at is not None or visit.rules is None:
        return
    for one in own:
        if not one.status.final and one.planned_at != visit.at:
            yield f"{visit.name}: {one.cadence} waits for a time that it was moved from"
        if not one.status.final and visit.why_not is not None:
            yield f"{visit.name}, {visit.why_not}: {one.cadence} is {one.status}"
    if visit.why_not is not None:
        return
    for cadence in visit.rules.planning.of(None).before:
        moment = wanted_at(cadence.name, visit.at, visit.rules.calling_hours)
        covered = [one for one in own if one.planned_at == visit.at and cadence.name == one.cadence]
        covered += [one for one in own if one.planned_at == visit.at and one.scheduled_at == moment]
        is_planned = any(one.end_code not in _NEEDLESS or one.attempts for one in covered)
        if moment is not None and moment > now and not is_planned:
            yield f"{visit.name}: {cadence.name} before it is still to come, and nobody is going to call"
        waits = [one for one in own if not one.status.final and one.scheduled_at == moment and not one.attempts]
        if len(waits) > 1:
            yield f"{visit.name}: two calls wait for the same moment"


BOOKED_AHEAD: Final[tuple[timedelta, ...]] = (2 * HOUR, 20 * HOUR, 26 * HOUR, 30 * HOUR, 50 * HOUR, 80 * HOUR)
