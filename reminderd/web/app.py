"""Puts the provider's door together: which path leads where, and what no request may exceed."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio
from quart import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from reminderd.web.api import Api, api_views
from reminderd.web.door import Answer, Door, taken
from reminderd.web.gate import gated
from reminderd.web.guard import Guard
from reminderd.web.health import Doings, Readiness, alive, ready, status
from reminderd.web.replies import confess, explain

MAX_IN_WORK: Final = 512
"""Webhooks that are checked and recorded at a time."""

BODY_SECONDS: Final = 30.0
"""How long a webhook's body may take to arrive."""

DROP_SECONDS: Final = 10.0
"""How long after its answer the rest of a request is still read."""

_MEBIBYTE: Final = 1024 * 1024


def _no_api() -> None:
    """There is none."""


def build_app(
    *,
    door: Door,
    readiness: Readiness,
    max_body_bytes: int,
    api: Callable[[], Api | None] = _no_api,
    guard: Guard | None = None,
    doings: Doings | None = None,
    answered: Callable[[int], None] = lambda _code: None,
    max_in_work: int = MAX_IN_WORK,
    body_seconds: float = BODY_SECONDS,
    drop_seconds: float = DROP_SECONDS,
) -> QuartTrio:
    """The app that takes webhooks and tells of its health.

    Args:
        door: the provider's webhooks.
        readiness: what is wrong with each part that this process runs.
        max_body_bytes: longest body.
        api: gives the clinic's own system's door as it is now; None: there is none now.
        guard: lets wrong tokens of that door wait; None: one that trusts no proxy.
        doings: what this process is and does; None: nobody may ask.
        answered: told the HTTP code of the answer to each webhook.
        max_in_work: webhooks that are checked and recorded at a time; one more is asked to come again.
        body_seconds: how long a webhook's body may take to arrive.
        drop_seconds: how long after its answer the rest of a request is still read.
    """
    app = QuartTrio("reminderd.web", static_folder=None)
    app.config["RESPONSE_TIMEOUT"] = None  # a sender's time to take its answer is bounded by its connection
    app.url_map.merge_slashes = False  # else `/health//ready` is answered with a redirect, in HTML
    app.register_error_handler(HTTPException, explain)
    app.register_error_handler(Exception, confess)
    seats = trio.Semaphore(max_in_work)

    def taking(answer: Answer) -> Callable[..., Awaitable[Response]]:
        async def take(**_parts_of_the_path: str) -> Response:
            try:
                response = await taken(answer, door=door, seats=seats, body_seconds=body_seconds)
            except Exception:  # a bug, for which `confess` finds the words
                answered(500)
                raise
            answered(response.status_code)
            return response

        return take

    views: list[tuple[str, str, Callable[..., Awaitable[Response]]]] = [
        ("GET", "/health", alive),
        ("GET", "/health/ready", partial(ready, readiness)),
        *([] if doings is None else [("GET", "/health/status", partial(status, doings))]),
        *((method, path, taking(answer)) for method, path, answer in door.routes),
        *api_views(api, seats=seats, body_seconds=body_seconds, guard=guard or Guard()),
    ]
    for method, path, view in views:
        app.add_url_rule(path, f"{method} {path}", view, methods=[method], provide_automatic_options=False)
    app.asgi_app = gated(  # type: ignore[method-assign,assignment]  # Quart's way to wrap an app
        app.asgi_app,
        limit=max_body_bytes,
        drop_limit=16 * max(max_body_bytes, _MEBIBYTE),
        drop_seconds=drop_seconds,
        room_bytes=max(16 * max_body_bytes, 64 * _MEBIBYTE),
    )
    return app
