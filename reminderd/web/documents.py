"""Read requests in JSON, with every mistake in them; make answers in JSON, also for every error.

The body of a request is an object or a list of objects, with the fields of a reminder or an appointment. An answer is a
plain object, or problem details (RFC 9457) for an error of the API.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from attrs import frozen
from loguru import logger
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

RETRY_AFTER_SECONDS: Final = 5
"""The seconds that a client is asked to wait when nothing can be recorded now."""

Errors: TypeAlias = Sequence[tuple[str, str]]
"""For each error, a JSON pointer (RFC 6901) into the request, and a sentence about the value there."""

View: TypeAlias = Callable[..., Awaitable[Response]]
"""Answers a request; the parts of its path come as arguments."""

_API: Final = "/api/"
_PROBLEM_TYPE: Final = "application/problem+json"


def json_app(name: str, views: Iterable[tuple[str, str, View]]) -> QuartTrio:
    """Return an app with these views, each with its method and path, that answers every error in JSON."""
    app = QuartTrio(name, static_folder=None)
    app.config["RESPONSE_TIMEOUT"] = None  # `web.server` limits how long a client may take to receive its answer
    app.url_map.merge_slashes = False  # otherwise `/health//ready` is answered with a redirect, in HTML
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unexpected_error)
    for method, path, view in views:
        app.add_url_rule(path, f"{method} {path}", view, methods=[method], provide_automatic_options=False)
    return app


class ProblemError(Exception):
    """A request to the API that can't be carried out; its attributes are those of the answer."""

    def __init__(self, status: int, detail: str, errors: Errors = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, dict(headers or {})


def json_value(value: object) -> object:
    """Return a value as JSON represents it, with times in ISO 8601 and UTC."""
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
    """Answer in JSON if the framework itself refuses a request, as for an unknown path or a wrong method."""
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


MOST_AT_ONCE: Final = 1_000

FIELD_NAME: Final = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
"""Field names that an answer may repeat. Other names may be a patient's number or a message in the wrong place."""


class Named(Protocol):
    """A request that one entry of the body contains."""

    @property
    def ref(self) -> str | None:
        """Return the clinic's own name for the reminder or appointment."""

    @property
    def own_id(self) -> str:
        """Return the id that is used if there is no `ref`."""


T = TypeVar("T", bound=Named)


@frozen(kw_only=True)
class Fields:
    """The fields that one entry may have; all of them are texts."""

    noun: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    either: tuple[str, str] | None = None
    """Two optional fields of which one is needed; None if there are no such fields."""

    @property
    def all(self) -> tuple[str, ...]:
        """Return every field."""
        return (*self.required, *self.optional)


def read_entries(
    body: bytes, fields: Fields, read: Callable[[Mapping[str, str]], T | list[str]]
) -> tuple[list[T], bool]:
    """Return what a request asks for, and whether its body is a list.

    Args:
        body: the body of the request.
        fields: the fields that an entry may have.
        read: returns what the texts of one entry ask for, or its mistakes, each as `field: what is wrong`.

    Raises:
        ProblemError: the request is wrong; every mistake is listed.
    """
    document = document_in(body, "an object or a list of objects")
    is_list = isinstance(document, list)
    entries = document if isinstance(document, list) else [document]
    if not 0 < len(entries) <= MOST_AT_ONCE:
        raise ProblemError(400, f"{len(entries)} {fields.noun}s; expected 1 to {MOST_AT_ONCE} at a time")
    found = [_read(one, f"/{place}" if is_list else "", fields, read) for place, one in enumerate(entries)]
    errors = [error for _, wrong in found for error in wrong]
    requests = [one for one, _ in found if one is not None]
    errors += _duplicates(requests, fields.noun)
    if errors:
        raise ProblemError(400, "nothing was stored; errors lists every mistake", errors)
    return requests, is_list


def document_in(body: bytes, expected: str) -> object:
    """Return the JSON document in a body.

    Raises:
        ProblemError: the body is no JSON, or has a key twice; the error states what is expected.
    """
    try:
        return json.loads(body.decode("utf-8-sig"), object_pairs_hook=_with_each_key_once)
    except (ValueError, RecursionError):
        raise ProblemError(400, f"the body is not JSON; expected {expected}") from None


def _with_each_key_once(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    """Return a JSON object, but refuse a key with two values, as nobody knows which is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ProblemError(400, "an object has a key twice; expected each key once")
    return found


def _read(
    one: object, place: str, fields: Fields, read: Callable[[Mapping[str, str]], T | list[str]]
) -> tuple[T | None, list[tuple[str, str]]]:
    """Return what an entry asks for, and its mistakes."""
    if not isinstance(one, dict):
        return None, [(place, f"not an object; expected {'an' if fields.noun[0] in 'aeiou' else 'a'} {fields.noun}")]
    errors = list(_shape_errors(one, place, fields))
    request = read({name: value for name, value in one.items() if isinstance(value, str) and name in fields.all})
    if not isinstance(request, list):
        return (None if errors else request), errors
    named = {pointer for pointer, _ in errors}
    if f"{place}/template" in named:  # then nobody knows what the message would have been
        named.add(f"{place}/message")
    for mistake in request:
        field, _, sentence = mistake.partition(": ")
        if f"{place}/{field}" not in named:
            errors.append((f"{place}/{field}", sentence))
    return None, errors


def _shape_errors(one: Mapping[str, object], place: str, fields: Fields) -> Iterator[tuple[str, str]]:
    """Yield unknown, missing and mistyped fields."""
    for name in one:
        if name not in fields.all:
            pointer = f"{place}/{name}" if FIELD_NAME.fullmatch(name) else place
            what = "unknown" if pointer != place else "unknown field"
            yield pointer, f"{what}; expected only {', '.join(fields.all)}"
    for name in fields.required:
        if not isinstance(one.get(name), str):
            yield f"{place}/{name}", "missing; expected text" if one.get(name) is None else "not text; expected text"
    if fields.either is not None and all(one.get(name) is None for name in fields.either):
        yield f"{place}/{fields.either[0]}", f"missing; expected text, or a {fields.either[1]}"
    for name in fields.optional:
        if not isinstance(one.get(name), str | None):
            yield f"{place}/{name}", "not text; expected text, or nothing"


def _duplicates(requests: Sequence[Named], noun: str) -> Iterator[tuple[str, str]]:
    """Yield the place of each entry that repeats an earlier one of the same request."""
    seen: set[str] = set()
    for place, one in enumerate(requests):
        name = one.ref or one.own_id
        if name in seen:
            yield f"/{place}", f"twice in this request; expected each ref, and each {noun} without a ref, once"
        seen.add(name)
