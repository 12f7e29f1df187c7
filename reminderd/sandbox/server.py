"""Serves a sandbox on a port of its own, alone or in the nursery of a process that does other things, too."""

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart_trio import QuartTrio

from reminderd.sandbox.ledger import Rung


class Served(Protocol):
    """What every dialect's sandbox shows to whoever serves it."""

    @property
    def app(self) -> QuartTrio:
        """Its HTTP side."""

    @property
    def calls(self) -> Sequence[Rung]:
        """The ledger: every call placed and not yet forgotten, oldest first."""

    async def ring_calls(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let ring what is placed, until cancelled."""


async def serve_sandbox(
    sandbox: Served,
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
        shutdown_trigger: waits for the stop; requests under way then have a second to end.
        task_status: is told the base URL, once requests are taken.

    Raises:
        OSError: the address can't be had, as when the port is in use.
    """
    config = Config()
    config.graceful_timeout = 1
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    # Bound here and not by Hypercorn, whose nurseries would make an exception group of a port that is in use.
    with _bound(host, port) as listener:
        config.bind = [f"fd://{listener.fileno()}"]
        async with trio.open_nursery() as ringing:
            await ringing.start(sandbox.ring_calls)
            async with trio.open_nursery() as serving:
                listener.detach()  # from here on the descriptor is Hypercorn's to close
                (url,) = await serving.start(partial(serve, sandbox.app, config, shutdown_trigger=shutdown_trigger))
                task_status.started(url)
            ringing.cancel_scope.cancel()


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
