"""What a running daemon tells of itself: whether it is ready, to Prometheus, and to `reminderd status`."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from platform import python_version
from typing import Final

from attrs import frozen

from reminderd import __version__
from reminderd.clock import Clock
from reminderd.core.lifecycle.address import UNREACHED
from reminderd.core.monitoring import ADDRESS
from reminderd.engine.breaker import Breaker
from reminderd.engine.poller import Poller
from reminderd.metrics import Instruments, Moment, page
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.sqlite.driver import sqlite_version_info
from reminderd.store.stats import counts, next_wakes

HEARTBEAT_LIMIT: Final = 30.0
"""Seconds without a beat after which the poll loop counts as stuck."""


@frozen(kw_only=True)
class Watch:
    """All that is looked at."""

    database: Database
    loop: Poller | None
    """None: this process does not dial."""
    breaker: Breaker
    clock: Clock
    instruments: Instruments
    provider: str
    is_asked: bool
    """The provider asks what to say, at our public address."""
    started_at: datetime

    async def readiness(self) -> Mapping[str, str | None]:
        """Each part that this process runs, with what is wrong with it, or None."""
        parts: dict[str, str | None] = {"database": self.database.trouble}
        unreached_since = None
        try:
            unreached_since = (
                await self.database.read(partial(next_wakes, now=self.clock.now(), alive=False))
            ).unreached_since
        except (StoreUnavailableError, StoreUnusableError) as error:
            parts["database"] = str(error)
        if self.is_asked:
            parts[ADDRESS] = None if unreached_since is None else f"dialing is paused: {UNREACHED}"
        if self.loop is not None:
            silent = self.clock.monotonic() - self.loop.beat
            parts["poll loop"] = f"no heartbeat for {silent:.0f} s" if silent > HEARTBEAT_LIMIT else self.loop.failure
            parts["provider"] = f"dialing is paused: {self.breaker.reason}" if self.breaker.paused else None
        return parts

    async def scrape(self) -> bytes:
        """Prometheus' page. What the database knows is missing from it while that can't be read."""
        now = self.clock.now()
        try:
            found = await self.database.read(partial(counts, now=now))
        except (StoreUnavailableError, StoreUnusableError):
            found = None
        parts = await self.readiness()
        paused = {"provider": self.breaker.paused}
        if self.is_asked:
            paused["address"] = parts[ADDRESS] is not None
        moment = Moment(
            now=now,
            started_at=self.started_at,
            build={
                "version": __version__,
                "python": python_version(),
                "sqlite": ".".join(map(str, sqlite_version_info)),
                "provider": self.provider,
            },
            parts=parts,
            paused=paused,
            queued_writes=self.database.queued_writes,
            last_poll=self._last_poll(now),
            last_webhook=self.instruments.last_webhook,
            counts=found,
        )
        return page(self.instruments, moment)

    async def doings(self) -> Mapping[str, object]:
        """What `reminderd status` asks for."""
        return {
            "version": __version__,
            "started_at": self.started_at.isoformat(),
            "provider": self.provider,
            "parts": await self.readiness(),
            "last_poll": _written(self._last_poll(self.clock.now())),
            "last_webhook": _written(self.instruments.last_webhook),
        }

    def _last_poll(self, now: datetime) -> datetime | None:
        if self.loop is None:
            return None
        return now - timedelta(seconds=self.clock.monotonic() - self.loop.beat)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
