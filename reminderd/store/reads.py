"""Reads that wait at the same time share one switch to the connection's thread, and one snapshot."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, Generic, TypeVar

import trio
from attrs import define, field

from reminderd.store.connection import Connection, snapshot
from reminderd.store.threads import OnThread

T = TypeVar("T")

BATCH_LIMIT: Final = 64
"""The most reads of one snapshot: it limits how long any of them waits for the others."""


@define(eq=False)
class _Read(Generic[T]):
    """A function that waits; once `is_over`, it has a result or an error."""

    fn: Callable[[Connection], T]
    is_over: bool = field(default=False, init=False)
    result: T = field(init=False)
    error: Exception | None = field(init=False, default=None)


class SharedReads:
    """The reads of one connection. While one group of them is on the thread, the next one gathers.

    Each read begins after it was asked for: a snapshot is never older than the question.
    """

    def __init__(self, connection: OnThread) -> None:
        self._connection = connection
        self._turn = trio.Lock()  # first come, first served
        self._waiting: dict[_Read[Any], None] = {}

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn(connection)`, which only reads, in a snapshot; what it raises is raised here only.

        It does not begin once the caller is cancelled.
        """
        read = _Read(fn)
        self._waiting[read] = None
        try:
            async with self._turn:
                if not read.is_over:  # so it is the first of those that wait
                    await self._connection.run(partial(_run, reads=[*islice(self._waiting, BATCH_LIMIT)]))
        finally:
            del self._waiting[read]
        if read.error is None:
            return read.result
        raise read.error


def _run(connection: Connection, reads: Sequence[_Read[Any]]) -> None:
    """Run all in one snapshot; if any of them fails, each in one of its own."""
    try:
        results = snapshot(connection, lambda shared: [read.fn(shared) for read in reads])
    except Exception:  # noqa: BLE001 - it is raised below, by the read that has caused it
        for read in reads:
            _run_alone(connection, read)
    else:
        for read, result in zip(reads, results, strict=True):
            read.result, read.is_over = result, True


def _run_alone(connection: Connection, read: _Read[Any]) -> None:
    try:
        read.result = snapshot(connection, read.fn)
    except Exception as error:  # noqa: BLE001 - the caller raises it
        read.error = error
    read.is_over = True
