"""Build the web app: its routes, the provider's webhooks, and the pages for monitoring.

Webhooks don't pass through the web framework, which would take longer than all other work for them: reading the body,
taking a place, checking the signature, and answering by the provider's own routes.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias, cast

import trio
from attrs import frozen
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from loguru import logger
from quart import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from reminderd.providers.base import (
    InvalidPayloadError,
    Recorder,
    RefusedWebhookError,
    Reply,
    Route,
    Webhook,
    WebhookProvider,
)
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.web.access import Access, Throttle
from reminderd.web.api import Api, api_views
from reminderd.web.bodies import (
    IncompleteError,
    NoMemoryLeftError,
    RequestLimits,
    TooLargeError,
    body_of,
    with_bounded_bodies,
)
from reminderd.web.documents import RETRY_AFTER_SECONDS, View, json_app, ready_reply, reply, unavailable

Readiness: TypeAlias = Callable[[], Awaitable[Mapping[str, str | None]]]
"""Returns each part that this process runs, with its error in words for the admin, or None."""

Doings: TypeAlias = Callable[[], Awaitable[Mapping[str, object]]]
"""Returns a JSON object with the state of this process, for `reminderd status`."""

Scrape: TypeAlias = Callable[[], Awaitable[bytes]]
"""Returns the current metrics."""

_OK: Final = b'{"status": "ok"}'
_PART: Final = re.compile(r"<\w+>")

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The format that every Prometheus reads; none of our names needs the newer one."""

_METRICS_LIMITS: Final = RequestLimits(body_bytes=1024, drain_seconds=1.0)
"""Prometheus sends no body."""


@frozen(kw_only=True)
class Health:
    """The pages on which this process reports its state."""

    readiness: Readiness
    doings: Doings | None = None
    """None for no page `/health/status`."""

    @property
    def views(self) -> list[tuple[str, str, View]]:
        """Return method, path and view of each page."""
        views: list[tuple[str, str, View]] = [
            ("GET", "/health", _alive),
            ("GET", "/health/ready", partial(_ready, self.readiness)),
        ]
        if self.doings is not None:
            views.append(("GET", "/health/status", partial(_status, self.doings)))
        return views


async def _alive() -> Response:
    """Answer that the process responds."""
    return ready_reply(200, _OK)


async def _ready(readiness: Readiness) -> Response:
    """Answer that every part works, or which ones don't."""
    failing = {part: failure for part, failure in (await readiness()).items() if failure is not None}
    if failing:
        return reply(503, {"status": "unavailable", "failing": failing})
    return ready_reply(200, _OK)


async def _status(doings: Doings) -> Response:
    """Answer with what runs here, since when, and what it did last."""
    return reply(200, await doings())


def build_metrics_app(scrape: Scrape) -> QuartTrio:
    """Return the app that answers `GET /metrics` and nothing else."""

    async def metrics() -> Response:
        return Response(await scrape(), 200, content_type=METRICS_TYPE)

    app = json_app("reminderd.web.app", [("GET", "/metrics", metrics)])
    return with_bounded_bodies(app, _METRICS_LIMITS)


@frozen(kw_only=True)
class Webhooks:
    """All webhooks of one provider, recorded by one recorder."""

    provider: WebhookProvider
    recorder: Recorder
    answered: Callable[[int], None] = lambda _status: None
    """Gets the HTTP status of the answer to each webhook."""
    knows_one_call: bool = False
    """Whether this process replaces the daemon for only one call. Then the app answers only webhooks of that call, and
    no GET, which names no call; the provider is asked to send all others again later, when the daemon runs."""

    def before(self, app: ASGIFramework, limits: RequestLimits, in_work: trio.Semaphore) -> ASGIFramework:
        """Return an app that answers the webhooks itself, and leaves everything else to `app`.

        Args:
            app: answers everything else.
            limits: what no request may exceed.
            in_work: the places for requests in progress; if none is free, the provider is asked to send its webhook
                again.
        """
        routes = [
            route for route in self.provider.routes(self.recorder) if route.method == "POST" or not self.knows_one_call
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
                await _send(await self._answer(route, cast("HTTPScope", scope), limits, in_work), send)

        return webhooks_first

    async def _answer(self, route: Route, scope: HTTPScope, limits: RequestLimits, in_work: trio.Semaphore) -> Reply:
        if scope["method"] != route.method:
            allow = {"Allow": route.method}
            return _later() if self.knows_one_call else _refusal(405, "Method not allowed", headers=allow)
        try:
            reply = await self._received(route, scope, limits, in_work)
        except Exception:  # noqa: BLE001 - a bug must not look like an answer of the provider's route
            logger.exception(f"unexpected error in {scope['method']} {scope['path']}")
            reply = _refusal(500, "Internal server error")
        if self.knows_one_call and not reply.status < 300:
            reply = _later()
        self.answered(reply.status)
        return reply

    async def _received(self, route: Route, scope: HTTPScope, limits: RequestLimits, in_work: trio.Semaphore) -> Reply:
        try:
            body = await body_of(scope).read(limits.body_seconds)
        except IncompleteError:  # nobody is there to see an answer
            return Reply(status=408)
        except TooLargeError:
            return _refused(413, "Payload too large")
        except trio.TooSlowError:
            return _refused(408, "Request timeout")
        except NoMemoryLeftError:
            return _not_recorded("too many large requests at once")
        # Only a request with its whole body takes a place: slow senders would keep everybody else out.
        try:
            in_work.acquire_nowait()
        except trio.WouldBlock:
            return _not_recorded("too many webhooks at once")
        try:
            return await self._recorded(route, _webhook(scope, body))
        finally:
            in_work.release()

    async def _recorded(self, route: Route, webhook: Webhook) -> Reply:
        if not self.provider.verified(webhook):
            return _refused(self.provider.forged_status, "Invalid signature")
        try:
            return await route.view(webhook)
        except InvalidPayloadError as error:
            return _refused(400, "Invalid payload", error.details)
        except RefusedWebhookError as error:
            return _refused(error.status, error.error)
        except UnknownReminderError as error:
            with logger.contextualize(reminder=error):
                return _refused(404, "Unknown reminder")
        except StoreUnavailableError as error:
            return _not_recorded(str(error))


def _webhook(scope: HTTPScope, body: bytes) -> Webhook:
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Webhook(target=target.decode("latin-1"), headers=headers, body=body)


def _refused(status: int, error: str, details: Sequence[str] = ()) -> Reply:
    """Refuse a webhook, with a line in the log."""
    logger.warning(f"webhook refused with {status}: {'; '.join((error, *details))}")
    return _refusal(status, error, details)


def _not_recorded(reason: str) -> Reply:
    logger.warning(f"webhook not recorded, answered with 503: {reason}")
    return _later()


def _later() -> Reply:
    """Ask the provider to send the webhook again."""
    return _refusal(503, "Service unavailable", headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _refusal(
    status: int, error: str, details: Sequence[str] = (), *, headers: Mapping[str, str] | None = None
) -> Reply:
    content = {"error": error, "details": details} if details else {"error": error}
    return Reply(status=status, body=json.dumps(content).encode(), headers=headers or {})


async def _send(reply: Reply, send: ASGISendCallable) -> None:
    headers = [(b"content-length", b"%d" % len(reply.body))]
    headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in reply.headers.items()]
    if reply.content_type is not None:
        headers.append((b"content-type", reply.content_type.encode("latin-1")))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": False})


def build_app(
    *,
    webhooks: Webhooks,
    health: Health,
    limits: RequestLimits,
    api: Api | None = None,
    throttle: Throttle | None = None,
) -> QuartTrio:
    """Return the app that accepts webhooks, serves the API, and reports its health.

    Args:
        webhooks: the webhooks of the provider.
        health: the pages on which this process reports its state.
        limits: what no request may exceed.
        api: the API for the clinic's own system; None for no API.
        throttle: delays wrong tokens of the API; by default, it trusts no proxy.
    """
    in_work = trio.Semaphore(limits.in_work)
    views: list[tuple[str, str, View]] = []
    if not webhooks.knows_one_call:
        views += health.views
        if api is not None:
            access = Access(
                token=api.token,
                throttle=throttle or Throttle(),
                body_seconds=limits.body_seconds,
                in_work=in_work,
            )
            views += api_views(api, access)
    app = json_app("reminderd.web", views)
    if webhooks.knows_one_call:
        app.register_error_handler(HTTPException, unavailable)
    app.asgi_app = webhooks.before(app.asgi_app, limits, in_work)  # type: ignore[method-assign,assignment]  # Quart's way
    return with_bounded_bodies(app, limits)
