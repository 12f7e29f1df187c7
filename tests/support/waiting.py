"""Wait for a fact that no event tells: a file's, a process's, a row's."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")

PATIENCE = 30
"""Seconds after which a fact that has not come is a failure."""


async def until(fact: Callable[[], T | Awaitable[T]]) -> T:
    """Look again and again until `fact` returns something true, and return that.

    Raises:
        trio.TooSlowError: It did not come for half a minute.
    """
    with trio.fail_after(PATIENCE):
        while True:
            looked = fact()
            found = await looked if isinstance(looked, Awaitable) else looked
            if found:
                return found
            await trio.sleep(0.005)
