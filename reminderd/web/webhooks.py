"""Takes the provider's webhooks: checked in a fixed order, then recorded in one step."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias

import trio
from loguru import logger
from quart import Response, request

from reminderd.core.answers import Report
from reminderd.providers.base import InvalidPayloadError, Provider
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.web.body import NoRoomError, TooLargeError
from reminderd.web.gate import intake_of
from reminderd.web.replies import RETRY_AFTER_SECONDS, ready_reply, reply

_SUCCESS: Final = b'{"success": true}'
_DUPLICATE: Final = b'{"success": true, "duplicate": true}'
_JSON_TYPE: Final = re.compile(r"application/(?:[\w!#$&^.+-]+\+)?json", re.ASCII | re.IGNORECASE)


class Recorded(Protocol):
    """What became of a report."""

    @property
    def duplicate(self) -> bool:
        """Whether it repeats a terminal report that was taken before."""


Record: TypeAlias = Callable[[Report], Awaitable[Recorded]]
"""Settles a report and returns after the commit; cancelled, it has settled the report wholly or not at all.

Raises UnknownReminderError, or StoreUnavailableError if nothing was recorded and the sender shall come again.
"""


async def call_status(*, provider: Provider, record: Record, seats: trio.Semaphore, body_seconds: float) -> Response:
    """Take one report in the generic contract.

    Args:
        provider: whose webhook it is; it verifies and parses.
        record: the one await that has an effect.
        seats: one for each webhook that may be in work; without one the sender is asked to come again.
        body_seconds: how long the body may take to arrive.
    """
    try:
        with trio.fail_after(body_seconds):
            body = await intake_of(request.scope).read()
    except TooLargeError:
        return _refused(413, "Payload too large")
    except trio.TooSlowError:
        return _refused(408, "Request timeout")
    except NoRoomError:
        return _later("the bodies of other requests fill the memory set aside for them")
    # No seat while its body is on the way: slow senders would keep everybody else out.
    try:
        seats.acquire_nowait()
    except trio.WouldBlock:
        return _later("too many webhooks at once")
    try:
        return await _taken(body, provider, record)
    finally:
        seats.release()


async def _taken(body: bytes, provider: Provider, record: Record) -> Response:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
    if not provider.verified(headers, body):
        return _refused(401, "Invalid signature")
    if not _is_json(headers.get("content-type", "")):
        return _refused(415, "Unsupported media type")
    try:
        report = provider.parse(body)
    except InvalidPayloadError as error:
        return _refused(400, "Invalid payload", error.details)
    try:
        recorded = await record(report)
    except UnknownReminderError:
        with logger.contextualize(reminder=report.reminder_id):
            return _refused(404, "Unknown reminder")
    except StoreUnavailableError as error:
        return _later(str(error))
    return ready_reply(200, _DUPLICATE if recorded.duplicate else _SUCCESS)


def _is_json(content_type: str) -> bool:
    """Whether a Content-Type names JSON, with whatever parameters; none at all counts as JSON."""
    essence = content_type.partition(";")[0].strip()
    return not content_type or _JSON_TYPE.fullmatch(essence) is not None


def _refused(status: int, error: str, details: Sequence[str] = ()) -> Response:
    logger.warning(f"webhook refused with {status}: {'; '.join((error, *details))}")
    return reply(status, {"error": error, "details": details} if details else {"error": error})


def _later(reason: str) -> Response:
    logger.warning(f"webhook put off with 503: {reason}")
    return reply(503, {"error": "Service unavailable"}, {"Retry-After": str(RETRY_AFTER_SECONDS)})
