"""The API for the clinic's own system: reminders are added, looked up, cancelled, and noted as done by staff."""

import hmac
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from importlib import resources
from typing import Any, Final, Protocol
from urllib.parse import quote
from zoneinfo import ZoneInfo

import trio
from attrs import define, field, frozen
from loguru import logger
from quart import Request, Response, request

from reminderd.core.requests import Reading, ReminderRequest, RequestText, read_request, wrong_note
from reminderd.core.script.templates import Templates
from reminderd.core.sentences import NotAllowedError
from reminderd.core.upsert import Decision, Intake
from reminderd.core.wrong_tokens import Network, WrongTokens, client_address
from reminderd.store.errors import AmbiguousError, StoreUnavailableError, UnknownReminderError
from reminderd.store.feed import until_any
from reminderd.store.intake import RequestsRefusedError
from reminderd.store.queries import SHOWN_BY_API
from reminderd.store.reminders import Stored
from reminderd.store.rows import CALLS, Shown
from reminderd.web.appointments import PATH as APPOINTMENTS_PATH
from reminderd.web.appointments import AppointmentsView
from reminderd.web.bodies import IncompleteError, NoMemoryLeftError, RequestLimits, TooLargeError, body_of
from reminderd.web.changes import PATH as CHANGES_PATH
from reminderd.web.changes import ChangeFeed, ChangesView
from reminderd.web.documents import (
    FIELD_NAME,
    RETRY_AFTER_SECONDS,
    Fields,
    ProblemError,
    View,
    document_in,
    plain,
    problem,
    read_entries,
    ready_reply,
    refusal_of,
    reply,
)

FIELDS: Final = Fields(
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
_NOTE: Final = "note"


def read_requests(
    body: bytes, zone: ZoneInfo | None, templates: Templates, normalize: Callable[[str], str]
) -> tuple[list[ReminderRequest], bool]:
    """Return the reminders in a request, and whether they came as a list.

    Args:
        body: the request's.
        zone: the clinic's, for times without an offset; None: they are refused.
        templates: the clinic's.
        normalize: returns a phone number in its stored form, or raises ValueError.

    Raises:
        ProblemError: something in it is wrong; every mistake is listed.
    """
    reading = Reading(zone=zone, normalize=normalize, templates=templates)

    def read(texts: Mapping[str, str]) -> ReminderRequest | list[str]:
        text = RequestText(
            phone_number=texts.get("phone_number", ""),
            scheduled_at=texts.get("scheduled_at", ""),
            **{name: texts.get(name) for name in FIELDS.optional},
        )
        return read_request(text, reading)

    return read_entries(body, FIELDS, read)


def read_note(body: bytes) -> str | None:
    """Return the note in a request; None: it has none, or no body.

    Raises:
        ProblemError: something in it is wrong; every mistake is listed.
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
        mistake = wrong_note(note) if isinstance(note, str) else "not text; expected text, or nothing"
        errors += [] if mistake is None else [(f"/{_NOTE}", mistake)]
    if errors:
        raise ProblemError(400, "nothing was stored; errors lists every mistake", errors)
    return note if isinstance(note, str) else None


PATH: Final = "/api/reminders"
DOCUMENT_PATH: Final = "/api/openapi.json"

MOST_OF_ONE: Final = 4
"""Answers that wait for one address at a time."""

MOST_OF_ALL: Final = 100
"""Answers that wait at a time: each of them holds a connection, and webhooks need those, too."""

_FORWARDED: Final = b"x-forwarded-for"
_JSON: Final = "application/json"


class ReminderService(Protocol):
    """Carries out what the API is asked for; each method returns after the commit, or raises StoreUnavailableError."""

    async def upsert(self, requests: Sequence[ReminderRequest]) -> list[tuple[Stored, Decision]]:
        """Add or update all reminders, or raise RequestsRefusedError and store nothing."""

    async def find(self, id_or_ref: str) -> Stored | None:
        """Return a reminder, or None if none has this id or `ref`; raise AmbiguousError if there are two."""

    async def cancel(self, id_or_ref: str) -> Stored:
        """Cancel a reminder, or raise UnknownReminderError, AmbiguousError or NotAllowedError."""

    async def finish(self, id_or_ref: str, note: str | None) -> Stored:
        """Note that staff have called the patient manually; raises the same errors."""


@frozen(kw_only=True)
class Api:
    """What the API needs to know of the clinic, and what it works with."""

    token: str
    zone: ZoneInfo | None
    """The clinic's, for times without an offset; None: they are refused."""
    templates: Templates
    """The clinic's templates."""
    normalize: Callable[[str], str]
    """Returns a phone number in its stored form, or raises ValueError."""
    service: ReminderService
    appointments: AppointmentsView
    feed: ChangeFeed


@define(eq=False)
class Throttle:
    """Delays the answers to wrong tokens, for each client address; right tokens never come here."""

    trusted: Sequence[Network] = ()
    """The proxies whose `X-Forwarded-For` is believed."""
    stopping: trio.Event = field(factory=trio.Event)
    """Once it is set, no answer waits anymore."""
    pace: float = 1.0
    """What delays are multiplied by; tests shorten or lengthen them."""
    _wrong: WrongTokens = field(factory=WrongTokens, init=False)
    _waiting: "Counter[str]" = field(factory=Counter, init=False)

    @property
    def waiting(self) -> int:
        """Return how many answers wait now."""
        return self._waiting.total()

    async def slow_down(self, request: Request) -> None:
        """Wait until a wrong token may be answered.

        Raises:
            ProblemError: too many answers wait already; this one must be given at once.
        """
        peer = (request.scope.get("client") or ("unknown",))[0]
        forwarded = [value.decode("latin-1") for name, value in request.scope["headers"] if name == _FORWARDED]
        address = client_address(peer, forwarded, self.trusted)
        delay = self._wrong.delay(address, trio.current_time()) * self.pace
        if not delay:
            return
        if self._waiting[address] >= MOST_OF_ONE or self.waiting >= MOST_OF_ALL:
            headers = {"Retry-After": str(math.ceil(delay))}
            raise ProblemError(429, "too many requests with a wrong token", headers=headers)
        logger.warning(f"a wrong token of the API from {address}; answered after {delay:g} s")
        self._waiting[address] += 1
        try:
            with trio.move_on_after(delay):
                await until_any(self.stopping.wait, body_of(request.scope).hung_up)
        finally:
            self._waiting[address] -= 1
            self._waiting = +self._waiting  # removes the addresses that nobody waits for


_AnsweringView = Callable[[Api, str, bytes], Awaitable[Response]]


def api_views(
    api: Api, *, limits: RequestLimits, in_work: trio.Semaphore, throttle: Throttle
) -> list[tuple[str, str, View]]:
    """Return method, path and view of each route."""

    async def answer(view: _AnsweringView, name: str = "") -> Response:
        try:
            await _authorize(api.token, throttle)
            body = await _body(limits.body_seconds)
            return await _answered(partial(view, api, name, body), in_work)
        except ProblemError as error:
            if error.status != 429:  # their senders could fill the log
                logger.warning(f"{request.method} {_path()} refused with {error.status}: {error.detail}")
            return problem(error)

    changes = ChangesView(api.feed)

    async def answer_changes(_api: Api, _name: str, _body: bytes) -> Response:
        return await changes.answer()

    return [
        ("GET", CHANGES_PATH, partial(answer, answer_changes)),
        ("POST", PATH, partial(answer, _post)),
        ("GET", f"{PATH}/<path:name>", partial(answer, _get)),
        ("DELETE", f"{PATH}/<path:name>", partial(answer, _delete)),
        ("POST", f"{PATH}/<path:name>/done", partial(answer, _done)),
        ("POST", APPOINTMENTS_PATH, partial(answer, _post_appointments)),
        ("GET", f"{APPOINTMENTS_PATH}/<path:name>", partial(answer, _get_appointment)),
        ("DELETE", f"{APPOINTMENTS_PATH}/<path:name>", partial(answer, _delete_appointment)),
        ("GET", DOCUMENT_PATH, _document),
    ]


def _path() -> str:
    """Return the path of the request without the name in it, which may be a patient's."""
    if request.path == CHANGES_PATH:
        return CHANGES_PATH
    return APPOINTMENTS_PATH if request.path.startswith(APPOINTMENTS_PATH) else PATH


async def _answered(view: Callable[[], Awaitable[Response]], in_work: trio.Semaphore) -> Response:
    """Answer if there is a place; whatever is wrong is a problem in the sense of RFC 9457."""
    try:
        in_work.acquire_nowait()
    except trio.WouldBlock:
        raise _later("too many requests at once") from None
    try:
        return await view()
    except StoreUnavailableError as error:
        raise _later(str(error)) from error
    except AmbiguousError as error:
        raise ProblemError(409, str(error)) from error
    finally:
        in_work.release()


async def _authorize(token: str, throttle: Throttle) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    is_right = hmac.compare_digest(given.strip().encode(errors="surrogatepass"), token.encode())
    if is_right and scheme.lower() == "bearer":
        return
    body_of(request.scope).drop()  # a stranger's body takes no memory
    await throttle.slow_down(request)
    raise ProblemError(401, "expected Authorization: Bearer and the token", headers={"WWW-Authenticate": "Bearer"})


async def _body(seconds: float) -> bytes:
    try:
        return await body_of(request.scope).read(seconds)
    except TooLargeError:
        raise ProblemError(413, "the body is larger than [web].max_body_bytes") from None
    except (trio.TooSlowError, IncompleteError):
        raise ProblemError(408, "the body did not arrive in time") from None
    except NoMemoryLeftError:
        raise _later("too many large requests at once") from None


def _later(reason: str) -> ProblemError:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return ProblemError(503, f"nothing was stored; try again: {reason}", headers=headers)


async def _post(api: Api, _name: str, body: bytes) -> Response:
    _expect_json()
    requests, is_list = read_requests(body, api.zone, api.templates, api.normalize)
    try:
        done = await api.service.upsert(requests)
    except RequestsRefusedError as error:
        raise refusal_of(error, is_list=is_list) from error
    is_new = any(decision.intake is Intake.ADDED for _, decision in done)
    shown = [_shown(stored) | {"warnings": list(decision.warnings)} for stored, decision in done]
    where = {} if is_list else {"Location": f"{PATH}/{quote(str(shown[0]['id']), safe='')}"}
    return reply(201 if is_new else 200, {"reminders": shown} if is_list else shown[0], where)


async def _get(api: Api, name: str, _body: bytes) -> Response:
    found = await api.service.find(name)
    if found is None:
        raise _unknown()
    return reply(200, _shown(found))


async def _delete(api: Api, name: str, _body: bytes) -> Response:
    return await _changed(partial(api.service.cancel, name))


async def _done(api: Api, name: str, body: bytes) -> Response:
    if body:
        _expect_json()
    return await _changed(partial(api.service.finish, name, read_note(body)))


async def _post_appointments(api: Api, _name: str, body: bytes) -> Response:
    _expect_json()
    return await api.appointments.post(body)


async def _get_appointment(api: Api, name: str, _body: bytes) -> Response:
    return await api.appointments.get(name)


async def _delete_appointment(api: Api, name: str, _body: bytes) -> Response:
    return await api.appointments.delete(name)


async def _changed(change: Callable[[], Awaitable[Stored]]) -> Response:
    try:
        return reply(200, _shown(await change()))
    except UnknownReminderError:
        raise _unknown() from None
    except NotAllowedError as error:
        raise ProblemError(409, str(error)) from error


def _expect_json() -> None:
    if request.mimetype not in {_JSON, ""}:
        raise ProblemError(415, f"expected Content-Type: {_JSON}")


def _unknown() -> ProblemError:
    return ProblemError(404, "no reminder has this id or ref")


def _shown(whole: Stored) -> dict[str, Any]:
    """Return a reminder as the API shows it: without its message and its transcripts."""
    calls = [{name: plain(call[name]) for name in CALLS.shown_to(Shown.API)} for call in whole.calls]
    return {**{name: plain(whole.reminder[name]) for name in SHOWN_BY_API}, "calls": calls}


async def _document() -> Response:
    """Answer with the OpenAPI description of the API; it holds no secret."""
    return ready_reply(200, (resources.files("reminderd.web") / "openapi.json").read_bytes())
