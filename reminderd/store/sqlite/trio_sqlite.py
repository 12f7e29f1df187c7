"""aiosqlite's connection on Trio: its calls run as `reminderd.store.threads` says; it has no thread of its own."""

from collections.abc import AsyncIterator, Callable, Generator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

import aiosqlite
import trio

from reminderd.store.sqlite.driver import SqliteConnection
from reminderd.store.threads import Runner, worker_threads

T = TypeVar("T")
_ROWS_A_HOP = 64


class TrioConnection(aiosqlite.Connection):
    """An `aiosqlite.Connection` without asyncio; only its `iterdump` does not work, because that needs asyncio."""

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

    Args:
        connector: Returns the open connection; it must be usable from any thread (`check_same_thread=False`).
        runner: Where its calls run; None: Trio's worker threads.
    """
    connection = TrioConnection(connector, runner or worker_threads())
    async with connection:
        yield connection
