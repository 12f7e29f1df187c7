"""The clinic's own system's door: reminders handed in, looked up and taken back."""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from typing import Any, Final, Protocol
from urllib.parse import quote
from zoneinfo import ZoneInfo

import trio
from attrs import frozen
from loguru import logger
from quart import Response, request
from werkzeug.exceptions import NotFound

from reminderd.core.lifecycle.staff import NotAllowedError
from reminderd.core.requests import ReminderRequest
from reminderd.core.script.templates import Templates
from reminderd.core.upsert import Decision, Intake
from reminderd.store.errors import AmbiguousError, StoreUnavailableError, UnknownReminderError
from reminderd.store.reminders import RefusedError, Stored
from reminderd.web.body import NoRoomError, TooLargeError
from reminderd.web.gate import intake_of
from reminderd.web.guard import Guard
from reminderd.web.intake import read_requests
from reminderd.web.problems import ProblemError, problem
from reminderd.web.replies import RETRY_AFTER_SECONDS, ready_reply, reply

PATH: Final = "/api/reminders"
DOCUMENT_PATH: Final = "/api/openapi.json"

_REMINDER: Final = (
    "id",
    "ref",
    "status",
    "phone_number",
    "scheduled_at",
    "expires_at",
    "timezone",
    "attempts",
    "response",
    "call_outcome",
    "hold_code",
    "hold_reason",
    "end_code",
    "last_error",
)
_CALL: Final = ("state", "status", "outcome", "answered_by", "duration_seconds", "created_at", "received_at")
_JSON: Final = "application/json"


class IntakeDesk(Protocol):
    """What stands behind the door; each returns after the commit, or raises StoreUnavailableError."""

    async def put(self, requests: Sequence[ReminderRequest]) -> list[tuple[Stored, Decision]]:
        """Store all that is asked for, or raise RefusedError and store nothing."""

    async def find(self, id_or_ref: str) -> Stored | None:
        """A reminder, or None if there is none with this id or `ref`; AmbiguousError if there are two."""

    async def withdraw(self, id_or_ref: str) -> Stored:
        """Cancel a reminder, or raise UnknownReminderError, AmbiguousError or NotAllowedError."""


@frozen(kw_only=True)
class Api:
    """The door: where it is, who may come, and what stands behind it."""

    token: str
    zone: ZoneInfo | None
    """The clinic's, for times without an offset; None: they are refused."""
    templates: Templates
    """The clinic's templates."""
    normalise: Callable[[str], str]
    """Returns a phone number in its stored form, or raises ValueError."""
    desk: IntakeDesk


View = Callable[..., Awaitable[Response]]
_AnsweringView = Callable[[Api, str, bytes], Awaitable[Response]]


def api_views(
    current: Callable[[], Api | None], *, seats: trio.Semaphore, body_seconds: float, guard: Guard
) -> list[tuple[str, str, View]]:
    """Method, path and view of each route; while `current` gives None, nothing is found there."""

    def api() -> Api:
        found = current()
        if found is None:
            raise NotFound
        return found

    async def document() -> Response:
        api()
        return _document()

    async def door(view: _AnsweringView, **parts: str) -> Response:
        return await _answered(view, api=api(), seats=seats, body_seconds=body_seconds, guard=guard, **parts)

    return [
        ("POST", PATH, partial(door, _post)),
        ("GET", f"{PATH}/<path:name>", partial(door, _get)),
        ("DELETE", f"{PATH}/<path:name>", partial(door, _delete)),
        ("GET", DOCUMENT_PATH, document),
    ]


async def _answered(
    view: _AnsweringView,
    *,
    api: Api,
    seats: trio.Semaphore,
    body_seconds: float,
    guard: Guard,
    name: str = "",
) -> Response:
    """Let in who may come, and answer; whatever is wrong is a problem in the sense of RFC 9457."""
    try:
        await _let_in(api.token, guard)
        body = await _body(body_seconds)
        try:
            seats.acquire_nowait()
        except trio.WouldBlock:
            raise _later("too many requests at once") from None
        try:
            return await view(api, name, body)
        except StoreUnavailableError as error:
            raise _later(str(error)) from error
        except AmbiguousError as error:
            raise ProblemError(409, str(error)) from error
        finally:
            seats.release()
    except ProblemError as error:
        if error.status != 429:  # whoever sends those could fill the log
            logger.warning(f"{request.method} {PATH} refused with {error.status}: {error.detail}")
        return problem(error)


async def _let_in(token: str, guard: Guard) -> None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    is_right = hmac.compare_digest(given.strip().encode(errors="surrogatepass"), token.encode())
    if is_right and scheme.lower() == "bearer":
        return
    intake_of(request.scope).drop()  # a stranger's body takes no memory while its answer waits
    await guard.slow_down(request)
    raise ProblemError(401, "expected Authorization: Bearer and the token", headers={"WWW-Authenticate": "Bearer"})


async def _body(seconds: float) -> bytes:
    try:
        with trio.fail_after(seconds):
            return await intake_of(request.scope).read()
    except TooLargeError:
        raise ProblemError(413, "the body is larger than [web].max_body_bytes") from None
    except trio.TooSlowError:
        raise ProblemError(408, "the body did not arrive in time") from None
    except NoRoomError:
        raise _later("too many large requests at once") from None


def _later(reason: str) -> ProblemError:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return ProblemError(503, f"nothing was stored; try again: {reason}", headers=headers)


async def _post(api: Api, _name: str, body: bytes) -> Response:
    if request.mimetype not in {_JSON, ""}:
        raise ProblemError(415, f"expected Content-Type: {_JSON}")
    requests, is_list = read_requests(body, api.zone, api.templates, api.normalise)
    try:
        done = await api.desk.put(requests)
    except RefusedError as error:
        is_conflict = any(refusal.decision.intake is Intake.CONFLICT for refusal in error.refusals)
        errors = [(f"/{refusal.place}" if is_list else "", refusal.decision.reason) for refusal in error.refusals]
        raise ProblemError(409 if is_conflict else 400, "nothing was stored", errors) from error
    is_new = any(decision.intake is Intake.ADDED for _, decision in done)
    shown = [_shown(stored) | {"warnings": list(decision.warnings)} for stored, decision in done]
    where = {} if is_list else {"Location": f"{PATH}/{quote(str(shown[0]['id']), safe='')}"}
    return reply(201 if is_new else 200, {"reminders": shown} if is_list else shown[0], where)


async def _get(api: Api, name: str, _body: bytes) -> Response:
    found = await api.desk.find(name)
    if found is None:
        raise _unknown()
    return reply(200, _shown(found))


async def _delete(api: Api, name: str, _body: bytes) -> Response:
    try:
        return reply(200, _shown(await api.desk.withdraw(name)))
    except UnknownReminderError:
        raise _unknown() from None
    except NotAllowedError as error:
        raise ProblemError(409, str(error)) from error


def _unknown() -> ProblemError:
    return ProblemError(404, "no reminder has this id or ref")


def _shown(whole: Stored) -> dict[str, Any]:
    """A reminder as the door shows it: not what was said in it, nor what was answered."""
    calls = [{name: _plain(call[name]) for name in _CALL} for call in whole.calls]
    return {**{name: _plain(whole.reminder[name]) for name in _REMINDER}, "calls": calls}


def _plain(value: object) -> object:
    return value.astimezone(UTC).isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def _document() -> Response:
    """The description of this door; it holds no secret."""
    return ready_reply(200, (resources.files("reminderd.web") / "openapi.json").read_bytes())
