"""The open database: a writer that commits in groups, reads that share a snapshot, and their lifetime."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import trio
from attrs import define, field, frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.databases import PostgresServer, Target
from reminderd.store.connection import Connection, snapshot
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.sqlite import on_trio as sqlite
from reminderd.store.sqlite.opening import BUSY_TIMEOUT
from reminderd.store.threads import Commits, Connections, OnThread, Runner, while_running
from reminderd.store.writer import OnSession, Writer

T = TypeVar("T")

WAITING_WRITES: Final = 1024
"""The most writes that may wait for the writer: more than the webhooks that may be in progress."""

READS_TOGETHER: Final = 16
"""The most reads in one snapshot. All get their results when the last one ends: so this limits how old they are."""

_FIRST_PAUSE: Final = 0.1
"""Seconds before a write that must not be lost is tried again; doubled each time, up to …"""
_LONGEST_PAUSE: Final = 5.0


@define(eq=False)
class _Read(Generic[T]):
    """A read that waits. Once it `is_over`, it has a result or an error, or its caller was cancelled."""

    fn: Callable[[Connection], T]
    is_over: bool = field(default=False, init=False)
    is_alone: bool = field(default=False, init=False)
    """Whether it gets its own snapshot, because a read of its group has failed."""
    result: T = field(init=False)
    error: Exception | None = field(init=False, default=None)


class SharedReads:
    """The reads of one connection. The short ones that arrive while another read runs form a group.

    The snapshot of a group begins after all its reads were requested, so none of them sees an older state. All of them
    get their results when the last one ends. A long read would make the others stale, so it has a snapshot of its own.
    """

    def __init__(self, connection: OnThread) -> None:
        self._connection = connection
        self._turn = trio.Lock()  # first come, first served
        self._waiting: dict[_Read[Any], None] = {}

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn(connection)`, which only reads, in a snapshot of its own."""
        async with self._turn:
            return await self._connection.run(partial(snapshot, fn=fn))

    async def read_together(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn(connection)`, a short read, in a snapshot that it may share. What it raises is raised only here.

        It does not begin once the caller is cancelled.
        """
        read = _Read(fn)
        self._waiting[read] = None
        try:
            async with self._turn:
                if read.is_alone:
                    await self._connection.run(partial(_run_alone, read=read))
                elif not read.is_over:  # no group before had it: it is now the first that waits
                    group = islice((one for one in self._waiting if not one.is_alone), READS_TOGETHER)
                    await self._connection.run(partial(_run, reads=[*group]))
        finally:
            del self._waiting[read]
            read.is_over = True  # if the caller was cancelled while a group was running, the thread skips the read
        if read.error is None:
            return read.result
        raise read.error


@frozen(eq=False)
class Database:
    """The database as tasks use it while `open_database` keeps it open."""

    target: Target
    warnings: Sequence[str]
    """Warnings for the admin about the engine in use, a sentence each."""
    _writer: Writer = field(repr=False)
    _reads: SharedReads = field(repr=False)
    commits: Commits = field(repr=False)

    async def write(self, fn: Callable[[Connection, datetime], T], *, wait: bool = True) -> T:
        """Run `fn(connection, now)` in a transaction that other writes share; if it raises, only its work is undone.

        Returns after the commit. Cancellation of the caller has no effect on the write: it happens completely or not at
        all.

        Args:
            fn: Plain sync code: load rows, decide, save rows. It must not begin or end a transaction.
            wait: If the queue of the writer is full, wait until it is not; otherwise raise at once.

        Raises:
            StoreUnavailableError: Nothing was written; the caller may try again later.
            StoreUnusableError: The database turned out to be damaged.
        """
        return await self._writer.write(fn, wait=wait)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn(connection)`, which must be short and only read, on one snapshot of everything that is committed.

        Raises:
            StoreUnavailableError: It can't be read right now.
            StoreUnusableError: The database turned out to be damaged.
        """
        return await self._reads.read(fn)

    async def read_together(self, fn: Callable[[Connection], T]) -> T:
        """Do as `read`, in a snapshot shared with other reads that wait; `fn` must take well under 1 ms."""
        return await self._reads.read_together(fn)

    @property
    def failure(self) -> str | None:
        """Return why the last transaction could not write, or None. The writer tries again until it can."""
        return self._writer.failure

    @property
    def queued_writes(self) -> int:
        """Return how many writes wait for their transaction."""
        return self._writer.queued

    @property
    def clock_offset(self) -> timedelta:
        """Return how far the database's own clock was ahead of ours in the last transaction; zero if it has none."""
        return self._writer.clock_offset


@frozen(eq=False)
class Reader:
    """One more connection that only reads, for reads that must not keep others waiting."""

    _reads: OnThread = field(repr=False)
    commits: Commits = field(repr=False)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn(connection)`; see `Database.read`."""
        return await self._reads.run(partial(snapshot, fn=fn))


@asynccontextmanager
async def open_reader(database: Database) -> AsyncIterator[Reader]:
    """Open one more connection to a database that is open, and close it at the end.

    Raises:
        StoreUnusableError: This isn't or can't be our database.
        StoreUnavailableError: It can't be opened now.
    """
    if isinstance(database.target, PostgresServer):
        from reminderd.store.postgres import on_trio as postgres  # noqa: PLC0415 - psycopg may be missing

        async with postgres.one_more_connection(database.target) as more:
            yield Reader(more, database.commits)
    else:
        async with sqlite.one_more_connection(database.target.path) as reads:
            yield Reader(reads, database.commits)


@asynccontextmanager
async def open_database(
    target: Target,
    clock: Clock,
    *,
    waiting: int = WAITING_WRITES,
    busy_timeout: timedelta = BUSY_TIMEOUT,
    runner: Runner | None = None,
    committed: Callable[[int], None] = lambda _writes: None,
    on_session: OnSession | None = None,
) -> AsyncIterator[Database]:
    """Open the database, after creating or migrating it if necessary; at the end, do all accepted writes, then close.

    An exception in the body is raised as it is, not in a group.

    Args:
        target: The file or the server.
        clock: Gives each transaction its timestamp, read when the lock is held (on a worker thread). A server's own
            time takes its place.
        waiting: How many writes may wait for the writer.
        busy_timeout: How long a transaction waits for another program's transaction.
        runner: Where the connections' calls run; None for Trio's worker threads, one per connection.
        committed: Called with the number of writes of each transaction, once it is over.
        on_session: Runs first in the first transaction of each session on a server, which may have another history.

    Raises:
        StoreUnusableError: This isn't or can't be our database; the message gives the reason in one line.
        StoreUnavailableError: It is locked, the disk is full …: a later try may succeed.
    """
    async with _connected(target, busy_timeout, runner) as connections:
        writer = Writer(connections.writes, clock, waiting, committed, on_session)
        async with while_running(writer.run, end=writer.close):
            yield Database(target, connections.warnings, writer, SharedReads(connections.reads), connections.commits)


def _connected(
    target: Target, busy_timeout: timedelta, runner: Runner | None
) -> AbstractAsyncContextManager[Connections]:
    if isinstance(target, PostgresServer):
        from reminderd.store.postgres import on_trio as postgres  # noqa: PLC0415 - psycopg may be missing

        return postgres.open_connections(target, runner=runner)
    return sqlite.open_connections(target.path, busy_timeout=busy_timeout, runner=runner)


async def until_stored(write: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `write`, and try again with growing pauses as long as the store is unavailable."""
    pause = _FIRST_PAUSE
    while True:
        try:
            result = await write()
        except StoreUnavailableError as error:
            if pause == _FIRST_PAUSE:
                logger.warning(f"not recorded yet, trying again: {error}")
            await trio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            if pause > _FIRST_PAUSE:
                logger.info("recorded at last")
            return result


def _run(connection: Connection, reads: Sequence[_Read[Any]]) -> None:
    """Run all in one snapshot. If any of them fails, run the first one alone; each other one runs in its own turn.

    If the database can't be reached, each read lasts until its connection times out. So the others are not repeated
    here: a caller that is cancelled meanwhile does not wait for them.
    """
    try:
        results = snapshot(connection, lambda shared: [None if read.is_over else read.fn(shared) for read in reads])
    except Exception:  # noqa: BLE001 - raised again by the read that has caused it, when that runs alone
        for read in reads:
            read.is_alone = True
        _run_alone(connection, reads[0])
    else:
        for read, result in zip(reads, results, strict=True):
            read.result, read.is_over = result, True


def _run_alone(connection: Connection, read: _Read[Any]) -> None:
    try:
        read.result = snapshot(connection, read.fn)
    except Exception as error:  # noqa: BLE001 - the caller raises it
        read.error = error
    read.is_over = True
