"""Run a connection's sync calls on Trio's worker threads, one at a time.

A call that has begun is never abandoned: the caller waits for its end, even if it is cancelled.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import trio

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


def worker_threads() -> Runner:
    """Return a runner on Trio's worker threads that never runs two calls at once."""
    limiter = trio.CapacityLimiter(1)

    async def run(call: Callable[[], T], /) -> T:
        return await trio.to_thread.run_sync(call, limiter=limiter)

    return run
