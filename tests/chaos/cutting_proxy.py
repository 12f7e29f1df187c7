"""Run a proxy between a program and a PostgreSQL server that cuts the connection exactly at a COMMIT."""

import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from random import Random
from threading import Event, Thread
from typing import Final

import trio
from attrs import define, field

_WRITES: Final = b"READ COMMITTED READ WRITE"
_ONLY_READS: Final = b"READ ONLY"
_COMMIT: Final = b"COMMIT\0"
"""COMMIT as it is sent in a query or in a statement to be parsed, and as the server confirms it."""
_LONGEST: Final = max(map(len, (_WRITES, _ONLY_READS, _COMMIT)))


class Cut(Enum):
    """The moment at which a connection is cut."""

    BEFORE = auto()
    """The server does not get the COMMIT."""
    MEANWHILE = auto()
    """The server gets the COMMIT and the end of the connection at the same time."""
    AFTER = auto()
    """The server has committed; its answer is lost."""


@define
class CuttingProxy:
    """Forwards everything, but sometimes cuts the connection at the COMMIT of a transaction that writes."""

    server_port: int
    draw: Random
    share: float = 0.0
    """The share of all COMMITs that are cut."""
    most: int = 0
    """The most cuts."""
    cuts: Counter[Cut] = field(factory=Counter)
    port: int = 0
    begins: Callable[[], object] = lambda: None
    """Called before the server learns that a transaction that writes begins."""
    _ends: trio.Event = field(factory=trio.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listen on a separate thread, so that the rest of the tests does not delay it."""
        listens = Event()
        tokens: list[trio.lowlevel.TrioToken] = []
        thread = Thread(target=trio.run, args=(self._run, listens, tokens), daemon=True)
        thread.start()
        listens.wait()
        try:
            yield
        finally:
            tokens[0].run_sync_soon(self._ends.set)
            thread.join()

    async def _run(self, listens: Event, tokens: list[trio.lowlevel.TrioToken]) -> None:
        [listener] = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        tokens.append(trio.lowlevel.current_trio_token())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._serve, [listener])
            listens.set()
            await self._ends.wait()
            nursery.cancel_scope.cancel()

    async def _serve(self, client: trio.SocketStream) -> None:
        async with client:
            try:
                server = await trio.open_tcp_stream("127.0.0.1", self.server_port)
            except OSError:
                return  # the server does not run, so this connection ends
            async with server:
                session = _Session(self, client, server)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(session.hand_on_to_server, nursery.cancel_scope)
                    nursery.start_soon(session.hand_on_to_client, nursery.cancel_scope)

    def next_cut(self) -> Cut | None:
        """Decide what happens to a COMMIT."""
        if self.cuts.total() >= self.most or self.draw.random() >= self.share:
            return None
        cut = self.draw.choice(list(Cut))
        self.cuts[cut] += 1
        return cut


@define(eq=False)
class _Session:
    """One connection through the proxy."""

    proxy: CuttingProxy
    client: trio.SocketStream
    server: trio.SocketStream
    _writes: bool = False
    _awaits_commit: bool = False
    """Whether the server's answers are held back; when it has committed, the connection is cut."""

    async def hand_on_to_server(self, over: trio.CancelScope) -> None:
        seen = b""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for some in self.client:
                seen = seen[-_LONGEST:] + some
                self._writes = seen.rfind(_WRITES) > seen.rfind(_ONLY_READS) or (
                    self._writes and _ONLY_READS not in seen
                )
                is_next = self._writes and _COMMIT in seen and not self._awaits_commit
                cut = self.proxy.next_cut() if is_next else None
                if _COMMIT in seen:
                    self._writes, seen = False, b""
                if cut is Cut.BEFORE:
                    break
                if _WRITES in some:
                    self.proxy.begins()
                self._awaits_commit |= cut is Cut.AFTER  # the message that asks for the answer may still come
                await self.server.send_all(some)
                if cut is Cut.MEANWHILE:
                    await self.server.send_eof()
                    break
        await self._cut(over)

    async def hand_on_to_client(self, over: trio.CancelScope) -> None:
        said = b""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for some in self.server:
                if not self._awaits_commit:
                    await self.client.send_all(some)
                    continue
                said += some
                if _COMMIT in said:
                    break
        await self._cut(over)

    async def _cut(self, over: trio.CancelScope) -> None:
        """End both connections at once, as when a router crashes."""
        with suppress(OSError):
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        over.cancel()
