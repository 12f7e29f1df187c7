"""One sender's connection: carries bytes between its stream and Hypercorn's protocols, and ends when it should.

It stands in for Hypercorn's `TCPServer`, which keeps a closed connection for as long as an idle one, waits without end
for a sender to take its answer, forgets a request that was read ahead when the sender hangs up, and starts a task for
each idle moment. The parts used here are no public interface; the tests show from outside whether they still fit.
"""

import math
from contextlib import suppress
from typing import Final

import trio
from attrs import define, field
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

_UNREAD_SECONDS: Final = 30.0
"""For a sender to take an answer off the wire."""

_READ_BYTES: Final = 16 * 1024


@define(eq=False)
class Connection:
    """Answers the requests that come over one stream, one after the other."""

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
        except OSError:  # gone already
            await self.stream.aclose()
            return
        try:
            async with TaskGroup() as tasks:
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
        """Carry out what Hypercorn's protocol asks for."""
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
