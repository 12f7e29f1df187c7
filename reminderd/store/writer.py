"""Write in one task: all functions that wait together share one transaction and its fsync (group commit)."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from traceback import clear_frames
from typing import Any, Final, Generic, TypeVar

import trio
from attrs import define, field

from reminderd.clock import Clock
from reminderd.core.server_identity import ServerIdentity
from reminderd.store.connection import Connection
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.threads import OnThread

T = TypeVar("T")

BATCH_LIMIT: Final = 64
"""The most functions in one transaction: it limits how long any of them waits for the others."""

OnSession = Callable[[Connection, datetime], Callable[[], None] | None]
"""Runs in a transaction; returns a function to call after its commit, such as one that writes to the log."""

_OURS: Final = (StoreUnavailableError, StoreUnusableError)

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
    """A bounded queue of functions, and the task that commits them on a connection that nobody else may use.

    For the other arguments, see `open_database`.
    """

    def __init__(
        self,
        connection: OnThread,
        clock: Clock,
        waiting: int,
        committed: Callable[[int], None] = lambda _writes: None,
        on_session: OnSession | None = None,
    ) -> None:
        self._connection = connection
        self._on_session = on_session
        self._identity: ServerIdentity | None = None
        self._clock = clock
        self._committed = committed
        self._send, self._receive = trio.open_memory_channel[_Request[Any]](waiting)
        self.failure: str | None = None
        """Why nothing can be written, as the last transaction showed, or None."""
        self.clock_offset = timedelta()
        """How far the database's own clock was ahead of ours in the last transaction; zero if it has none."""

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
        raise request.error

    def close(self) -> None:
        """Accept nothing more; `run` ends when all waiting functions are done."""
        self._send.close()

    async def run(self) -> None:
        """Commit what arrives, until `close`. Cancellation does not end it: all accepted functions run."""
        with trio.CancelScope(shield=True), suppress(trio.EndOfChannel):
            commit = partial(self._commit, token=trio.lowlevel.current_trio_token())
            while True:
                batch = await self._next_batch()
                # `_hand_back` sets it, too, for those that it wakes. It has not run yet if the runner uses no thread.
                self.failure = await self._connection.run(partial(commit, requests=batch))

    def _hand_back(self, batch: Sequence[_Request[Any]], failure: str | None) -> None:
        """Wake the callers that wait for a batch."""
        self.failure = failure
        for settled in batch:
            settled.done.set()
        self._committed(len(batch))

    async def _next_batch(self) -> list[_Request[Any]]:
        """Return all waiting requests; after an error, if there is none, a test write that shows whether it is over."""
        if self.failure is None:
            return [await self._receive.receive(), *self._others()]
        with trio.move_on_after(RETRY_SECONDS):
            return [await self._receive.receive(), *self._others()]
        await self._connection.run(_relieve)
        return [_Request(_touch)]

    def _others(self) -> list[_Request[Any]]:
        others: list[_Request[Any]] = []
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while len(others) < BATCH_LIMIT - 1:
                others.append(self._receive.receive_nowait())
        return others

    def _commit(
        self, connection: Connection, requests: Sequence[_Request[Any]], token: trio.lowlevel.TrioToken
    ) -> str | None:
        """Run all in one transaction, and wake the callers that wait for it. Return why the store refused, or None.

        The thread itself wakes them. The writer's task would do so one turn of the event loop later, and the next
        transaction would begin without what these callers write next.
        """
        failure = self._in_one_transaction(connection, requests)
        token.run_sync_soon(self._hand_back, requests, failure)
        return failure

    def _in_one_transaction(self, connection: Connection, requests: Sequence[_Request[Any]]) -> str | None:
        """Run all in one transaction; never raise, or leave one open. Return why the store refused, or None."""
        try:
            try:
                self._attempt(connection, requests, is_optimistic=True)
            except BaseException as error:
                for request in requests:
                    request.result = None  # a cursor that a function left open would keep its statement alive
                clear_frames(error.__traceback__)
                connection.roll_back()
                if not _may_differ(connection, requests, error):
                    raise
                self._attempt(connection, requests, is_optimistic=False)
        except BaseException as error:  # noqa: BLE001 - the callers raise it
            for request in requests:
                request.error = request.error or _ours(connection, error)
            failure = _ours(connection, error)
            return str(failure) if isinstance(failure, _OURS) else None
        else:
            return None
        finally:
            connection.roll_back()

    def _attempt(self, connection: Connection, requests: Sequence[_Request[Any]], *, is_optimistic: bool) -> None:
        """Run all in one transaction. An optimistic attempt sets no savepoints, so that if one function fails, all do.

        Setting savepoints takes longer than most of the work between them, and failures are rare.
        """
        connection.is_optimistic, connection.has_skipped_savepoint = is_optimistic, False
        begun, ours = connection.begin(), self._clock.now()
        now = ours if begun is None else begun
        identity, then = connection.identity, None
        if identity is not self._identity and self._on_session is not None:
            then = self._on_session(connection, now)
        for request in requests:
            request.error = None
            if is_optimistic:
                request.result = request.fn(connection, now)
                _check_transaction(connection)
            else:
                _run_alone(connection, request, now)
        connection.commit()
        self.clock_offset, self._identity = now - ours, identity
        if then is not None:
            then()


def _may_differ(connection: Connection, requests: Sequence[_Request[Any]], error: BaseException) -> bool:
    """Return whether, after an optimistic attempt, an attempt with savepoints may end differently for one request."""
    if connection.is_passing(error):
        return True
    if isinstance(error, _OURS) or connection.spoils_all(error):
        return False
    return len(requests) > 1 or connection.has_skipped_savepoint or connection.store_error(error) is not None


def _check_transaction(connection: Connection) -> None:
    """Check that the transaction is still open; otherwise, what follows would be committed without what came before.

    Raises:
        StoreUnavailableError: The database has ended the transaction by itself.
    """
    if not connection.in_transaction:
        raise StoreUnavailableError("the database gave up the transaction")


def _run_alone(connection: Connection, request: _Request[Any], now: datetime) -> None:
    """Run one request so that its failure undoes nothing else; raise only what makes the whole transaction fail."""
    connection.execute("SAVEPOINT request")
    try:
        request.result = request.fn(connection, now)
        connection.execute("RELEASE request")
    except BaseException as error:  # the caller raises it
        # A cursor that the function left open would keep the transaction from ending.
        request.result = None
        clear_frames(error.__traceback__)
        if connection.spoils_all(error):
            raise
        _check_transaction(connection)
        connection.execute("ROLLBACK TO request")
        connection.execute("RELEASE request")
        request.error = _ours(connection, error)


def _ours(connection: Connection, error: BaseException) -> BaseException:
    """Return our error for an error of the database, each time a new one, or the error itself."""
    ours = connection.store_error(error)
    if ours is None:
        return error
    ours.__cause__ = error
    return ours


def _relieve(connection: Connection) -> None:
    connection.relieve()


def _touch(connection: Connection, _now: datetime) -> None:
    connection.touch()
