"""Wait for whatever happens first."""

from collections.abc import Awaitable, Callable

import trio


async def until_any(*waits: Callable[[], Awaitable[None]]) -> None:
    """Wait until the first of these has ended; the others are cancelled."""

    async def end_with(wait: Callable[[], Awaitable[None]]) -> None:
        await wait()
        either.cancel_scope.cancel()

    async with trio.open_nursery() as either:
        for wait in waits:
            either.start_soon(end_with, wait)
