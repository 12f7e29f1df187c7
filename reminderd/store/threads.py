"""What tasks need from each engine: connections whose sync calls run on Trio's threads, and a signal of each commit.

A connection's calls run one at a time. A call that has begun is never abandoned: the caller waits for its end, even if
the caller is cancelled. This module also runs a task while a block runs, and waits for the first of several events.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol, TypeVar

import trio
from attrs import frozen

from reminderd.store.connection import Connection

T = TypeVar("T")


class Runner(Protocol):
    """Runs a connection's sync calls, one at a time."""

    async def __call__(self, call: Callable[[], T], /) -> T:
        """Run `call` and return what it returns, or raise what it raises."""


class OnThread(Protocol):
    """A connection whose calls run on a worker thread."""

    async def run(self, fn: Callable[[Connection], T]) -> T:
        """Run a sync function that takes the connection, in one call on the thread."""


class Commits(Protocol):
    """Shows that something was committed, by any process."""

    async def version(self) -> int:
        """Return a number that changes with each commit.

        Raises:
            StoreUnavailableError: It can't be read right now.
        """

    async def another(self, since: int) -> bool:
        """Wait a moment, and return whether something may have been committed since the number was `since`.

        Raises:
            StoreUnavailableError: It can't be read right now.
        """


@frozen(kw_only=True)
class Connections:
    """An open database: the connection that writes, one that reads, and the signal of each commit."""

    writes: OnThread
    reads: OnThread
    commits: Commits
    warnings: Sequence[str] = ()
    """Warnings for the admin about this engine, a sentence each."""


def worker_threads() -> Runner:
    """Return a runner on Trio's worker threads that never runs two calls at once.

    It leaves out what `trio.to_thread.run_sync` adds: a name for the thread, context variables, and a way back into
    Trio. These would take longer than the shortest calls themselves.
    """
    turn = trio.Lock()

    async def run(call: Callable[[], T], /) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            turn.acquire_nowait()
        except trio.WouldBlock:
            await turn.acquire()
        try:
            return await _on_thread(call)
        finally:
            turn.release()

    return run


async def _on_thread(call: Callable[[], T]) -> T:
    token = trio.lowlevel.current_trio_token()
    deliver = partial(token.run_sync_soon, trio.lowlevel.reschedule, trio.lowlevel.current_task())
    trio.lowlevel.start_thread_soon(call, deliver)
    result: T = await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
    return result


@asynccontextmanager
async def while_running(
    task: Callable[[], Awaitable[object]], *, end: Callable[[], None] | None = None
) -> AsyncIterator[None]:
    """Run a task while the block runs. An exception of the block is raised as it is, not in a group.

    Args:
        task: what to run.
        end: called after the block, so that the task ends by itself; None to cancel the task.
    """
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised again outside the nursery, which would make it a group
            failure = error
        if end is None:
            nursery.cancel_scope.cancel()
        else:
            end()
    if failure is not None:
        raise failure


async def until_any(*waits: Callable[[], Awaitable[None]]) -> None:
    """Wait until the first of these has ended; the others are cancelled."""

    async def end_with(wait: Callable[[], Awaitable[None]]) -> None:
        await wait()
        either.cancel_scope.cancel()

    async with trio.open_nursery() as either:
        for wait in waits:
            either.start_soon(end_with, wait)
