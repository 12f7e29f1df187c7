"""Short reads that wait at the same time share one switch to the connection's thread, and one snapshot."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import trio
from attrs import define, field

from reminderd.store.connection import Connection, snapshot
from reminderd.store.threads import OnThread

T = TypeVar("T")

BATCH_LIMIT: Final = 16
"""The most reads of one snapshot: it limits how old the first one's result is when the last one is over."""


@define(eq=False)
class _Read(Generic[T]):
    """A function that waits; once `is_over`, it has a result or an error, or nobody wants one anymore."""

    fn: Callable[[Connection], T]
    is_over: bool = field(default=False, init=False)
    is_alone: bool = field(default=False, init=False)
    """Whether it has its turn for itself: one of its group has failed."""
    result: T = field(init=False)
    error: Exception | None = field(init=False, default=None)


class SharedReads:
    """The reads of one connection. While one of them is on the thread, a group of those that are short gathers.

    Each read begins after it was asked for: a snapshot is never older than the question. All of a group have their
    results when the last one is over, so a long read would make the others' stale: it has its turn for itself.
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
        """Run `fn(connection)`, which only reads, and shortly; what it raises is raised here only.

        It does not begin once the caller is cancelled.
        """
        read = _Read(fn)
        self._waiting[read] = None
        try:
            async with self._turn:
                if read.is_alone:
                    await self._connection.run(partial(_run_alone, read=read))
                elif not read.is_over:  # so it is the first of those that wait
                    group = islice((one for one in self._waiting if not one.is_alone), BATCH_LIMIT)
                    await self._connection.run(partial(_run, reads=[*group]))
        finally:
            del self._waiting[read]
            read.is_over = True  # for the thread: the group may be under way without its cancelled caller
        if read.error is None:
            return read.result
        raise read.error


def _run(connection: Connection, reads: Sequence[_Read[Any]]) -> None:
    """Run all in one snapshot; if any of them fails, the first one alone, and each of the others in its own turn.

    If the database can't be reached, each read takes as long as a connection may take.
    """
    try:
        results = snapshot(connection, lambda shared: [None if read.is_over else read.fn(shared) for read in reads])
    except Exception:  # noqa: BLE001 - it is raised below, by the read that has caused it
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
