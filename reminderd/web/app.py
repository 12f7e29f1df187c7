"""Build the web app: which path leads where, and the pages for monitoring."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

import trio
from attrs import frozen
from quart import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from reminderd.web.api import Api, Throttle, api_views
from reminderd.web.bodies import RequestLimits, with_bounded_bodies
from reminderd.web.documents import View, json_app, ready_reply, reply, unavailable
from reminderd.web.webhooks import WebhookEndpoint, Webhooks

Readiness: TypeAlias = Callable[[], Awaitable[Mapping[str, str | None]]]
"""Returns each part that this process runs, with what is wrong with it in words for the admin, or None."""

Doings: TypeAlias = Callable[[], Awaitable[Mapping[str, object]]]
"""Returns what this process is and does, as a JSON object: `reminderd status` reads it."""

Scrape: TypeAlias = Callable[[], Awaitable[bytes]]
"""Returns the metrics as they are now."""

_OK: Final = b'{"status": "ok"}'

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""The format that every Prometheus reads; none of our names needs the newer one."""

_METRICS_LIMITS: Final = RequestLimits(body_bytes=1024, drain_seconds=1.0)
"""Prometheus sends no body."""


@frozen(kw_only=True)
class Health:
    """What this process says about itself."""

    readiness: Readiness
    doings: Doings | None = None
    """None: there is no `/health/status`."""

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
    """Answer what runs here, since when, and what it last did."""
    return reply(200, await doings())


def build_metrics_app(scrape: Scrape) -> QuartTrio:
    """Return the app that answers `GET /metrics` and nothing else."""

    async def metrics() -> Response:
        return Response(await scrape(), 200, content_type=METRICS_TYPE)

    app = json_app("reminderd.web.app", [("GET", "/metrics", metrics)])
    return with_bounded_bodies(app, _METRICS_LIMITS)


def build_app(
    *,
    webhooks: Webhooks,
    health: Health,
    limits: RequestLimits,
    api: Api | None = None,
    throttle: Throttle | None = None,
    answered: Callable[[int], None] = lambda _status: None,
    knows_one_call: bool = False,
) -> QuartTrio:
    """Return the app that accepts webhooks, serves the API, and reports its health.

    Args:
        webhooks: the provider's.
        health: what this process says about itself.
        limits: what no request may exceed.
        api: the API for the clinic's own system; None: there is none.
        throttle: delays wrong tokens of the API; None: one that trusts no proxy.
        answered: receives the HTTP status of the answer to each webhook.
        knows_one_call: whether this process stands in for the daemon with one call only. Then it serves that call's
            webhooks and nothing else; anything about another call is sent again later, to the daemon.
    """
    in_work = trio.Semaphore(limits.in_work)
    endpoint = WebhookEndpoint(
        webhooks=webhooks, limits=limits, in_work=in_work, answered=answered, knows_one_call=knows_one_call
    )
    views: list[tuple[str, str, View]] = []
    if not knows_one_call:
        views += health.views
        if api is not None:
            views += api_views(api, limits=limits, in_work=in_work, throttle=throttle or Throttle())
    app = json_app("reminderd.web", views)
    if knows_one_call:
        app.register_error_handler(HTTPException, unavailable)
    app.asgi_app = endpoint.before(app.asgi_app)  # type: ignore[method-assign,assignment]  # Quart's way to wrap an app
    return with_bounded_bodies(app, limits)
