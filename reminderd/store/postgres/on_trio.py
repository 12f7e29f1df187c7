"""Connect tasks to PostgreSQL: two connections on Trio's threads, and a third that is notified of each commit."""

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import psycopg
import trio
from attrs import define, field
from loguru import logger

from reminderd.databases import PostgresServer
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.postgres.driver import PostgresConnection
from reminderd.store.postgres.sessions import connect, open_connection
from reminderd.store.postgres.statements import Raw
from reminderd.store.threads import Connections, Runner, while_running, worker_threads

T = TypeVar("T")

CHANNEL = "reminderd"
"""The channel that the tables notify of each change."""

LOOK_ANYWAY = 5.0
"""Seconds after which a task that waits for a commit looks anyway: a notification is only a hint, and can be lost."""

_BEAT = 0.25
"""The longest time, in seconds, that `another` waits."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0


@define(eq=False)
class ThreadConnection:
    """A connection whose calls run on a thread."""

    connection: PostgresConnection
    _runner: Runner

    async def run(self, fn: Callable[[PostgresConnection], T]) -> T:
        """Run a sync function of the connection."""
        return await self._runner(partial(fn, self.connection))


@define(eq=False)
class Notified:
    """Counts the server's notifications."""

    _count: int = field(default=0, init=False)
    _changed: trio.Event = field(factory=trio.Event, init=False)
    _looked_at: float = field(default=0.0, init=False)
    """When somebody last had a reason to look."""
    _is_unreached: bool = field(default=False, init=False)
    """Whether it was logged that notifications don't reach us."""

    async def version(self) -> int:
        """Return a number that changes with each commit; while we are not notified of them, every five seconds."""
        await trio.lowlevel.checkpoint()
        return self._count

    async def another(self, since: int) -> bool:
        """Wait a moment for the next commit; return whether there may have been one."""
        if self._count == since:
            with trio.move_on_after(_BEAT):
                await self._changed.wait()
        now = trio.current_time()
        is_time = self._count != since or now >= self._looked_at + LOOK_ANYWAY
        if is_time:
            self._looked_at = now
        return is_time

    def change(self) -> None:
        """Count one more, and wake the tasks that wait."""
        self._count += 1
        self._changed.set()
        self._changed = trio.Event()

    async def listen(self, server: PostgresServer) -> None:
        """Count until cancelled, and reconnect whenever the connection is lost."""
        pause = _FIRST_PAUSE
        while True:
            try:
                with trio.CancelScope(shield=True):  # nobody would close what a cancelled call has opened
                    raw, is_reached = await trio.to_thread.run_sync(partial(_listening, server))
            except (psycopg.Error, StoreUnavailableError, StoreUnusableError):
                self.change()
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            try:
                self._warn_if_unreached(is_reached=is_reached)
                self.change()  # whatever was committed while nobody listened
                await self._count_notifications(raw, math.inf if is_reached else LOOK_ANYWAY)
            except psycopg.Error as error:
                logger.debug(f"not notified of commits for a moment: {error}")
            finally:
                raw.close()

    async def _count_notifications(self, raw: Raw, patience: float) -> None:
        """Count each notification, and once whenever `patience` seconds have passed without one."""
        while True:
            with trio.move_on_after(patience):
                while not _takes_notification(raw):
                    await trio.lowlevel.wait_readable(raw.fileno())
                    raw.pgconn.consume_input()
            self.change()

    def _warn_if_unreached(self, *, is_reached: bool) -> None:
        if not (is_reached or self._is_unreached):
            logger.warning(
                "the server's notifications don't reach this daemon, so other programs' commits are seen up to 5 s"
                " later. Is there a connection pooler in between? Connect to PostgreSQL directly"
            )
        self._is_unreached = not is_reached


@asynccontextmanager
async def open_connections(server: PostgresServer, *, runner: Runner | None) -> AsyncIterator[Connections]:
    """Open the database for a writer, a reader and a listener, and close their connections at the end."""
    notified = Notified()
    async with (
        one_more_connection(server, runner) as writes,
        one_more_connection(server, runner) as reads,
        while_running(partial(notified.listen, server)),
    ):
        yield Connections(writes=writes, reads=reads, commits=notified)


@asynccontextmanager
async def one_more_connection(server: PostgresServer, runner: Runner | None = None) -> AsyncIterator[ThreadConnection]:
    """Open a connection, and close it at the end."""
    run = runner or worker_threads()
    opened = ThreadConnection(await run(partial(open_connection, server)), run)
    try:
        yield opened
    finally:
        with trio.CancelScope(shield=True):
            await opened.run(PostgresConnection.close)


def _listening(server: PostgresServer) -> tuple[Raw, bool]:
    """Return a connection that is notified of commits, and whether its own notification has reached it."""
    raw = connect(server)
    reached: list[psycopg.Notify] = []
    raw.add_notify_handler(reached.append)
    try:
        raw.execute(f"LISTEN {CHANNEL}".encode())
        raw.execute(f"NOTIFY {CHANNEL}".encode())
    except BaseException:
        raw.close()
        raise
    return raw, bool(reached)


def _takes_notification(raw: Raw) -> bool:
    """Take all notifications that have come; return whether there was one."""
    some = False
    while raw.pgconn.notifies() is not None:
        some = True
    return some
