"""Let readers wait for the next change of an outcome, whichever process commits it."""

from contextlib import suppress
from functools import partial
from typing import Final

import trio
from attrs import define, field

from reminderd.core.changes import Cursor
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.outcome_changes import Page, changes_after, newest_change

LOOK: Final = 0.25
"""Seconds between two looks for new changes, while somebody waits."""


@define(eq=False)
class Feed:
    """The changes of outcomes, for all readers in this process."""

    database: Database
    stopping: trio.Event
    """Once it is set, nobody waits anymore."""
    _newest: int = field(default=0, init=False)
    _looked_at: float = field(default=float("-inf"), init=False)
    _turn: trio.Lock = field(factory=trio.Lock, init=False)

    async def page(self, cursor: Cursor | None, limit: int) -> Page:
        """Return the first changes after a cursor; see `changes_after`."""
        return await self.database.read(partial(changes_after, cursor=cursor, limit=limit))

    async def changed(self, seq: int) -> None:
        """Wait until there is a change with a higher number, or until the stop, even while nothing can be read."""
        while not self.stopping.is_set() and await self._look() <= seq:
            with trio.move_on_after(LOOK):
                await self.stopping.wait()

    async def _look(self) -> int:
        """Return the number of the newest change; those who wait together look once."""
        async with self._turn:
            if trio.current_time() - self._looked_at >= LOOK / 2:
                with suppress(StoreUnavailableError):
                    self._newest = await self.database.read(newest_change)
                self._looked_at = trio.current_time()
            return self._newest
