"""Serves the app: bound before anything else starts, with a bound on connections, and no connection can break another.

Hypercorn's own `serve` has neither bound nor walls: a stray websocket frame ends it, and the process with it. So the
accepting is done here, around its connections.
"""

import logging
import resource
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Final

import trio
from attrs import frozen
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework
from loguru import logger

from reminderd.config.validators import shown_host
from reminderd.web.connection import Connection

GRACE: Final = timedelta(seconds=10)
"""How long a stop waits for requests in flight."""

MAX_CONNECTIONS: Final = 1_000
"""Connections at a time; the next ones wait in the kernel."""

_BACKLOG: Final = 512
"""Connections that wait there."""

_IDLE_SECONDS: Final = 20
"""For a request's headers to arrive, and between two requests on one connection."""


class PortUnavailableError(OSError):
    """The address can't be listened on; the message is one clear line for the admin."""


def bind(host: str, port: int) -> socket.socket:
    """Listen on this address, to be served later; whoever connects meanwhile waits.

    Args:
        host: a name or an address; IPv6 with or without brackets.
        port: 0 takes a free one.

    Raises:
        PortUnavailableError: in use, not ours to have, or no such address.
    """
    host = host.removeprefix("[").removesuffix("]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # only here does Linux tell that another process listens there already
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that can be none
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "no such host"
        raise PortUnavailableError(f"can't listen on {shown_host(host)} port {port}: {reason}") from error
    return listener


async def serve(
    app: ASGIFramework,
    listener: socket.socket,
    *,
    shutdown_trigger: Callable[[], Awaitable[None]],
    grace: timedelta = GRACE,
    max_connections: int = MAX_CONNECTIONS,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until the trigger returns, then take no more connections and finish the requests in flight.

    Args:
        app: what to serve. Its `before_serving` and the like don't run.
        listener: from `bind`; it is closed at the stop.
        shutdown_trigger: waits for the stop.
        grace: how long the requests in flight then have; they are cut off after it.
        max_connections: open at a time; never more than half of the files that the process may open.
        task_status: told the base URL, once requests are taken.
    """
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    seats = trio.Semaphore(min(max_connections, open_files // 2))
    context = WorkerContext(max_requests=None)
    connections: set[Connection] = set()
    answer = partial(
        _answer, app=ASGIWrapper(app), config=_config(), context=context, connections=connections, seats=seats
    )
    with listener:  # also if cancelled before Trio has it
        async with trio.open_nursery() as answering:
            async with trio.open_nursery() as accepting:
                bounded = _BoundedListener(trio.SocketListener(trio.socket.from_stdlib_socket(listener)), seats)
                await accepting.start(partial(trio.serve_listeners, answer, [bounded], handler_nursery=answering))
                task_status.started(url_of(listener))
                await shutdown_trigger()
                accepting.cancel_scope.cancel()
            await context.terminated.set()  # connections with a request in flight close after its answer
            for connection in connections:
                if connection.idle:
                    connection.hang_up()
            answering.cancel_scope.deadline = trio.current_time() + grace.total_seconds()


@frozen(eq=False)
class _BoundedListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts a connection when there is a seat for it; who serves it gives the seat back."""

    listener: trio.SocketListener
    seats: trio.Semaphore

    async def accept(self) -> trio.SocketStream:
        await self.seats.acquire()
        try:
            return await self.listener.accept()
        except BaseException:
            self.seats.release()
            raise

    async def aclose(self) -> None:
        await self.listener.aclose()


async def _answer(
    stream: trio.SocketStream,
    *,
    app: ASGIWrapper,
    config: Config,
    context: WorkerContext,
    connections: set[Connection],
    seats: trio.Semaphore,
) -> None:
    """Answer the requests on one connection. The app's own errors are answered by the app and don't come here."""
    connection = Connection(stream, config)
    connections.add(connection)
    try:
        await connection.answer(app, context)
    except* Exception as errors:  # noqa: BLE001 - whatever Hypercorn does not expect of a sender
        logger.warning(f"a connection failed: {errors.exceptions!r}")
    finally:
        connections.discard(connection)
        seats.release()


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.keep_alive_timeout = _IDLE_SECONDS
    config.h2_max_concurrent_streams = 1  # HTTP/2 can't be switched off; so a connection is one request all the same
    return config


def url_of(listener: socket.socket) -> str:
    """Where it listens, as a base URL."""
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
