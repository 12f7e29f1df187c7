"""The pages for monitoring: health, readiness, status, and the metrics on a port of their own."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeAlias

from attrs import frozen
from quart import Response
from quart_trio import QuartTrio

from reminderd.metrics import CONTENT_TYPE
from reminderd.web.bodies import RequestLimits, with_bounded_bodies
from reminderd.web.replies import View, json_app, ready_reply, reply

Readiness: TypeAlias = Callable[[], Awaitable[Mapping[str, str | None]]]
"""Returns each part that this process runs, with what is wrong with it in words for the admin, or None."""

Doings: TypeAlias = Callable[[], Awaitable[Mapping[str, object]]]
"""Returns what this process is and does, as a JSON object: `reminderd status` reads it."""

Scrape: TypeAlias = Callable[[], Awaitable[bytes]]
"""Returns the metrics as they are now."""

_OK: Final = b'{"status": "ok"}'

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
        return Response(await scrape(), 200, content_type=CONTENT_TYPE)

    app = json_app("reminderd.web.health", [("GET", "/metrics", metrics)])
    return with_bounded_bodies(app, _METRICS_LIMITS)
