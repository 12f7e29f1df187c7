"""The one task that writes: all functions that wait together share one transaction and its fsync (group commit)."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from traceback import clear_frames
from typing import Any, Final, Generic, TypeVar

import trio
from attrs import define, field

from reminderd.clock import Clock
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.sqlite.driver import (
    Connection,
    Error,
    begin_within,
    is_locked,
    roll_back,
    stop_waiting,
    store_error,
    wait_again,
)
from reminderd.store.sqlite.trio_sqlite import TrioConnection

T = TypeVar("T")

BATCH_LIMIT: Final = 64
"""The most functions in one transaction: it limits how long any of them waits for the others."""

RETRY_SECONDS: Final = 1.0
"""The pause between the writer's own test transactions, after the store has refused one, until one succeeds."""


@define(eq=False)
class _Request(Generic[T]):
    """A function that will run in the next transaction; once `done` is set, it has a result or an error."""

    fn: Callable[[Connection, datetime], T]
    done: trio.Event = field(init=False, factory=trio.Event)
    result: T = field(init=False)
    error: BaseException | None = field(init=False, default=None)


class Writer:
    """A bounded queue of functions, and the task that commits them.

    Args:
        connection: The write connection; nobody else may use it.
        clock: Gives each transaction its one timestamp.
        waiting: How many functions may wait.
        committed: Called with the number of functions of each transaction, once it is over.
    """

    def __init__(
        self,
        connection: TrioConnection,
        clock: Clock,
        waiting: int,
        committed: Callable[[int], None] = lambda _writes: None,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._committed = committed
        self._send, self._receive = trio.open_memory_channel[_Request[Any]](waiting)
        self.failure: str | None = None
        """Why nothing can be written, as the last transaction showed, or None."""

    @property
    def queued(self) -> int:
        """Return how many functions wait for their transaction."""
        return self._receive.statistics().current_buffer_used

    async def write(self, fn: Callable[[Connection, datetime], T], *, wait: bool) -> T:
        """Have `fn(connection, now)` run and committed; if it raises, undo only its work, and raise the error here.

        A caller that is cancelled once the function is in the queue does not stop it.

        Raises:
            StoreUnavailableError: Nothing was written: the disk is full, the database is locked or being closed, or
                (unless `wait`) too many are already waiting.
        """
        request = _Request(fn)
        try:
            if wait:
                await self._send.send(request)
            else:
                self._send.send_nowait(request)
        except trio.WouldBlock:
            raise StoreUnavailableError("the writer is behind: too many writes wait already") from None
        except trio.ClosedResourceError:
            raise StoreUnavailableError("the database is being closed") from None
        await request.done.wait()
        if request.error is None:
            return request.result
        ours = store_error(request.error)
        if ours is not None:
            raise ours from request.error
        raise request.error

    def close(self) -> None:
        """Accept nothing more; `run` ends when everything that waits is done."""
        self._send.close()

    async def run(self) -> None:
        """Commit what arrives, until `close`. Cancellation does not end it: what was accepted is written."""
        with trio.CancelScope(shield=True):
            patience = await self._connection.run(stop_waiting)  # once, as it takes as long as beginning a transaction
            with suppress(trio.EndOfChannel):
                while True:
                    batch = await self._next_batch()
                    commit = partial(_commit_together, requests=batch, clock=self._clock, patience=patience)
                    self.failure = await self._connection.run(commit)
                    for settled in batch:
                        settled.done.set()
                    self._committed(len(batch))
            await self._connection.run(partial(wait_again, patience=patience))

    async def _next_batch(self) -> list[_Request[Any]]:
        """Return all waiting requests; if there is none after an error, a test write that shows whether it is over."""
        with trio.move_on_after(math.inf if self.failure is None else RETRY_SECONDS):
            return [await self._receive.receive(), *self._others()]
        await self._connection.run(_shorten_log)
        return [_Request(_rewrite_header)]

    def _others(self) -> list[_Request[Any]]:
        others: list[_Request[Any]] = []
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while len(others) < BATCH_LIMIT - 1:
                others.append(self._receive.receive_nowait())
        return others


def _commit_together(
    connection: Connection, requests: Sequence[_Request[Any]], clock: Clock, patience: int
) -> str | None:
    """Run all in one transaction; never raise, and leave no transaction open. Return why the store refused, or None."""
    try:
        begin_within(connection, patience)
        now = clock.now()
        for request in requests:
            _run_alone(connection, request, now)
        connection.execute("COMMIT")
    except BaseException as error:  # noqa: BLE001 - the callers raise it
        for request in requests:
            request.error = request.error or error
        ours = store_error(error) or error
        return str(ours) if isinstance(ours, StoreUnavailableError | StoreUnusableError) else None
    else:
        return None
    finally:
        roll_back(connection)


def _run_alone(connection: Connection, request: _Request[Any], now: datetime) -> None:
    """Run one so that its failure undoes nothing else; raise only what makes the whole transaction fail."""
    connection.execute("SAVEPOINT request")
    try:
        request.result = request.fn(connection, now)
        connection.execute("RELEASE request")
    except BaseException as error:  # the caller raises it
        # A cursor that the function left open would keep the transaction from ending.
        request.result = None
        clear_frames(error.__traceback__)
        if _spoils_all(error):
            raise
        if not connection.in_transaction:
            raise StoreUnavailableError("SQLite gave up the transaction") from error
        connection.execute("ROLLBACK TO request")
        connection.execute("RELEASE request")
        request.error = error


def _spoils_all(error: BaseException) -> bool:
    # BEGIN IMMEDIATE has the lock: if something is locked now, it is by the function's own unfinished statement.
    return store_error(error) is not None and not is_locked(error)


def _shorten_log(connection: Connection) -> None:
    """Let SQLite reuse the log from its start, if nobody reads it anymore: SQLite does that only after a commit.

    On a disk that the log itself has filled, no commit would ever succeed.
    """
    with suppress(Error):
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _rewrite_header(connection: Connection, _now: datetime) -> None:
    """Write something without changing anything."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    connection.execute(f"PRAGMA user_version = {version}")
