"""Takes in a provider's webhooks: body, seat and signature, in this order; what they say is for others to answer."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import trio
from attrs import frozen
from loguru import logger
from quart import Response, request

from reminderd.providers.base import InvalidPayloadError, Webhook
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.web.body import NoRoomError, TooLargeError
from reminderd.web.gate import intake_of
from reminderd.web.replies import RETRY_AFTER_SECONDS, reply

Answer: TypeAlias = Callable[[Webhook], Awaitable[Response]]
"""Answers a webhook that is the provider's own; it has one await with an effect, which happens wholly or not at all.

It may raise InvalidPayloadError, UnknownReminderError, or StoreUnavailableError if the sender shall come again.
"""


@frozen(kw_only=True)
class Door:
    """Which webhooks a provider has, and how they prove that they are its own."""

    routes: Sequence[tuple[str, str, Answer]]
    """Method, path and what answers there."""
    verified: Callable[[Webhook], bool]
    forged: int
    """The status that answers a webhook which is not the provider's own."""


def kept_up(current: Callable[[], Door]) -> Door:
    """A door that is at each moment the one that `current` gives; all of these have the same paths."""

    def answering(place: int) -> Answer:
        async def answer(webhook: Webhook) -> Response:
            return await current().routes[place][2](webhook)

        return answer

    first = current()
    routes = [(method, path, answering(place)) for place, (method, path, _) in enumerate(first.routes)]
    return Door(routes=routes, verified=lambda webhook: current().verified(webhook), forged=first.forged)


async def taken(answer: Answer, *, door: Door, seats: trio.Semaphore, body_seconds: float) -> Response:
    """Take in one webhook and answer it.

    Args:
        answer: what answers it.
        door: whose webhook it is.
        seats: one for each webhook that may be in work; without one the sender is asked to come again.
        body_seconds: how long the body may take to arrive.
    """
    try:
        with trio.fail_after(body_seconds):
            body = await intake_of(request.scope).read()
    except TooLargeError:
        return refused(413, "Payload too large")
    except trio.TooSlowError:
        return refused(408, "Request timeout")
    except NoRoomError:
        return _later("too many large requests at once")
    # No seat while its body is on the way: slow senders would keep everybody else out.
    try:
        seats.acquire_nowait()
    except trio.WouldBlock:
        return _later("too many webhooks at once")
    try:
        return await _answered(_webhook(body), answer, door)
    finally:
        seats.release()


def refused(status: int, error: str, details: Sequence[str] = ()) -> Response:
    """An answer that refuses a webhook, with a line in the log."""
    logger.warning(f"webhook refused with {status}: {'; '.join((error, *details))}")
    return reply(status, {"error": error, "details": details} if details else {"error": error})


def _webhook(body: bytes) -> Webhook:
    scope = request.scope
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Webhook(target=target.decode("latin-1"), headers=headers, body=body)


async def _answered(webhook: Webhook, answer: Answer, door: Door) -> Response:
    if not door.verified(webhook):
        return refused(door.forged, "Invalid signature")
    try:
        return await answer(webhook)
    except InvalidPayloadError as error:
        return refused(400, "Invalid payload", error.details)
    except UnknownReminderError as error:
        with logger.contextualize(reminder=error):
            return refused(404, "Unknown reminder")
    except StoreUnavailableError as error:
        return _later(str(error))


def _later(reason: str) -> Response:
    logger.warning(f"webhook not recorded, answered with 503: {reason}")
    return reply(503, {"error": "Service unavailable"}, {"Retry-After": str(RETRY_AFTER_SECONDS)})
