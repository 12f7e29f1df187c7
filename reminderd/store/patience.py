"""What was learned outside must reach the database, however long that is full, locked or out of order."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio
from loguru import logger

from reminderd.store.errors import StoreUnavailableError

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0


async def until_stored(write: Callable[[], Awaitable[T]]) -> T:
    """The result of `write`, tried again with growing pauses for as long as the store is unavailable."""
    pause = _FIRST_PAUSE
    while True:
        try:
            result = await write()
        except StoreUnavailableError as error:
            if pause == _FIRST_PAUSE:
                logger.warning(f"not recorded yet, trying again: {error}")
            await trio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            if pause > _FIRST_PAUSE:
                logger.info("recorded at last")
            return result
