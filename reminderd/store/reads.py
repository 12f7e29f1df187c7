"""Let short reads that wait at the same time share one snapshot, and one switch to the connection's thread."""

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
"""The most reads in one snapshot. All get their results when the last one ends: so this limits how old they are."""


@define(eq=False)
class _Read(Generic[T]):
    """A read that waits. Once it `is_over`, it has a result or an error, or its caller was cancelled."""

    fn: Callable[[Connection], T]
    is_over: bool = field(default=False, init=False)
    is_alone: bool = field(default=False, init=False)
    """Whether it is to have a snapshot of its own, because a read of its group has failed."""
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
                    group = islice((one for one in self._waiting if not one.is_alone), BATCH_LIMIT)
                    await self._connection.run(partial(_run, reads=[*group]))
        finally:
            del self._waiting[read]
            read.is_over = True  # if the caller was cancelled while a group was running, the thread skips the read
        if read.error is None:
            return read.result
        raise read.error


def _run(connection: Connection, reads: Sequence[_Read[Any]]) -> None:
    """Run all in one snapshot. If any of them fails, run the first one alone, and leave each other to its own turn.

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
