"""Answers in JSON, also for every error: plain objects, and problem details (RFC 9457) for the API."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from loguru import logger
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from reminderd.core.upsert import Intake
from reminderd.store.reminders import RequestsRefusedError

RETRY_AFTER_SECONDS: Final = 5
"""How long a client is asked to wait when nothing can be recorded now."""

Errors: TypeAlias = Sequence[tuple[str, str]]
"""Each a JSON pointer (RFC 6901) into the request, and a sentence about what is there."""

View: TypeAlias = Callable[..., Awaitable[Response]]
"""Answers a request; the parts of its path come as arguments."""

_API: Final = "/api/"
_PROBLEM_TYPE: Final = "application/problem+json"


def json_app(name: str, views: Iterable[tuple[str, str, View]]) -> QuartTrio:
    """Return an app with these views, each with its method and path, that answers every error in JSON."""
    app = QuartTrio(name, static_folder=None)
    app.config["RESPONSE_TIMEOUT"] = None  # the connection bounds how long a client may take to receive its answer
    app.url_map.merge_slashes = False  # else `/health//ready` is answered with a redirect, in HTML
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unexpected_error)
    for method, path, view in views:
        app.add_url_rule(path, f"{method} {path}", view, methods=[method], provide_automatic_options=False)
    return app


class ProblemError(Exception):
    """A request to the API that can't be carried out as it is."""

    def __init__(self, status: int, detail: str, errors: Errors = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, dict(headers or {})


def refusal_of(error: RequestsRefusedError, *, is_list: bool) -> ProblemError:
    """Return the problem of a request of which something is refused."""
    is_conflict = any(refusal.decision.intake is Intake.CONFLICT for refusal in error.refusals)
    errors = [(f"/{refusal.place}" if is_list else "", refusal.decision.reason) for refusal in error.refusals]
    return ProblemError(409 if is_conflict else 400, "nothing was stored", errors)


def plain(value: object) -> object:
    """Return a value as JSON has it: times in ISO 8601, UTC."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds") if isinstance(value, datetime) else value


def problem(error: ProblemError) -> Response:
    """Answer with problem details."""
    content: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
    }
    if error.errors:
        content["errors"] = [{"pointer": pointer, "detail": detail} for pointer, detail in error.errors]
    return Response(json.dumps(content).encode(), error.status, error.headers, content_type=_PROBLEM_TYPE)


def reply(status: int, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Answer with this JSON object."""
    return ready_reply(status, json.dumps(content).encode(), headers)


def ready_reply(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a body that is JSON already."""
    return Response(body, status, dict(headers or {}), content_type="application/json")


async def unavailable(_error: HTTPException | None = None) -> Response:
    """Ask the client to send its request again."""
    return reply(503, {"error": "Service unavailable"}, {"Retry-After": str(RETRY_AFTER_SECONDS)})


async def http_error(error: HTTPException) -> Response:
    """Answer in JSON what the framework refuses by itself: an unknown path, a wrong method."""
    headers = {name: value for name, value in error.get_headers() if name.lower() != "content-type"}
    return _error(error.code or 500, error.name.capitalize(), headers)


async def unexpected_error(error: Exception) -> Response:
    """Answer that there was an unexpected error, and log it."""
    logger.opt(exception=error).error(f"unexpected error in {request.method} {request.path}")
    return _error(500, "Internal server error", {})


def _error(status: int, phrase: str, headers: Mapping[str, str]) -> Response:
    if request.path.startswith(_API):
        return problem(ProblemError(status, phrase, headers=headers))
    return reply(status, {"error": phrase}, headers)
