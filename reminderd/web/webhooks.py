"""Receives a provider's webhooks: body, place, signature, in this order; the provider's own routes answer them."""

from collections.abc import Callable, Sequence

import trio
from attrs import frozen
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
from reminderd.web.bodies import IncompleteError, NoMemoryLeftError, RequestLimits, TooLargeError, body_of
from reminderd.web.documents import View, reply, unavailable


@frozen(kw_only=True)
class Webhooks:
    """The webhooks of one provider, recorded by one recorder."""

    provider: WebhookProvider
    recorder: Recorder


def webhook_views(
    webhooks: Webhooks,
    *,
    limits: RequestLimits,
    in_work: trio.Semaphore,
    answered: Callable[[int], None],
    knows_one_call: bool,
) -> list[tuple[str, str, View]]:
    """Return method, path and view of each webhook.

    Args:
        webhooks: the provider's.
        limits: what none of them may exceed.
        in_work: has a place for each request that may be in work; without one the provider is asked to come again.
        answered: receives the HTTP status of each answer.
        knows_one_call: see `build_app`. A GET is about no certain call, and not served then.
    """

    def view_of(route: Route) -> View:
        async def view(**_parts_of_the_path: str) -> Response:
            try:
                response = await _received(route, webhooks.provider, limits, in_work)
            except Exception:  # a bug, which `unexpected_error` answers
                answered(500)
                raise
            if knows_one_call and not response.status_code < 300:
                response = await unavailable()
            answered(response.status_code)
            return response

        return view

    routes = webhooks.provider.routes(webhooks.recorder)
    served = [route for route in routes if route.method == "POST" or not knows_one_call]
    return [(route.method, route.path, view_of(route)) for route in served]


async def _received(
    route: Route, provider: WebhookProvider, limits: RequestLimits, in_work: trio.Semaphore
) -> Response:
    try:
        with trio.fail_after(limits.body_seconds):
            body = await body_of(request.scope).read()
    except IncompleteError:  # nobody is there to see an answer
        return Response(b"", 408)
    except TooLargeError:
        return _refused(413, "Payload too large")
    except trio.TooSlowError:
        return _refused(408, "Request timeout")
    except NoMemoryLeftError:
        return await _later("too many large requests at once")
    # No place while its body is on the way: slow senders would keep everybody else out.
    try:
        in_work.acquire_nowait()
    except trio.WouldBlock:
        return await _later("too many webhooks at once")
    try:
        return await _answered(_webhook(body), route.answer, provider)
    finally:
        in_work.release()


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
