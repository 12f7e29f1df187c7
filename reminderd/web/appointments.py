"""Appointments for the clinic's own system: added, moved, looked up and cancelled over the API."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import quote

from attrs import frozen
from quart import Response

from reminderd.core.appointments import AppointmentRequest, AppointmentText, read_appointment
from reminderd.core.requests import Reading
from reminderd.core.upsert import Decision, Intake
from reminderd.store.appointments import StoredAppointment
from reminderd.store.errors import UnknownAppointmentError
from reminderd.store.intake import RequestsRefusedError
from reminderd.store.queries import SHOWN_BY_API
from reminderd.store.rows import APPOINTMENTS, Shown
from reminderd.web.documents import Fields, ProblemError, plain, read_entries, refusal_of, reply

PATH: Final = "/api/appointments"

FIELDS: Final = Fields(
    noun="appointment",
    required=("phone_number", "at"),
    optional=("ref", "patient_ref", "timezone", "type", "template", "language", "name", "provider", "place"),
)


class AppointmentService(Protocol):
    """Carries out what the API is asked for; each method returns after the commit, or raises StoreUnavailableError."""

    async def upsert(self, requests: Sequence[AppointmentRequest]) -> list[tuple[StoredAppointment, Decision]]:
        """Add or update all appointments, or raise RequestsRefusedError and store nothing."""

    async def find(self, id_or_ref: str) -> StoredAppointment | None:
        """Return an appointment, or None if none has this id or `ref`."""

    async def cancel(self, id_or_ref: str) -> StoredAppointment:
        """Cancel an appointment, or raise UnknownAppointmentError."""


@frozen(kw_only=True)
class AppointmentsView:
    """Answers requests about appointments."""

    service: AppointmentService
    reading: Reading

    async def post(self, body: bytes) -> Response:
        """Add or update the appointments in a body."""
        requests, is_list = read_entries(body, FIELDS, partial(_read, reading=self.reading))
        try:
            done = await self.service.upsert(requests)
        except RequestsRefusedError as error:
            raise refusal_of(error, is_list=is_list) from error
        is_new = any(decision.intake is Intake.ADDED for _, decision in done)
        shown = [_shown(stored) | {"warnings": list(decision.warnings)} for stored, decision in done]
        where = {} if is_list else {"Location": f"{PATH}/{quote(str(shown[0]['id']), safe='')}"}
        return reply(201 if is_new else 200, {"appointments": shown} if is_list else shown[0], where)

    async def get(self, name: str) -> Response:
        """Answer with an appointment and its reminders."""
        found = await self.service.find(name)
        if found is None:
            raise _unknown()
        return reply(200, _shown(found))

    async def delete(self, name: str) -> Response:
        """Cancel an appointment."""
        try:
            return reply(200, _shown(await self.service.cancel(name)))
        except UnknownAppointmentError:
            raise _unknown() from None


def _read(texts: Mapping[str, str], reading: Reading) -> AppointmentRequest | list[str]:
    others = {name: texts.get(name) for name in FIELDS.optional}
    text = AppointmentText(phone_number=texts.get("phone_number", ""), at=texts.get("at", ""), **others)
    return read_appointment(text, reading)


def _unknown() -> ProblemError:
    return ProblemError(404, "no appointment has this id or ref")


def _shown(whole: StoredAppointment) -> dict[str, Any]:
    """Return an appointment as the API shows it, with its reminders but without their messages."""
    reminders = [{name: plain(one[name]) for name in SHOWN_BY_API} for one in whole.reminders]
    return {
        **{name: plain(whole.appointment[name]) for name in APPOINTMENTS.shown_to(Shown.API)},
        "reminders": reminders,
    }
