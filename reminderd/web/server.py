"""Serve an app over HTTP, with Hypercorn's protocols on our own connections. See docs/decisions/0009.

Hypercorn 0.18 is used only for HTTP, without its `serve` and `TCPServer`, for these reasons; once upstream has fixed
one, the code for it here is to be deleted:

* `serve` has no bound on connections, and an error in one of them, such as a stray websocket frame, ends all.
* `TCPServer` keeps a closed connection for as long as an idle one, waits without end for a client to receive its
  answer, keeps a request that was read ahead when the client hangs up, and starts a task for each idle moment.
* Its `TaskGroup` hands a request over through a queue, and tells the app through the same queue that the request is
  over. Once that is full of a body that nobody receives, the app's own answer would wait for the app to receive. And it
  starts a task for each request, also where there is nothing to wait for.

The parts of Hypercorn that are used here are not public; the tests show from outside whether they still work.
"""

import errno
import logging
import os
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
from hypercorn.typing import AppWrapper, ASGIFramework, ASGIReceiveEvent, ASGISendEvent, ConnectionState, Scope
from hypercorn.utils import parse_socket_addr
from loguru import logger

from reminderd.validators import shown_host
from reminderd.web.bodies import ArrivingRequest

GRACE: Final = timedelta(seconds=10)
"""How long a stop waits for requests in flight."""

MAX_CONNECTIONS: Final = 1_000
"""The most connections at a time; the next ones wait in the kernel."""

_UNREAD_SECONDS: Final = 30.0
"""The seconds within which a client must receive an answer."""

_READ_BYTES: Final = 16 * 1024

_ONE_AT_A_TIME: Final = {"1.0", "1.1"}
"""The versions of HTTP with one request at a time, so that nothing has to be read during the answer."""

_BACKLOG: Final = 512
"""The most connections that wait in the kernel."""

_IDLE_SECONDS: Final = 20
"""The seconds within which a request's headers must arrive, and the most between two requests on one connection."""


class PortUnavailableError(OSError):
    """The program can't listen on the address; the message is one clear line for the admin."""


def bind(host: str, port: int) -> socket.socket:
    """Listen on this address; clients that connect wait until `serve` runs.

    Args:
        host: a name or an address; IPv6 with or without brackets.
        port: 0 chooses a free port.

    Raises:
        PortUnavailableError: the address is in use, not allowed, or does not exist.
    """
    host = host.removeprefix("[").removesuffix("]")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # Linux reports only here that another process already listens on it
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
        app: the app to serve. Its `before_serving` and similar functions don't run.
        listener: from `bind`; it is closed at the stop.
        shutdown_trigger: waits for the stop.
        grace: the time that requests in flight have to finish; then they are cut off.
        max_connections: the most at a time; never more than half of the files that the process may open.
        task_status: gets the base URL once requests are accepted.
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
                accepting.start_soon(_close_idle, connections)
                task_status.started(url_of(listener))
                await shutdown_trigger()
                accepting.cancel_scope.cancel()
            await context.terminated.set()  # connections with a request in flight close after its answer
            for connection in connections:
                if connection.idle_since is not None:
                    connection.hang_up()
            answering.cancel_scope.deadline = trio.current_time() + grace.total_seconds()


@frozen(eq=False)
class _BoundedListener(trio.abc.Listener[trio.SocketStream]):
    """Accepts a connection when a place is free; the task that serves the connection frees the place."""

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
    """One client's connection: passes bytes between its stream and Hypercorn's protocols, and closes in time."""

    stream: trio.SocketStream
    config: Config
    idle_since: float | None = field(factory=trio.current_time, init=False)
    """The time on Trio's clock; None if a request is in flight."""
    _protocol: ProtocolWrapper = field(init=False)
    _reading: trio.CancelScope = field(factory=trio.CancelScope, init=False)
    _may_answer: bool = field(default=False, init=False)
    """Whether the reading task may answer a request: only one after each read, so that no client delays the others."""
    _is_answering: bool = field(default=False, init=False)
    _is_over: bool = field(default=False, init=False)
    _sending: trio.Lock = field(factory=trio.Lock, init=False)
    _head: bytes = field(default=b"", init=False)
    """The head of an answer whose body is not available yet."""

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
            requests = _Requests(self)
            async with requests:
                state = ConnectionState({})
                self._protocol = ProtocolWrapper(
                    app, self.config, context, requests, state, ssl=False, client=client, server=server, send=self._take
                )
                with self._reading:
                    await self._read(requests)
                await self._protocol.handle(Closed())
        finally:
            await self.stream.aclose()

    def hang_up(self) -> None:
        """Read no further request. One that has arrived is still answered."""
        self._is_over = True
        if self.stream.socket.fileno() >= 0:
            # This ends only a wait. A request that has just ended the wait itself would be cut off by a cancellation.
            trio.lowlevel.notify_closing(self.stream.socket)

    def _give_up(self) -> None:
        """End the reading, as nobody receives anything anymore: the protocol may wait to pass something on."""
        self.hang_up()
        if not self._is_answering:
            self._reading.cancel()

    async def answer_at_once(self, answer: Callable[[], Awaitable[None]]) -> bool:
        """Answer a request in the task that reads, if that is allowed; return whether it was."""
        if not self._may_answer:
            return False
        self._may_answer, self._is_answering = False, True
        try:
            await answer()
        finally:
            self._is_answering = False
        if self._is_over:
            self._reading.cancel()
        return True

    async def hung_up(self) -> None:
        """Wait until the client hangs up, while nothing else reads; wait forever if it has sent another request."""
        try:
            await self._until_readable()
            is_next = await self.stream.socket.recv(1, socket.MSG_PEEK)
        except (OSError, trio.ClosedResourceError):
            return
        if is_next:
            await trio.sleep_forever()

    async def _until_readable(self) -> None:
        if self.stream.socket.fileno() < 0:  # closed since the last step: Trio would take this for a mistake
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_readable(self.stream.socket)

    async def _read(self, requests: "_Requests") -> None:
        received = b"something"
        while received and not self._is_over:
            try:
                await self._until_readable()
                received = os.read(self.stream.socket.fileno(), _READ_BYTES)
            except BlockingIOError:  # it was readable, and is not anymore
                continue
            except (OSError, trio.ClosedResourceError):
                return
            self._may_answer = True
            await self._protocol.handle(RawData(received))
            requests.begin_incomplete()

    async def _take(self, event: Event) -> None:
        """Carry out what Hypercorn's protocol requests."""
        match event:
            case RawData(data) if data[:9] == b"HTTP/1.1 " and data[9:10] != b"1":
                self._head = bytes(data)  # goes out with what follows it, in one packet
            case RawData(data):
                await self._send(data)
            case Updated(idle):
                await self._send(b"")
                self.idle_since = trio.current_time() if idle else None
            case Closed():
                await self._send(b"")
                await self.stream.aclose()
                self._give_up()
                await self._protocol.handle(Closed())

    async def _send(self, data: bytes) -> None:
        data, self._head = self._head + data, b""
        if not self._sending.locked():
            data = self._sent_at_once(data)
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
            self._give_up()

    def _sent_at_once(self, data: bytes) -> bytes:
        """Send what the kernel takes without waiting, which is nearly every answer; return the rest."""
        try:
            return data[os.write(self.stream.socket.fileno(), data) :] if data else data
        except OSError:  # there is no room, or the client has hung up: waiting shows which
            return data


class _Requests(TaskGroup):
    """Answers requests: a complete one at once, another one in a new task."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__()
        self._connection = connection
        self._incomplete: ArrivingRequest | None = None

    async def spawn_app(
        self, app: AppWrapper, config: Config, scope: Scope, send: Callable[[ASGISendEvent | None], Awaitable[None]]
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Prepare to answer a request; return the function that passes on its body, part by part, and then its end."""

        async def answer() -> None:
            await _handle(app, config, scope, arriving, send, trio.to_thread.run_sync, trio.from_thread.run)

        arriving = ArrivingRequest(
            begin=partial(self.spawn, answer),
            answer_at_once=partial(self._connection.answer_at_once, answer),
            hung_up=self._connection.hung_up,
            most_parts=config.max_app_queue_size,
        )
        if scope["type"] == "http" and scope["http_version"] in _ONE_AT_A_TIME:
            self._incomplete = arriving
        else:
            arriving.begin_now()
        return arriving.take

    def begin_incomplete(self) -> None:
        """Begin to answer a request of which only a part has been read."""
        if self._incomplete is not None:
            self._incomplete.begin_now()
            self._incomplete = None


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
    except* Exception as errors:  # noqa: BLE001 - a client may do anything that Hypercorn does not expect
        logger.warning(f"a connection failed: {errors.exceptions!r}")
    finally:
        connections.discard(connection)
        places.release()


async def _close_idle(connections: set[ClientConnection]) -> None:
    """Close connections that have been idle for too long. One deadline for all takes less time than one for each."""
    while True:
        now = trio.current_time()
        idle = [(one.idle_since, one) for one in connections if one.idle_since is not None]
        for since, connection in idle:
            if since + _IDLE_SECONDS <= now:
                connection.hang_up()
        oldest = min((since for since, _ in idle if since + _IDLE_SECONDS > now), default=now)
        await trio.sleep_until(oldest + _IDLE_SECONDS)  # one that becomes idle meanwhile may stay so until later


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.h2_max_concurrent_streams = 1  # HTTP/2 can't be switched off; so a connection is still one request at a time
    return config


def url_of(listener: socket.socket) -> str:
    """Return the base URL of the address that this socket listens on."""
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
