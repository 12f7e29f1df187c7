"""Report how the daemon is doing: readiness, the page for Prometheus, `reminderd status`, and a warning in the log."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from platform import python_version
from typing import Final

from attrs import frozen
from loguru import logger

from reminderd import __version__
from reminderd.core.lifecycle.reconcile import UNREACHED
from reminderd.core.monitoring import ADDRESS
from reminderd.core.phone import Numbering
from reminderd.engine.context import Context
from reminderd.metrics import Moment, page
from reminderd.store.database import Database
from reminderd.store.deliveries import backlog
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.queries import uncallable
from reminderd.store.settings import database_id
from reminderd.store.sqlite.driver import sqlite_version_info
from reminderd.store.stats import counts, next_wakes

HEARTBEAT_LIMIT: Final = 30.0
"""Seconds without a beat after which the poll loop counts as stuck."""


@frozen(kw_only=True)
class Watch:
    """Reports on everything that a process runs under one configuration."""

    context: Context
    dials: bool
    """Whether this process has a poll loop."""
    started_at: datetime
    sends: bool = False
    """Whether changes are sent to the clinic's own system."""

    async def readiness(self) -> Mapping[str, str | None]:
        """Return each part that this process runs, with what is wrong with it, or None."""
        database, memory, clock = self.context.database, self.context.memory, self.context.clock
        parts: dict[str, str | None] = {"database": database.failure}
        unreached_since = None
        try:
            wakes = await database.read(partial(next_wakes, now=clock.now(), alive=False))
            unreached_since = wakes.unreached_since
        except (StoreUnavailableError, StoreUnusableError) as error:
            parts["database"] = str(error)
        if self._is_asked:
            parts[ADDRESS] = None if unreached_since is None else f"dialing is paused: {UNREACHED}"
        if self.dials:
            silent = clock.monotonic() - memory.beat
            parts["poll loop"] = f"no heartbeat for {silent:.0f} s" if silent > HEARTBEAT_LIMIT else memory.failure
            breaker = memory.breaker
            parts["provider"] = f"dialing is paused: {breaker.reason}" if breaker.paused else None
        return parts

    async def scrape(self) -> bytes:
        """Return the page for Prometheus. What the database knows is missing from it while that can't be read."""
        context = self.context
        now = context.clock.now()
        try:
            found = await context.database.read(partial(counts, now=now))
            unsent = await context.database.read(backlog) if self.sends else None
        except (StoreUnavailableError, StoreUnusableError):
            found, unsent = None, None
        parts = await self.readiness()
        paused = {"provider": context.memory.breaker.paused}
        if self._is_asked:
            paused["address"] = parts[ADDRESS] is not None
        moment = Moment(
            now=now,
            started_at=self.started_at,
            build={
                "version": __version__,
                "python": python_version(),
                "sqlite": ".".join(map(str, sqlite_version_info)),
                "provider": self.context.provider.name,
            },
            parts=parts,
            paused=paused,
            queued_writes=context.database.queued_writes,
            last_poll=self._last_poll(now),
            last_webhook=context.instruments.last_webhook,
            counts=found,
            backlog=unsent,
        )
        return page(context.instruments, moment)

    async def doings(self) -> Mapping[str, object]:
        """Return what `reminderd status` asks for."""
        return {
            "version": __version__,
            "started_at": self.started_at.isoformat(),
            "provider": self.context.provider.name,
            "database_id": await self._database_id(),
            "parts": await self.readiness(),
            "last_poll": _written(self._last_poll(self.context.clock.now())),
            "last_webhook": _written(self.context.instruments.last_webhook),
        }

    async def _database_id(self) -> str | None:
        try:
            return await self.context.database.read(database_id)
        except (StoreUnavailableError, StoreUnusableError):
            return None  # `parts` says why

    @property
    def _is_asked(self) -> bool:
        """Return whether the provider asks what to say, at our public address."""
        return self.context.provider.capabilities.asks_what_to_say

    def _last_poll(self, now: datetime) -> datetime | None:
        if not self.dials:
            return None
        return now - timedelta(seconds=self.context.clock.monotonic() - self.context.memory.beat)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


async def warn_of_uncallable(database: Database, numbering: Numbering) -> None:
    """Log a warning for each reason why waiting reminders can't be called, with their number."""
    try:
        reasons = await database.read(partial(uncallable, numbering=numbering))
    except StoreUnavailableError as error:
        logger.warning(f"unknown whether waiting reminders can't be called: {error}")
        return
    for reason, count in reasons.items():
        logger.warning(f"{count} waiting {'reminder' if count == 1 else 'reminders'} can't be called: {reason}")
