"""The API for the clinic's own system: add, look up and change reminders and appointments, and read changes."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from importlib import resources
from typing import Any, Final, TypeAlias
from urllib.parse import quote
from uuid import uuid4

import trio
from attrs import define, field
from loguru import logger
from quart import Response, request

from reminderd.core.booking import AppointmentRequest, AppointmentText, read_appointment
from reminderd.core.changes import Cursor, CursorError, read_cursor
from reminderd.core.lifecycle.transition import Transition
from reminderd.core.reasons import EndCode
from reminderd.core.requests import Reading, ReminderRequest, RequestText, note_mistake, read_request
from reminderd.core.rules import Rules
from reminderd.core.sentences import NotAllowedError
from reminderd.core.upsert import Decision, Intake
from reminderd.store.appointments import (
    StoredAppointment,
    put_all_appointments,
    stored_appointment,
    withdraw_appointment,
)
from reminderd.store.connection import Connection
from reminderd.store.database import Database
from reminderd.store.errors import UnknownAppointmentError, UnknownReminderError
from reminderd.store.feed import Feed
from reminderd.store.intake import API, RequestsRefusedError, Source
from reminderd.store.outcome_changes import Page
from reminderd.store.queries import SHOWN_BY_API
from reminderd.store.reminders import StoredReminder, finish, put_all, stored_reminder, withdraw
from reminderd.store.rows import APPOINTMENTS, CALLS, Audience
from reminderd.store.threads import until_any
from reminderd.web.access import Access
from reminderd.web.bodies import body_of
from reminderd.web.documents import (
    FIELD_NAME,
    RETRY_AFTER_SECONDS,
    Fields,
    ProblemError,
    View,
    document_in,
    json_value,
    problem,
    read_entries,
    ready_reply,
    reply,
)

_REMINDER: Final = Fields(
    noun="reminder",
    required=("phone_number", "scheduled_at"),
    optional=(
        "message",
        "template",
        "appointment_at",
        "expires_at",
        "timezone",
        "ref",
        "language",
        "name",
        "provider",
        "place",
    ),
    either=("message", "template"),
)
_APPOINTMENT: Final = Fields(
    noun="appointment",
    required=("phone_number", "at"),
    optional=("ref", "patient_ref", "timezone", "type", "template", "language", "name", "provider", "place"),
)
_NOTE: Final = "note"

_PATH: Final = "/api/reminders"
_APPOINTMENTS_PATH: Final = "/api/appointments"
_CHANGES_PATH: Final = "/api/changes"
_DOCUMENT_PATH: Final = "/api/openapi.json"
_JSON: Final = "application/json"

_OVER_HTTP: Final = Source(actor=API, detail="over HTTP", cancels_as=EndCode.WITHDRAWN)

MOST_WAITING: Final = 20
"""The most clients that wait for changes at a time: each occupies a connection, and webhooks need connections, too."""

_MOST_SECONDS: Final = 60
_MOST_CHANGES: Final = 1_000
_USUAL_CHANGES: Final = 100
_PARAMETERS: Final = ("after", "wait", "limit")


@define(eq=False, kw_only=True)
class Api:
    """The clinic's settings and the parts of the program that the API uses."""

    token: str
    reading: Reading
    rules: Rules
    database: Database
    feed: Feed
    log: Callable[[Transition], None]
    """Logs what a transition changed."""
    _waiting: int = field(default=0, init=False)
    """The number of clients that wait for changes."""

    async def changes(self, cursor: Cursor | None, limit: int, seconds: int) -> Page:
        """Return the changes after a cursor, as soon as there are any, or none after this number of seconds.

        Raises:
            ProblemError: the cursor can't be used anymore, or too many clients wait.
        """
        page = await self._page(cursor, limit)
        if not seconds or page.changes:
            return page
        if self._waiting >= MOST_WAITING:
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise ProblemError(503, f"{MOST_WAITING} clients wait for changes already; try again", headers=headers)
        self._waiting += 1
        try:
            with trio.move_on_after(seconds):
                await until_any(partial(self.feed.changed, page.cursor.seq), body_of(request.scope).hung_up)
        finally:
            self._waiting -= 1
        return await self._page(cursor, limit)

    async def _page(self, cursor: Cursor | None, limit: int) -> Page:
        try:
            return await self.feed.page(cursor, limit)
        except CursorError as error:
            raise ProblemError(409, str(error)) from error


_ApiView: TypeAlias = Callable[[Api, str, bytes], Awaitable[Response]]


def api_views(api: Api, access: Access) -> list[tuple[str, str, View]]:
    """Return method, path and view of each route."""

    async def answer(view: _ApiView, name: str = "") -> Response:
        try:
            return await access.answer(partial(view, api, name))
        except ProblemError as error:
            if error.status != 429:  # many of them could fill the log
                logger.warning(f"{request.method} {_path()} refused with {error.status}: {error.detail}")
            return problem(error)

    views: tuple[tuple[str, str, _ApiView], ...] = (
        ("GET", _CHANGES_PATH, _get_changes),
        ("POST", _PATH, _post),
        ("GET", f"{_PATH}/<path:name>", _get),
        ("DELETE", f"{_PATH}/<path:name>", _delete),
        ("POST", f"{_PATH}/<path:name>/done", _done),
        ("POST", _APPOINTMENTS_PATH, _post_appointments),
        ("GET", f"{_APPOINTMENTS_PATH}/<path:name>", _get_appointment),
        ("DELETE", f"{_APPOINTMENTS_PATH}/<path:name>", _delete_appointment),
    )
    answered = [(method, path, partial(answer, view)) for method, path, view in views]
    return [*answered, ("GET", _DOCUMENT_PATH, _document)]


def _path() -> str:
    """Return the path of the request without the name in it, which may be that of a patient."""
    paths = (_CHANGES_PATH, _APPOINTMENTS_PATH)
    return next((path for path in paths if request.path.startswith(path)), _PATH)


async def _document() -> Response:
    """Answer with the OpenAPI description of the API, which contains no secret."""
    return ready_reply(200, (resources.files("reminderd.web") / "openapi.json").read_bytes())


def read_requests(body: bytes, reading: Reading) -> tuple[list[ReminderRequest], bool]:
    """Return the reminders in a request, and whether they came as a list.

    Raises:
        ProblemError: the request is wrong; every mistake is listed.
    """

    def read(texts: Mapping[str, str]) -> ReminderRequest | list[str]:
        text = RequestText(
            phone_number=texts.get("phone_number", ""),
            scheduled_at=texts.get("scheduled_at", ""),
            **{name: texts.get(name) for name in _REMINDER.optional},
        )
        return read_request(text, reading)

    return read_entries(body, _REMINDER, read)


async def _post(api: Api, _name: str, body: bytes) -> Response:
    _expect_json()
    requests, is_list = read_requests(body, api.reading)
    write = partial(put_all, requests=requests, rules=api.rules, mint=_mint, source=_OVER_HTTP)
    return await _added(api, write, _shown, path=_PATH, is_list=is_list)


async def _get(api: Api, name: str, _body: bytes) -> Response:
    found = await api.database.read(partial(stored_reminder, id_or_ref=name))
    if found is None:
        raise _unknown("reminder")
    return reply(200, _shown(found))


async def _delete(api: Api, name: str, _body: bytes) -> Response:
    return await _changed(api, partial(withdraw, id_or_ref=name, rules=api.rules), _shown)


async def _done(api: Api, name: str, body: bytes) -> Response:
    if body:
        _expect_json()
    return await _changed(api, partial(finish, id_or_ref=name, note=_note_in(body), rules=api.rules), _shown)


def _note_in(body: bytes) -> str | None:
    """Return the note in a request; None if there is no note, or no body.

    Raises:
        ProblemError: the request is wrong; every mistake is listed.
    """
    document = document_in(body, "an object") if body else {}
    if not isinstance(document, dict):
        raise ProblemError(400, "the body is not an object; expected {} or one with a note")
    errors = [
        (f"/{name}" if FIELD_NAME.fullmatch(name) else "", "unknown; expected only note")
        for name in document
        if name != _NOTE
    ]
    note = document.get(_NOTE)
    if note is not None:
        mistake = note_mistake(note) if isinstance(note, str) else "not text; expected text, or nothing"
        errors += [] if mistake is None else [(f"/{_NOTE}", mistake)]
    if errors:
        raise ProblemError(400, "nothing was stored; errors lists every mistake", errors)
    return note if isinstance(note, str) else None


def _shown(stored: StoredReminder) -> dict[str, Any]:
    """Return a reminder as the API shows it, without its message and transcripts."""
    calls = [{name: json_value(call[name]) for name in CALLS.shown_to(Audience.API)} for call in stored.calls]
    return {**{name: json_value(stored.reminder[name]) for name in SHOWN_BY_API}, "calls": calls}


async def _post_appointments(api: Api, _name: str, body: bytes) -> Response:
    _expect_json()

    def read(texts: Mapping[str, str]) -> AppointmentRequest | list[str]:
        others = {name: texts.get(name) for name in _APPOINTMENT.optional}
        text = AppointmentText(phone_number=texts.get("phone_number", ""), at=texts.get("at", ""), **others)
        return read_appointment(text, api.reading)

    requests, is_list = read_entries(body, _APPOINTMENT, read)
    write = partial(put_all_appointments, requests=requests, rules=api.rules, mint=_mint, source=_OVER_HTTP)
    return await _added(api, write, _shown_appointment, path=_APPOINTMENTS_PATH, is_list=is_list)


async def _get_appointment(api: Api, name: str, _body: bytes) -> Response:
    found = await api.database.read(partial(stored_appointment, id_or_ref=name))
    if found is None:
        raise _unknown("appointment")
    return reply(200, _shown_appointment(found))


async def _delete_appointment(api: Api, name: str, _body: bytes) -> Response:
    write = partial(withdraw_appointment, id_or_ref=name, rules=api.rules, source=_OVER_HTTP)
    return await _changed(api, write, _shown_appointment)


def _shown_appointment(stored: StoredAppointment) -> dict[str, Any]:
    """Return an appointment as the API shows it, with its reminders, but without their messages."""
    reminders = [{name: json_value(one[name]) for name in SHOWN_BY_API} for one in stored.reminders]
    shown = {name: json_value(stored.appointment[name]) for name in APPOINTMENTS.shown_to(Audience.API)}
    return {**shown, "reminders": reminders}


async def _added(
    api: Api,
    write: Callable[[Connection, datetime], list[tuple[Any, Decision]]],
    show: Callable[[Any], dict[str, Any]],
    *,
    path: str,
    is_list: bool,
) -> Response:
    """Add or update everything that the request asks for, or nothing at all."""
    try:
        done = await api.database.write(write, wait=False)
    except RequestsRefusedError as error:
        is_conflict = any(refusal.decision.intake is Intake.CONFLICT for refusal in error.refusals)
        errors = [(f"/{refusal.place}" if is_list else "", refusal.decision.reason) for refusal in error.refusals]
        raise ProblemError(409 if is_conflict else 400, "nothing was stored", errors) from error
    status = 201 if any(decision.intake is Intake.ADDED for _, decision in done) else 200
    shown = [show(found) | {"warnings": list(decision.warnings)} for found, decision in done]
    if is_list:
        return reply(status, {path.rpartition("/")[2]: shown})
    return reply(status, shown[0], {"Location": f"{path}/{quote(str(shown[0]['id']), safe='')}"})


async def _changed(
    api: Api,
    write: Callable[[Connection, datetime], tuple[Any, Transition | None]],
    show: Callable[[Any], dict[str, Any]],
) -> Response:
    try:
        found, transition = await api.database.write(write, wait=False)
    except UnknownReminderError:
        raise _unknown("reminder") from None
    except UnknownAppointmentError:
        raise _unknown("appointment") from None
    except NotAllowedError as error:
        raise ProblemError(409, str(error)) from error
    if transition is not None:
        api.log(transition)
    return reply(200, show(found))


def _mint() -> str:
    return str(uuid4())


def _expect_json() -> None:
    if request.mimetype not in {_JSON, ""}:
        raise ProblemError(415, f"expected Content-Type: {_JSON}")


def _unknown(noun: str) -> ProblemError:
    return ProblemError(404, f"no {noun} has this id or ref")


async def _get_changes(api: Api, _name: str, _body: bytes) -> Response:
    """Answer with the changes after a cursor: each once, in order, and none is skipped."""
    cursor, seconds, limit = _asked()
    page = await api.changes(cursor, limit, seconds)
    return reply(200, {"changes": [change.event for change in page.changes], "next": str(page.cursor)})


def _asked() -> tuple[Cursor | None, int, int]:
    """Return the cursor, the seconds to wait, and the most changes, from the query.

    Raises:
        ProblemError: a value is wrong; every mistake is listed.
    """
    is_unknown = any(name not in _PARAMETERS for name in request.args)
    errors = [("", f"unknown parameter; expected only {', '.join(_PARAMETERS)}")] if is_unknown else []
    cursor: Cursor | None = None
    try:
        after = request.args.get("after")
        cursor = None if after is None else read_cursor(after)
    except ValueError as error:
        errors.append(("/after", str(error)))
    numbers = {}
    for name, usual, least, most in (("wait", 0, 0, _MOST_SECONDS), ("limit", _USUAL_CHANGES, 1, _MOST_CHANGES)):
        text = request.args.get(name, str(usual))
        numbers[name] = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_MOST_CHANGES)) else -1
        if not least <= numbers[name] <= most:
            errors.append((f"/{name}", f"expected a whole number from {least} to {most}"))
    if errors:
        raise ProblemError(400, "errors lists every mistake", errors)
    return cursor, numbers["wait"], numbers["limit"]
