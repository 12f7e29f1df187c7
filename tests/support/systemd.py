"""A stand-in for systemd: the socket that its services notify, and its watchdog."""

import math
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import trio
from attrs import define, field

from tests.support.waiting import PATIENCE


@define
class SystemdStandIn:
    """Receives notifications, and notices when the watchdog is not fed in time."""

    environ: Mapping[str, str]
    """The variables that the program needs in its environment."""
    watchdog: timedelta
    patience: float
    """How many seconds to wait for a notification."""
    heard: list[str] = field(factory=list)
    """Every line received so far."""
    fed: int = 0
    fired: trio.Event = field(factory=trio.Event)
    """Set once the watchdog was not fed in time, after the program was ready."""
    _news: trio.Event = field(factory=trio.Event)

    async def hear(self, line: str) -> None:
        """Wait for this line."""
        with trio.fail_after(self.patience):
            while line not in self.heard:
                await self._news.wait()

    async def hear_status(self, words: str) -> None:
        """Wait for this status."""
        await self.hear(f"STATUS={words}")

    async def feeds(self, more: int) -> None:
        """Wait until the watchdog has been fed this many times more."""
        wanted = self.fed + more
        with trio.fail_after(self.patience):
            while self.fed < wanted:
                await self._news.wait()

    async def until_fired(self) -> None:
        """Wait until the watchdog has fired."""
        with trio.fail_after(self.patience):
            await self.fired.wait()

    async def listen(self, end: trio.socket.SocketType) -> None:
        """Receive notifications until the watchdog fires."""
        deadline = math.inf
        with trio.CancelScope() as patience:
            while True:
                patience.deadline = deadline
                lines = (await end.recv(4096)).decode().split("\n")
                if {"READY=1", "WATCHDOG=1"} & {*lines}:
                    deadline = trio.current_time() + self.watchdog.total_seconds()
                if "STOPPING=1" in lines:
                    deadline = math.inf
                self._take(lines)
        self.fired.set()

    def _take(self, lines: list[str]) -> None:
        self.heard += lines
        self.fed += "WATCHDOG=1" in lines
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def a_supervisor(name: str, watchdog: timedelta, *, patience: float = PATIENCE) -> AsyncIterator[SystemdStandIn]:
    """Serve a stand-in at a socket: `name` is a path, or `@` and the name of an abstract socket."""
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        await end.bind("\0" + name[1:] if name.startswith("@") else name)
        microseconds = watchdog // timedelta(microseconds=1)
        stand_in = SystemdStandIn({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": str(microseconds)}, watchdog, patience)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stand_in.listen, end)
            yield stand_in
            nursery.cancel_scope.cancel()
