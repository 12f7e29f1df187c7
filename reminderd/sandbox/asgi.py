"""A layer between Quart and Hypercorn: it breaks off the answers that are marked, and lets the others end in peace."""

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope

CUT_MARK: Final = "x-sandbox-cut"
"""A response with this header ends after its head; the server sees that a body is missing and cuts the line."""

ASGIApp: TypeAlias = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Coroutine[Any, Any, None]]


def layered(app: ASGIApp) -> ASGIApp:
    """The app with the layer around it."""

    async def asgi(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        cut = False

        async def send_on(message: ASGISendEvent) -> None:
            nonlocal cut
            if message["type"] == "http.response.start":
                cut = any(name.lower() == CUT_MARK.encode() for name, _ in message["headers"])
            elif cut:
                return
            # At the last part Hypercorn tells quart-trio that the stream is closed, and quart-trio (0.12) then cancels
            # this very task, before Hypercorn has noted that the connection is idle: it would hold up every stop.
            with trio.CancelScope(shield=True):
                await send(message)

        await app(scope, receive, send_on)

    return asgi
