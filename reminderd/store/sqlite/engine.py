"""SQLite for tasks: two connections on Trio's threads, and one that counts commits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import frozen

from reminderd.store.engine import Connections
from reminderd.store.sqlite.driver import (
    SqliteConnection,
    data_version,
    let_sqlite_wait,
    sqlite_warning,
    translated,
    wait_ourselves,
)
from reminderd.store.sqlite.opening import open_connection, open_to_count
from reminderd.store.sqlite.trio_sqlite import TrioConnection, open_on_trio
from reminderd.store.sqlite.upkeep import tidy
from reminderd.store.threads import Runner

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
        """Return whether there was another commit, or wait until it is time to ask again."""
        if self._look() != since:
            await trio.lowlevel.checkpoint()
            return True
        await trio.sleep(LOOK_FOR_COMMITS)
        return False

    def _look(self) -> int:
        with translated():
            return data_version(self.connection)


@asynccontextmanager
async def connected(path: Path, *, busy_timeout: timedelta, runner: Runner | None) -> AsyncIterator[Connections]:
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
async def one_more(path: Path) -> AsyncIterator[TrioConnection]:
    """Open one more connection that only reads, and close it at the end."""
    async with open_on_trio(partial(open_connection, path, query_only=True)) as reads:
        yield reads
