"""Receive a provider's webhooks: read the body, take a place, check the signature; the provider's own routes answer.

They don't pass through the web framework, which would take longer than everything else that is done for a webhook.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias, cast

import trio
from attrs import frozen
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from loguru import logger

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
from reminderd.web.documents import RETRY_AFTER_SECONDS

_JSON: Final = "application/json"
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_PART: Final = re.compile(r"<\w+>")


@frozen(kw_only=True)
class Webhooks:
    """The webhooks of one provider, recorded by one recorder."""

    provider: WebhookProvider
    recorder: Recorder


@frozen
class WebhookReply:
    """The answer to a webhook."""

    status: int
    body: bytes = b""
    content_type: str | None = _JSON
    """None: there is no content."""
    headers: Mapping[str, str] = _NO_HEADERS

    async def send(self, send: ASGISendCallable) -> None:
        """Send it to the server."""
        headers = [(b"content-length", b"%d" % len(self.body))]
        headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        if self.content_type is not None:
            headers.append((b"content-type", self.content_type.encode("latin-1")))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


Answered: TypeAlias = Callable[[int], None]
"""Receives the HTTP status of the answer to each webhook."""


@frozen(kw_only=True)
class WebhookEndpoint:
    """Receives all webhooks, whatever their route."""

    webhooks: Webhooks
    limits: RequestLimits
    in_work: trio.Semaphore
    """Has a place for each request that may be in progress; without one, the provider is asked to send it again."""
    answered: Answered
    knows_one_call: bool
    """See `build_app`. A GET names no call, so it is not served then."""

    def before(self, app: ASGIFramework) -> ASGIFramework:
        """Return an app that answers the webhooks itself, and leaves everything else to `app`."""
        routes = [
            route
            for route in self.webhooks.provider.routes(self.webhooks.recorder)
            if route.method == "POST" or not self.knows_one_call
        ]
        fixed = {route.path: route for route in routes if not _PART.search(route.path)}
        others = [(re.compile(_PART.sub("[^/]+", route.path)), route) for route in routes if route.path not in fixed]

        async def webhooks_first(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            route = None
            if scope["type"] == "http":
                path = scope["path"]
                route = fixed.get(path) or next((one for pattern, one in others if pattern.fullmatch(path)), None)
            if route is None:
                await app(scope, receive, send)
            else:
                reply = await self._answer(route, cast("HTTPScope", scope))
                await reply.send(send)

        return webhooks_first

    async def _answer(self, route: Route, scope: HTTPScope) -> WebhookReply:
        if scope["method"] != route.method:
            return _later() if self.knows_one_call else _wrong_method(route)
        try:
            reply = await self._received(route, scope)
        except Exception:  # noqa: BLE001 - a bug must not look like an answer of the provider's route
            logger.exception(f"unexpected error in {scope['method']} {scope['path']}")
            reply = _refusal(500, "Internal server error")
        if self.knows_one_call and not reply.status < 300:
            reply = _later()
        self.answered(reply.status)
        return reply

    async def _received(self, route: Route, scope: HTTPScope) -> WebhookReply:
        try:
            body = await body_of(scope).read(self.limits.body_seconds)
        except IncompleteError:  # nobody is there to see an answer
            return WebhookReply(408)
        except TooLargeError:
            return _refused(413, "Payload too large")
        except trio.TooSlowError:
            return _refused(408, "Request timeout")
        except NoMemoryLeftError:
            return _not_recorded("too many large requests at once")
        # Only a request with its whole body takes a place: slow senders would keep everybody else out.
        try:
            self.in_work.acquire_nowait()
        except trio.WouldBlock:
            return _not_recorded("too many webhooks at once")
        try:
            return await _answered(_webhook(scope, body), route.answer, self.webhooks.provider)
        finally:
            self.in_work.release()


def _webhook(scope: HTTPScope, body: bytes) -> Webhook:
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Webhook(target=target.decode("latin-1"), headers=headers, body=body)


async def _answered(webhook: Webhook, answer: Answering, provider: WebhookProvider) -> WebhookReply:
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
        return _not_recorded(str(error))
    return WebhookReply(found.status, found.body, found.content_type)


def _refused(status: int, error: str, details: Sequence[str] = ()) -> WebhookReply:
    """Refuse a webhook, with a line in the log."""
    logger.warning(f"webhook refused with {status}: {'; '.join((error, *details))}")
    return _refusal(status, error, details)


def _not_recorded(reason: str) -> WebhookReply:
    logger.warning(f"webhook not recorded, answered with 503: {reason}")
    return _later()


def _later() -> WebhookReply:
    """Ask the provider to send the webhook again."""
    return _refusal(503, "Service unavailable", headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _wrong_method(route: Route) -> WebhookReply:
    return _refusal(405, "Method not allowed", headers={"Allow": route.method})


def _refusal(
    status: int, error: str, details: Sequence[str] = (), *, headers: Mapping[str, str] = _NO_HEADERS
) -> WebhookReply:
    content = {"error": error, "details": details} if details else {"error": error}
    return WebhookReply(status, json.dumps(content).encode(), headers=headers)
