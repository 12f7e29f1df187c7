"""Connect tasks to SQLite: two connections on Trio's threads, and one that counts commits."""

from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import aiosqlite
import trio
from attrs import frozen

from reminderd.store.sqlite.driver import (
    SqliteConnection,
    data_version,
    let_sqlite_wait,
    sqlite_warning,
    translated,
    wait_ourselves,
)
from reminderd.store.sqlite.opening import open_connection, open_to_count
from reminderd.store.sqlite.upkeep import tidy
from reminderd.store.threads import Connections, Runner, worker_threads

T = TypeVar("T")
_ROWS_A_HOP = 64

LOOK_FOR_COMMITS: Final = 0.25
"""Seconds between two looks for the commits of other connections."""


@frozen
class DataVersion:
    """Looks at SQLite's own counter, several times a second, with a connection that does nothing else.

    A look reads memory that SQLite's processes share and, after a commit, the first page, which was just written. It
    waits for no lock. So it runs on the event loop's own thread, in 3 µs: switching to another thread and back would
    take a hundred times as long.
    """

    connection: SqliteConnection

    async def version(self) -> int:
        """Return a number that changes with each commit, of this process and of others."""
        await trio.lowlevel.checkpoint()
        return self._look()

    async def another(self, since: int) -> bool:
        """Return True if there was another commit; otherwise wait until it is time to ask again."""
        if self._look() != since:
            await trio.lowlevel.checkpoint()
            return True
        await trio.sleep(LOOK_FOR_COMMITS)
        return False

    def _look(self) -> int:
        with translated():
            return data_version(self.connection)


class TrioConnection(aiosqlite.Connection):
    """An `aiosqlite.Connection` whose calls run as `reminderd.store.threads` describes, not on its own thread.

    Only its `iterdump` does not work: it needs asyncio.
    """

    def __init__(self, connector: Callable[[], SqliteConnection], runner: Runner) -> None:
        super().__init__(connector, _ROWS_A_HOP)
        self._runner = runner

    def __await__(self) -> Generator[Any, None, "TrioConnection"]:
        return self._connect().__await__()

    async def run(self, fn: Callable[[SqliteConnection], T]) -> T:
        """Run a sync function on the connection's thread, with a single switch of threads."""
        return await self._runner(partial(fn, cast("SqliteConnection", self._conn)))

    async def _execute(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - any method of the library
        if not self._running or self._connection is None:
            raise ValueError("SqliteConnection closed")
        return await self._runner(partial(fn, *args, **kwargs))

    async def _connect(self) -> "TrioConnection":
        if self._connection is None:
            self._connection = await self._runner(self._connector)
        return self

    async def close(self) -> None:
        """Close the connection after the call that is running, cancelled or not."""
        with trio.CancelScope(shield=True):
            await self._runner(self.stop)

    def stop(self) -> None:
        """Close the connection at once, on this thread."""
        self._running = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@asynccontextmanager
async def open_on_trio(
    connector: Callable[[], SqliteConnection], runner: Runner | None = None
) -> AsyncIterator[TrioConnection]:
    """Open a connection with a sync function, on its thread, and close it at the end.

    The connection must be usable from any thread (`check_same_thread=False`). Without a runner, it uses Trio's threads.
    """
    connection = TrioConnection(connector, runner or worker_threads())
    async with connection:
        yield connection


@asynccontextmanager
async def open_connections(path: Path, *, busy_timeout: timedelta, runner: Runner | None) -> AsyncIterator[Connections]:
    """Open the database for a writer and a reader; at the end, shrink the file and close them."""
    opened = partial(open_connection, path, busy_timeout=busy_timeout)
    async with (
        open_on_trio(opened, runner) as writes,
        open_on_trio(partial(opened, query_only=True), runner) as reads,
    ):
        warning = sqlite_warning()
        warnings = () if warning is None else (warning,)
        await writes.run(wait_ourselves)
        try:
            with closing(open_to_count(path)) as counts:
                yield Connections(writes=writes, reads=reads, commits=DataVersion(counts), warnings=warnings)
        finally:
            with trio.CancelScope(shield=True):
                await writes.run(let_sqlite_wait)
                await writes.run(tidy)


@asynccontextmanager
async def one_more_connection(path: Path) -> AsyncIterator[TrioConnection]:
    """Open one more connection that only reads, and close it at the end."""
    async with open_on_trio(partial(open_connection, path, query_only=True)) as reads:
        yield reads
