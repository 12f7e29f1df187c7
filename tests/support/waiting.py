"""Wait for a fact about a file, a process or a row, for which there is no event."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

import trio

T = TypeVar("T")

PATIENCE = 100
"""Seconds after which what has not come is a failure.

Only a failing test waits so long. Half a minute was too short on a busy machine, and after two minutes pytest would
print the stacks of all threads.
"""

_SOON, _LATER = 0.001, 0.05
"""The first and the longest pause between two looks, as looking takes the processor from what is waited for."""


@overload
async def until(fact: Callable[[], Awaitable[T | None]]) -> T: ...
@overload
async def until(fact: Callable[[], T | None]) -> T: ...
async def until(fact: Callable[[], Any]) -> Any:
    """Look again and again until `fact` returns something true, and return that.

    Raises:
        trio.TooSlowError: It has not come within `PATIENCE`.
    """
    pause = _SOON
    with trio.fail_after(PATIENCE):
        while True:
            looked = fact()
            found = await looked if isinstance(looked, Awaitable) else looked
            if found:
                return found
            await trio.sleep(pause)
            pause = min(1.2 * pause, _LATER)


def until_in_thread(fact: Callable[[], T | None]) -> T:
    """Do the same where Trio does not run: in a thread, or in a test without it."""
    pause, deadline = _SOON, time.monotonic() + PATIENCE
    while not (found := fact()):
        assert time.monotonic() < deadline, f"it has not come within {PATIENCE} s"
        time.sleep(pause)
        pause = min(1.2 * pause, _LATER)
    return found
