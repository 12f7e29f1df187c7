"""Read a requested appointment, decide what happens to it, and plan its calls."""

from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Final
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from attrs import frozen

from reminderd.core.model import Appointment, AppointmentStatus, evolve
from reminderd.core.reasons import EndCode
from reminderd.core.requests import (
    Reading,
    common_warnings,
    normal_name,
    read_field,
    read_moment,
    why_content_never_callable,
    wrong_name,
    wrong_text,
)
from reminderd.core.rules import Planning, PlanningRules, Rules
from reminderd.core.schedule.cadence import Cadence
from reminderd.core.schedule.calling_hours import CallingHours
from reminderd.core.schedule.time_zones import known_zone, place_zone
from reminderd.core.script.languages import read_language
from reminderd.core.script.templates import Message, TemplateError, Values
from reminderd.core.upsert import HELD, Decision, Intake, is_seal_of

NO_CALLS_PLANNED: Final = (
    "no calls are planned before appointments; set [reminders].before in the configuration, or give a time to call"
)
"""The error of an appointment if the clinic has not configured when patients are called."""

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The time of an appointment that is refused because its own time can't be read."""

_SAME_APPOINTMENT: Final = UUID("5a0f8f0e-6d8a-5d0c-8f43-2f0b6c1f7a3b")
_TEXTS: Final = ("patient_ref", "type", "name", "provider", "place")
_CONTENT: Final = ("phone_number", "at", "timezone", "language", "template", *_TEXTS)


@frozen(kw_only=True)
class _Details:
    """Everything about an appointment except its time."""

    phone_number: str
    ref: str | None = None
    """The clinic's own name for it."""
    patient_ref: str | None = None
    timezone: str | None = None
    """The patient's time zone, as `place_zone` reads it; None for the clinic's."""
    type: str | None = None
    template: str | None = None
    language: str | None = None
    name: str | None = None
    provider: str | None = None
    place: str | None = None


@frozen(kw_only=True)
class AppointmentText(_Details):
    """An appointment as it was written; nothing of it is checked."""

    at: str
    """Its time, as `moment` reads it, local to the clinic."""


@frozen(kw_only=True)
class AppointmentRequest(_Details):
    """An appointment that somebody asks for, checked and in its stored form, the same for every kind of intake."""

    at: datetime

    @cached_property
    def own_id(self) -> str:
        """Return the id that an appointment without a `ref` has: the same for the same number, time and patient."""
        content = (self.phone_number, self.at.astimezone(UTC).isoformat(), self.patient_ref or "", self.name or "")
        return str(uuid5(_SAME_APPOINTMENT, "\n".join(content)))


@frozen(kw_only=True)
class AppointmentCancellation:
    """A row that says that its appointment does not take place."""

    ref: str | None
    request: AppointmentRequest | None = None
    """The appointment that the row would add, which identifies it without a `ref`; None if the row can't be read."""
    phone_number: str | None = None
    """The number of the patient; None if the row has no number."""

    @property
    def name(self) -> str:
        """Return the `ref` of the appointment, or the id that it has without one."""
        return self.ref or (self.request.own_id if self.request is not None else "")


def read_appointment(text: AppointmentText, reading: Reading) -> AppointmentRequest | list[str]:
    """Return the appointment that is asked for, or everything that is wrong, each as `field: what; what is expected`.

    An appointment is refused if the clinic plans no calls for it, or if its message can't be made.
    """
    found: list[str] = []
    number = read_field("phone_number", text.phone_number, reading.normalize, found)
    at = read_moment("at", text.at, reading.zone, reading.order, found)
    read_field("timezone", text.timezone, place_zone, found)
    ref = _name("ref", text.ref, found)
    texts = {field: _name(field, getattr(text, field), found) for field in _TEXTS}
    language = read_field("language", text.language, read_language, found)
    request = AppointmentRequest(
        phone_number=number or "",
        at=at or _NEVER,
        ref=ref,
        timezone=text.timezone,
        template=None if text.template is None else text.template.strip() or None,
        language=language,
        **texts,
    )
    wrong = []
    if not reading.planning.of(request.type).before:
        wrong = [f"at: {NO_CALLS_PLANNED}"]
    else:
        try:
            message_of(request, reading.planning)
        except TemplateError as error:
            wrong = error.mistakes
    known = {mistake.partition(":")[0] for mistake in found}
    found += [mistake for mistake in wrong if mistake.partition(":")[0] not in known]
    return found or request


def _name(field: str, text: str | None, found: list[str]) -> str | None:
    """Return a short text without invisible characters; None if it is empty, or after its mistake was added."""
    if text is None or (field != "ref" and not text.strip()):
        return None
    name = normal_name(text)
    mistake = wrong_name(text, name) if field == "ref" else wrong_text(text, name)
    if mistake is None:
        return name
    found.append(f"{field}: {mistake}")
    return None


def message_of(appointment: AppointmentRequest | Appointment, planning: Planning) -> Message:
    """Return the message of the calls of an appointment.

    Raises:
        TemplateError: no message can be made; the error says what is expected.
    """
    name = appointment.template or planning.of(appointment.type).template
    if not name:
        expected = "expected the name of a template, or one for all in [reminders].template"
        raise TemplateError([f"template: missing; {expected}"])
    values = Values(
        appointment=appointment.at, name=appointment.name, provider=appointment.provider, place=appointment.place
    )
    return planning.templates.message(name, values, appointment.language)


@frozen
class PlannedCall:
    """A call that is wanted before an appointment."""

    cadence: str
    """The entry of `before` by which it is planned."""
    at: datetime | None
    """The wanted time, or an earlier time in the calling hours; None if there are no calling hours within a year."""


def plan(appointment: AppointmentRequest | Appointment, rules: PlanningRules) -> list[PlannedCall]:
    """Return the calls that the clinic wants before an appointment, whatever the time is now.

    A call that is wanted outside the calling hours is planned for the last start of calling hours before, never for a
    later time. Of two calls at the same time, only the first is planned.
    """
    zone = (known_zone(appointment.timezone) if appointment.timezone is not None else None) or rules.calling_hours.zone
    before = rules.planning.of(appointment.type).before
    return list(_calls(before, appointment.at.astimezone(UTC), zone, rules.calling_hours))


@lru_cache(maxsize=2_000)
def _calls(
    before: tuple[Cadence, ...], appointment: datetime, zone: ZoneInfo, hours: CallingHours
) -> tuple[PlannedCall, ...]:
    """Return the calls before a time in UTC; cached, as each is needed twice, and a file often has the same times."""
    calls: list[PlannedCall] = []
    for cadence in before:
        at = hours.last_start(cadence.moment(appointment, zone), zone)
        if at is None or all(at != one.at for one in calls):
            calls.append(PlannedCall(cadence.name, at))
    return tuple(calls)


def why_call_too_late(call: PlannedCall, now: datetime) -> str | None:
    """Return why a call that is not planned yet is left out; None if there is time for it."""
    if call.at is None:
        return f'the call "{call.cadence}" is left out: there are no calling hours before the appointment'
    return f'the call "{call.cadence}" is left out: it was booked too late for it' if call.at <= now else None


def why_uncalled(calls: list[PlannedCall], now: datetime) -> str | None:
    """Return why nobody is called for an appointment that is planned now; None if there is a call."""
    reasons = [why_call_too_late(call, now) for call in calls]
    return None if None in reasons else f"nobody will be called: {'; '.join(reason or '' for reason in reasons)}"


def appointment_content(appointment: AppointmentRequest | Appointment) -> tuple[object, ...]:
    """Return the values of an appointment that an edited line can change."""
    return tuple(getattr(appointment, field) for field in _CONTENT)


def with_content(appointment: Appointment, request: AppointmentRequest) -> Appointment:
    """Return the stored appointment with the content of a request."""
    return evolve(appointment, **{field: getattr(request, field) for field in _CONTENT})


def decide_appointment(
    request: AppointmentRequest,
    existing: Appointment | None,
    rules: Rules,
    now: datetime,
    *,
    opted_out: bool,
    cancels_as: EndCode,
) -> Decision:
    """Decide what a request does to the appointment that has its `ref` or id; the same for every kind of intake.

    `cancels_as` is the code of the person or program that sends the request, and can book again what it has cancelled.
    """
    intake = _intake(request, existing, cancels_as)
    if intake is Intake.UNCHANGED and existing is not None:
        return Decision(intake, warnings=_left_cancelled(existing, now))
    if intake is Intake.HELD and existing is not None and appointment_content(existing) == appointment_content(request):
        return Decision(intake, warnings=(HELD,))
    is_to_come = existing is not None and existing.status is AppointmentStatus.BOOKED and existing.at > now
    if request.at <= now and not is_to_come:  # otherwise it is moved, so that nobody is called for its former time
        was = request.at.astimezone(rules.calling_hours.zone)
        return Decision(Intake.TOO_LATE, f"too late; the appointment was at {was:%Y-%m-%d %H:%M}")
    held = (HELD,) if intake is Intake.HELD else ()
    message, why = message_of(request, rules.planning), why_uncalled(plan(request, rules), now)
    return Decision(intake, warnings=(*held, *common_warnings(message.text, message.warning, why, opted_out=opted_out)))


def decide_appointment_cancellation(asked: AppointmentCancellation, existing: Appointment | None) -> Decision:
    """Decide what happens to an appointment that does not take place."""
    if existing is None or existing.status is AppointmentStatus.CANCELLED:
        return Decision(Intake.NOT_NEEDED)
    if asked.phone_number is not None and asked.phone_number != existing.phone_number:
        why = "the appointment with this ref has another phone number"
        return Decision(Intake.CONFLICT, f"not cancelled: {why}; expected the same, or reminderd appointment cancel")
    return Decision(Intake.CANCELLED)


def _intake(request: AppointmentRequest, existing: Appointment | None, cancels_as: EndCode) -> Intake:
    if existing is None:
        return Intake.ADDED
    is_same = appointment_content(existing) == appointment_content(request)
    if existing.status is AppointmentStatus.CANCELLED and existing.at == request.at and existing.end_code != cancels_as:
        return Intake.UNCHANGED  # another person or program has cancelled it
    if is_same and existing.status is AppointmentStatus.BOOKED:
        return Intake.UNCHANGED if existing.former_number is None else Intake.HELD
    if is_seal_of(existing.former_number, request.phone_number):
        return Intake.CHANGED
    is_purged = not existing.phone_number  # then nobody knows anymore whose number it was
    is_sure = existing.former_number is None and (is_purged or existing.phone_number == request.phone_number)
    return Intake.CHANGED if is_sure else Intake.HELD


def _left_cancelled(existing: Appointment, now: datetime) -> tuple[str, ...]:
    if existing.status is AppointmentStatus.BOOKED or existing.at <= now:
        return ()
    why = existing.end_code or EndCode.CANCELLED_ELSEWHERE
    return (f"it stays cancelled, and nobody will be called: {why.sentence}",)


def wanted_message(
    appointment: Appointment, rules: PlanningRules, *, is_checked: bool = False
) -> tuple[Message | None, str | None]:
    """Return the message of a stored appointment, or None if it can't be made, and why no call can be planned, or None.

    `is_checked`: the row was read from a request. Otherwise, another program may have written anything in it.
    """
    try:
        message = message_of(appointment, rules.planning)
    except TemplateError as error:
        return None, f"{error}" if rules.planning.of(appointment.type).before else NO_CALLS_PLANNED
    if not rules.planning.of(appointment.type).before:
        return message, NO_CALLS_PLANNED
    if is_checked:
        return message, None
    content = appointment.phone_number, message.text, appointment.timezone, appointment.language
    return message, why_content_never_callable(*content, rules.numbering)
