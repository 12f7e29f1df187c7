"""Receives a provider's webhooks: body, place, signature, in this order; the provider's own routes answer them."""

from collections.abc import Callable, Sequence

import trio
from attrs import Factory, field, frozen
from loguru import logger
from quart import Response, request

from reminderd.providers.base import (
    Answering,
    InvalidPayloadError,
    Recorder,
    RefusedWebhookError,
    Route,
    Webhook,
    WebhookProvider,
)
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.web.bodies import Limits, NoMemoryLeftError, TooLargeError, body_of
from reminderd.web.replies import View, reply, unavailable


@frozen(kw_only=True)
class Webhooks:
    """The webhooks of one provider, recorded by one recorder."""

    provider: WebhookProvider
    recorder: Recorder
    routes: Sequence[Route] = field(
        init=False, default=Factory(lambda self: self.provider.routes(self.recorder), takes_self=True)
    )


@frozen(kw_only=True)
class _Receiver:
    current: Callable[[], Webhooks]
    limits: Limits
    in_work: trio.Semaphore
    answered: Callable[[int], None]
    knows_one_call: bool


def webhook_views(
    current: Callable[[], Webhooks],
    *,
    limits: Limits,
    in_work: trio.Semaphore,
    answered: Callable[[int], None],
    knows_one_call: bool,
) -> list[tuple[str, str, View]]:
    """Return method, path and view of each webhook.

    Args:
        current: returns the webhooks as they are configured now; their paths never change.
        limits: what none of them may exceed.
        in_work: has a place for each request that may be in work; without one the provider is asked to come again.
        answered: is told the HTTP status of each answer.
        knows_one_call: see `build_app`. A GET is about no certain call, and not served then.
    """
    receiver = _Receiver(
        current=current, limits=limits, in_work=in_work, answered=answered, knows_one_call=knows_one_call
    )
    return [
        (route.method, route.path, _view(place, receiver))
        for place, route in enumerate(current().routes)
        if route.method == "POST" or not knows_one_call
    ]


def _view(place: int, receiver: _Receiver) -> View:
    async def view(**_parts_of_the_path: str) -> Response:
        try:
            response = await _received(place, receiver)
        except Exception:  # a bug, which `unexpected_error` answers
            receiver.answered(500)
            raise
        if receiver.knows_one_call and not response.status_code < 300:
            response = await unavailable()
        receiver.answered(response.status_code)
        return response

    return view


async def _received(place: int, receiver: _Receiver) -> Response:
    try:
        with trio.fail_after(receiver.limits.body_seconds):
            body = await body_of(request.scope).read()
    except TooLargeError:
        return _refused(413, "Payload too large")
    except trio.TooSlowError:
        return _refused(408, "Request timeout")
    except NoMemoryLeftError:
        return await _later("too many large requests at once")
    # No place while its body is on the way: slow senders would keep everybody else out.
    try:
        receiver.in_work.acquire_nowait()
    except trio.WouldBlock:
        return await _later("too many webhooks at once")
    try:
        webhooks = receiver.current()
        return await _answered(_webhook(body), webhooks.routes[place].answer, webhooks.provider)
    finally:
        receiver.in_work.release()


def _webhook(body: bytes) -> Webhook:
    scope = request.scope
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Webhook(target=target.decode("latin-1"), headers=headers, body=body)


async def _answered(webhook: Webhook, answer: Answering, provider: WebhookProvider) -> Response:
    if not provider.verified(webhook):
        return _refused(provider.forged_status, "Invalid signature")
    try:
        found = await answer(webhook)
    except InvalidPayloadError as error:
        return _refused(400, "Invalid payload", error.details)
    except RefusedWebhookError as error:
        return _refused(error.status, error.error)
    except UnknownReminderError as error:
        with logger.contextualize(reminder=error):
            return _refused(404, "Unknown reminder")
    except StoreUnavailableError as error:
        return await _later(str(error))
    return Response(found.body, found.status, content_type=found.content_type)


def _refused(status: int, error: str, details: Sequence[str] = ()) -> Response:
    """Refuse a webhook, with a line in the log."""
    logger.warning(f"webhook refused with {status}: {'; '.join((error, *details))}")
    return reply(status, {"error": error, "details": details} if details else {"error": error})


async def _later(reason: str) -> Response:
    logger.warning(f"webhook not recorded, answered with 503: {reason}")
    return await unavailable()
