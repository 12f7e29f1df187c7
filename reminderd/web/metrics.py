"""The door for Prometheus: one page, on a port of its own."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from quart import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from reminderd.metrics import CONTENT_TYPE
from reminderd.web.gate import gated
from reminderd.web.replies import confess, explain

Scrape: TypeAlias = Callable[[], Awaitable[bytes]]
"""The page as it is now."""

_LONGEST_BODY: Final = 1024
"""Bytes; nobody sends one."""

_DROP_SECONDS: Final = 1.0


def build_metrics_app(scrape: Scrape) -> QuartTrio:
    """The app that answers `GET /metrics` and nothing else."""
    app = QuartTrio("reminderd.web.metrics", static_folder=None)
    app.url_map.merge_slashes = False
    app.register_error_handler(HTTPException, explain)
    app.register_error_handler(Exception, confess)

    async def metrics() -> Response:
        return Response(await scrape(), 200, content_type=CONTENT_TYPE)

    app.add_url_rule("/metrics", "metrics", metrics, methods=["GET"], provide_automatic_options=False)
    app.asgi_app = gated(  # type: ignore[method-assign,assignment]  # Quart's way to wrap an app
        app.asgi_app,
        limit=_LONGEST_BODY,
        drop_limit=16 * _LONGEST_BODY,
        drop_seconds=_DROP_SECONDS,
        room_bytes=1024 * _LONGEST_BODY,
    )
    return app
