"""Serve a sandbox on a port of its own, alone or in the nursery of a process that does other things, too."""

import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from quart_trio import QuartTrio

from reminderd.sandbox.switchboard import PlacedCall

CUT_MARK: Final = "x-sandbox-cut"
"""A response with this header ends after its head; the server sees that a body is missing and cuts the connection."""

_ASGIApp: TypeAlias = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Coroutine[Any, Any, None]]


class SimulatedProvider(Protocol):
    """What the sandbox of every dialect offers."""

    @property
    def app(self) -> QuartTrio:
        """Its HTTP API."""

    @property
    def calls(self) -> Sequence[PlacedCall]:
        """Every call placed and not yet forgotten, oldest first."""

    async def play_calls(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Play the calls that are placed, until cancelled."""


async def serve_sandbox(
    sandbox: SimulatedProvider,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    shutdown_trigger: Callable[[], Awaitable[None]] | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until the trigger returns, or until cancelled where there is none.

    Args:
        sandbox: what to serve.
        host: the address to listen on.
        port: 0 takes a free one.
        shutdown_trigger: waits for the stop; requests in flight then have a second to end.
        task_status: is given the base URL, once requests are accepted.

    Raises:
        OSError: the address is unavailable, as when the port is in use.
    """
    config = Config()
    config.graceful_timeout = 1
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    # Bound here and not by Hypercorn, whose nurseries would make an exception group of a port that is in use.
    with _bound(host, port) as listener:
        config.bind = [f"fd://{listener.fileno()}"]
        async with trio.open_nursery() as playing:
            await playing.start(sandbox.play_calls)
            async with trio.open_nursery() as serving:
                listener.detach()  # from here on Hypercorn closes the descriptor
                (url,) = await serving.start(partial(serve, sandbox.app, config, shutdown_trigger=shutdown_trigger))
                task_status.started(url)
            playing.cancel_scope.cancel()


def cutting(app: _ASGIApp) -> _ASGIApp:
    """Return the app with a layer around it that cuts off the responses with `CUT_MARK`, and lets the others end."""

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


def _bound(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
