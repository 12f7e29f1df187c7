"""Serves an app over HTTP: Hypercorn's protocols on connections of our own. See docs/decisions/0009.

Hypercorn 0.18 is used for HTTP alone, and not its `serve` and `TCPServer`, for these reasons; when upstream has
repaired one, what it needs here goes:

* `serve` has no bound on connections, and an error in one of them, such as a stray websocket frame, ends all.
* `TCPServer` keeps a closed connection for as long as an idle one, waits without end for a client to receive its
  answer, keeps a request that was read ahead when the client hangs up, and starts a task for each idle moment.
* Its `TaskGroup` hands a request over through a queue, and tells the app through the same queue that the request is
  over. Once that is full of a body that nobody receives, the app's own answer would wait for the app to receive.

The parts of Hypercorn used here are not public; the tests show from outside whether they still fit.
"""

import errno
import logging
import math
import resource
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final

import trio
from attrs import define, field, frozen
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.trio.task_group import TaskGroup, _handle
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    AppWrapper,
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendEvent,
    ConnectionState,
    Scope,
)
from hypercorn.utils import parse_socket_addr
from loguru import logger

from reminderd.validators import shown_host

GRACE: Final = timedelta(seconds=10)
"""How long a stop waits for requests in flight."""

MAX_CONNECTIONS: Final = 1_000
"""Connections at a time; the next ones wait in the kernel."""

_UNREAD_SECONDS: Final = 30.0
"""For a client to receive an answer."""

_READ_BYTES: Final = 16 * 1024

_BACKLOG: Final = 512
"""Connections that wait there."""

_IDLE_SECONDS: Final = 20
"""For a request's headers to arrive, and between two requests on one connection."""


class PortUnavailableError(OSError):
    """The address can't be listened on; the message is one clear line for the admin."""


def bind(host: str, port: int) -> socket.socket:
    """Listen on this address, to be served later; clients that connect meanwhile wait.

    Args:
        host: a name or an address; IPv6 with or without brackets.
        port: 0 chooses a free one.

    Raises:
        PortUnavailableError: it is in use, not allowed, or there is no such address.
    """
    host = host.removeprefix("[").removesuffix("]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # only here does Linux show that another process listens there already
    except (OSError, UnicodeError) as error:  # UnicodeError: not a possible name
        listener.close()
        reason = error.strerror if isinstance(error, OSError) else "no such host"
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            reason = f"{reason}; perhaps another reminderd runs: ss -ltnp names the program that uses the port"
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
    """Serve until the trigger returns, then accept no more connections and finish the requests in flight.

    Args:
        app: what to serve. Its `before_serving` and the like don't run.
        listener: from `bind`; it is closed at the stop.
        shutdown_trigger: waits for the stop.
        grace: how long the requests in flight then have; they are cut off after it.
        max_connections: open at a time; never more than half of the files that the process may open.
        task_status: receives the base URL, once requests are accepted.
    """
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    places = trio.Semaphore(min(max_connections, open_files // 2))
    context = WorkerContext(max_requests=None)
    connections: set[ClientConnection] = set()
    answer = partial(
        _answer, app=ASGIWrapper(app), config=_config(), context=context, connections=connections, places=places
    )
    with listener:  # also if cancelled before Trio has it
        async with trio.open_nursery() as answering:
            async with trio.open_nursery() as accepting:
                bounded = _BoundedListener(trio.SocketListener(trio.socket.from_stdlib_socket(listener)), places)
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
    """Accepts a connection when there is a place for it; the task that serves it frees the place."""

    listener: trio.SocketListener
    places: trio.Semaphore

    async def accept(self) -> trio.SocketStream:
        await self.places.acquire()
        try:
            return await self.listener.accept()
        except BaseException:
            self.places.release()
            raise

    async def aclose(self) -> None:
        await self.listener.aclose()


@define(eq=False)
class ClientConnection:
    """One client's connection: carries bytes between its stream and Hypercorn's protocols, and ends when it should."""

    stream: trio.SocketStream
    config: Config
    idle: bool = field(default=True, init=False)
    """Whether no request is in flight."""
    _protocol: ProtocolWrapper = field(init=False)
    _reading: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _sending: trio.Lock = field(factory=trio.Lock, init=False)
    _head: bytes = field(default=b"", init=False)
    """The head of an answer whose body has yet to come."""

    async def answer(self, app: ASGIWrapper, context: WorkerContext) -> None:
        """Answer until either side closes, or the idle time is over."""
        socket = self.stream.socket
        try:
            client = parse_socket_addr(socket.family, socket.getpeername())
            server = parse_socket_addr(socket.family, socket.getsockname())
        except OSError:  # the client has hung up
            await self.stream.aclose()
            return
        try:
            async with _Requests() as tasks:
                state = ConnectionState({})
                self._protocol = ProtocolWrapper(
                    app, self.config, context, tasks, state, ssl=False, client=client, server=server, send=self._take
                )
                self._set_idle(idle=True)
                with self._reading:
                    await self._read()
                await self._protocol.handle(Closed())
        finally:
            await self.stream.aclose()

    def hang_up(self) -> None:
        """Read no further request."""
        self._reading.cancel()

    async def _read(self) -> None:
        received = b"something"
        while received:
            try:
                received = bytes(await self.stream.receive_some(_READ_BYTES))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            await self._protocol.handle(RawData(received))

    async def _take(self, event: Event) -> None:
        """Carry out what Hypercorn's protocol requests."""
        match event:
            case RawData(data) if data[:9] == b"HTTP/1.1 " and data[9:10] != b"1":
                self._head = bytes(data)  # goes out with what follows it, in one packet
            case RawData(data):
                await self._send(data)
            case Updated(idle):
                await self._send(b"")
                self._set_idle(idle=idle)
            case Closed():
                await self._send(b"")
                await self.stream.aclose()
                self.hang_up()  # it may wait to hand over what nobody receives anymore
                await self._protocol.handle(Closed())

    async def _send(self, data: bytes) -> None:
        data, self._head = self._head + data, b""
        if not data:
            return
        async with self._sending:
            with (
                trio.move_on_after(_UNREAD_SECONDS, shield=True),
                suppress(trio.BrokenResourceError, trio.ClosedResourceError),
            ):
                await self.stream.send_all(data)
                return
            await self._protocol.handle(Closed())
            self.hang_up()

    def _set_idle(self, *, idle: bool) -> None:
        self.idle = idle
        self._reading.deadline = trio.current_time() + self.config.keep_alive_timeout if idle else math.inf


class _Requests(TaskGroup):
    """Answers requests, each in a task of its own."""

    async def spawn_app(
        self, app: AppWrapper, config: Config, scope: Scope, send: Callable[[ASGISendEvent | None], Awaitable[None]]
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start to answer a request; return what hands over the parts of its body, and at last that it is over."""
        arriving, arrived = trio.open_memory_channel[ASGIReceiveEvent](config.max_app_queue_size)
        receive: ASGIReceiveCallable = partial(_receive, arrived)
        self.spawn(_handle, app, config, scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)
        return partial(_hand_over, arriving)


async def _hand_over(arriving: "trio.MemorySendChannel[ASGIReceiveEvent]", event: ASGIReceiveEvent) -> None:
    """Wait until there is a place in the queue, but not to say that the request is over: then nothing more arrives."""
    if event["type"] == "http.disconnect":
        arriving.close()
        return
    with suppress(trio.ClosedResourceError):
        await arriving.send(event)


async def _receive(arrived: "trio.MemoryReceiveChannel[ASGIReceiveEvent]") -> ASGIReceiveEvent:
    try:
        return await arrived.receive()
    except trio.EndOfChannel:
        return {"type": "http.disconnect"}


async def _answer(
    stream: trio.SocketStream,
    *,
    app: ASGIWrapper,
    config: Config,
    context: WorkerContext,
    connections: set[ClientConnection],
    places: trio.Semaphore,
) -> None:
    """Answer the requests on one connection. The app's own errors are answered by the app and don't come here."""
    connection = ClientConnection(stream, config)
    connections.add(connection)
    try:
        await connection.answer(app, context)
    except* Exception as errors:  # noqa: BLE001 - whatever Hypercorn does not expect of a client
        logger.warning(f"a connection failed: {errors.exceptions!r}")
    finally:
        connections.discard(connection)
        places.release()


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.keep_alive_timeout = _IDLE_SECONDS
    config.h2_max_concurrent_streams = 1  # HTTP/2 can't be switched off; so a connection is still one request at a time
    return config


def url_of(listener: socket.socket) -> str:
    """Return where it listens, as a base URL."""
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
