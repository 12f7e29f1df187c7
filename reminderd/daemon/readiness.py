"""Report how the daemon is doing: readiness, `reminderd status`, Prometheus, systemd, and the log."""

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from platform import python_version
from typing import Final

import trio
from attrs import frozen
from loguru import logger

from reminderd import __version__
from reminderd.clock import Clock
from reminderd.core.monitoring import ADDRESS, DaemonReport
from reminderd.core.reasons import UNREACHED
from reminderd.daemon.cluster import Membership
from reminderd.engine.context import Context, Memory
from reminderd.staff.obstacles import Examined
from reminderd.store.daemon_rows import alive_daemons
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.outcome_changes import delivery_backlog
from reminderd.store.shared_state import database_id
from reminderd.store.sqlite.driver import sqlite_version_info
from reminderd.store.stats import next_wakes, read_counts

HEARTBEAT_LIMIT: Final = 30.0
"""Seconds without a beat after which the poll loop counts as stuck, unless systemd's watchdog has a shorter limit."""


@frozen(kw_only=True)
class Watch:
    """Reports on everything that a process runs under one configuration."""

    context: Context
    dials: bool
    """Whether this process has a poll loop."""
    started_at: datetime
    membership: Membership
    sends: bool = False
    """Whether changes are sent to the clinic's own system."""

    async def readiness(self) -> Mapping[str, str | None]:
        """Return each part that this process runs, with its error, or None."""
        database, memory, clock = self.context.database, self.context.memory, self.context.clock
        parts: dict[str, str | None] = {"database": database.failure}
        unreached_since = None
        try:
            wakes = await database.read(partial(next_wakes, now=clock.now(), alive=False))
            unreached_since = wakes.unreached_since
        except (StoreUnavailableError, StoreUnusableError) as error:
            parts["database"] = str(error)
        if self.is_asked:
            parts[ADDRESS] = None if unreached_since is None else f"dialing is paused: {UNREACHED}"
        if self.dials:
            silent = clock.monotonic() - memory.beat
            parts["poll loop"] = f"no heartbeat for {silent:.0f} s" if silent > HEARTBEAT_LIMIT else memory.failure
            breaker = memory.breaker
            parts["provider"] = f"dialing is paused: {breaker.reason}" if breaker.paused else None
        return parts

    async def report(self) -> DaemonReport:
        """Return the state of this process."""
        return DaemonReport(
            version=__version__,
            started_at=self.started_at,
            provider=self.context.provider.name,
            parts=await self.readiness(),
            last_poll=self.last_poll(self.context.clock.now()),
            last_webhook=self.context.instruments.last_webhook,
            database_id=await self._database_id(),
        )

    async def doings(self) -> Mapping[str, object]:
        """Return the report as a JSON object, for `reminderd status`."""
        report = await self.report()
        return {
            "version": report.version,
            "started_at": _written(report.started_at),
            "provider": report.provider,
            "database_id": report.database_id,
            "parts": report.parts,
            "last_poll": _written(report.last_poll),
            "last_webhook": _written(report.last_webhook),
        }

    async def scrape(self) -> bytes:
        """Return the page for Prometheus. While the database can't be read, its numbers are missing."""
        from reminderd.metrics import Moment, metrics_page  # noqa: PLC0415 - its library is loaded only if it is used

        context, now = self.context, self.context.clock.now()
        try:
            found = await context.database.read(partial(read_counts, now=now))
            unsent = await context.database.read(delivery_backlog) if self.sends else None
            alive = await context.database.read(partial(alive_daemons, now=now))
        except (StoreUnavailableError, StoreUnusableError):
            found, unsent, alive = None, None, None
        parts = await self.readiness()
        paused = {"provider": context.memory.breaker.paused}
        if self.is_asked:
            paused["address"] = parts[ADDRESS] is not None
        moment = Moment(
            now=now,
            started_at=self.started_at,
            build={
                "version": __version__,
                "python": python_version(),
                "sqlite": ".".join(map(str, sqlite_version_info)),
                "provider": context.provider.name,
            },
            parts=parts,
            paused=paused,
            queued_writes=context.database.queued_writes,
            last_poll=self.last_poll(now),
            last_webhook=context.instruments.last_webhook,
            counts=found,
            backlog=unsent,
            daemons=alive,
            jobs=self.membership.jobs,
        )
        return metrics_page(context.instruments, moment)

    async def _database_id(self) -> str | None:
        try:
            return await self.context.database.read(database_id)
        except (StoreUnavailableError, StoreUnusableError):
            return None  # `parts` states why

    @property
    def is_asked(self) -> bool:
        """Return whether the provider asks what to say, at our public address."""
        return self.context.provider.capabilities.asks_what_to_say

    def last_poll(self, now: datetime) -> datetime | None:
        """Return the time of the poll loop's last heartbeat; None if this process has no poll loop."""
        if not self.dials:
            return None
        return now - timedelta(seconds=self.context.clock.monotonic() - self.context.memory.beat)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


async def warn_of_uncallable(database: Database, examined: Examined) -> None:
    """Log a warning for each reason why waiting reminders can't be called, with their number."""
    try:
        while not await database.read(examined.examine):
            pass  # let others read in between
    except StoreUnavailableError as error:
        logger.warning(f"not examined whether waiting reminders can be called: {error}")
        return
    except StoreUnusableError:
        raise
    except Exception:  # noqa: BLE001 - a bug here must not stop the calls
        logger.exception("not examined whether waiting reminders can be called: unexpected error")
        return
    for reason, count in examined.reasons.items():
        logger.warning(f"{count} waiting {'reminder' if count == 1 else 'reminders'} can't be called: {reason}")


_UNWATCHED: Final = 15.0
"""Seconds between two status lines if there is no watchdog."""

_LOOK_AGAIN: Final = 1.0
"""The most seconds between two checks for a missing heartbeat, so that the watchdog is soon fed when it is back."""


@frozen
class Supervisor:
    """The program that started us and wants to be notified."""

    address: str | None = None
    """Its socket, where `@` at the beginning means an abstract one; None if there is no supervisor."""
    watchdog: timedelta | None = None
    """The time without a sign of life after which its watchdog ends the run; None if there is no watchdog."""

    def notify(self, *assignments: str) -> None:
        """Send `NAME=value` lines in one datagram, without waiting; an error is only logged."""
        if self.address is None:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        try:
            with socket.socket(socket.AF_UNIX, kind) as sender:
                sender.sendto("\n".join(assignments).encode(), address)
        except OSError as error:
            logger.warning(f"the supervisor can't be notified of {assignments[0]}: {error.strerror or error}")


NO_SUPERVISOR: Final = Supervisor()
"""For a run that a person has started."""


@frozen(kw_only=True)
class Heartbeat:
    """How a run shows that it is alive, and what is wrong."""

    ready: Callable[[], Awaitable[None]]
    """Returns once all parts of the run work."""
    silence: Callable[[], float]
    """Returns the seconds since the last beat."""
    error: Callable[[], str | None]
    """Returns the error, in a line for the admin that names no patient; None if there is no error."""


def heartbeat_of(memory: Memory, clock: Clock, *, dials: bool) -> Heartbeat:
    """Return the heartbeat of the poll loop; a run without a poll loop counts as alive."""
    if not dials:
        return Heartbeat(ready=trio.lowlevel.checkpoint, silence=lambda: 0.0, error=lambda: None)

    def error() -> str | None:
        reason = memory.breaker.reason or memory.breaker.address.reason
        return memory.failure or (None if reason is None else f"dialing is paused: {reason}")

    return Heartbeat(ready=memory.claimed.wait, silence=lambda: clock.monotonic() - memory.beat, error=error)


def supervisor_of(environ: Mapping[str, str]) -> Supervisor:
    """Return the supervisor that the environment names."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return Supervisor()
    microseconds = 0
    if environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
        with suppress(ValueError):
            microseconds = int(environ.get("WATCHDOG_USEC", ""))
    return Supervisor(address, timedelta(microseconds=microseconds) if microseconds > 0 else None)


async def keep_notified(
    supervisor: Supervisor, heartbeat: Heartbeat, *, stopping: trio.Event, stop_within: timedelta
) -> None:
    """Notify that the run is ready once it is, feed the watchdog while it is alive, notify of the stop; then return.

    The watchdog is fed at half of its time, but not by a run that has been silent for longer than that.

    Args:
        supervisor: gets the notifications.
        heartbeat: shows whether the run is alive.
        stopping: set when the run is to end.
        stop_within: how long the stop may take; the supervisor is asked to wait so long.
    """
    if supervisor.address is None:
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_stopping, supervisor, heartbeat)
        await stopping.wait()
        nursery.cancel_scope.cancel()
    supervisor.notify(
        "STOPPING=1", "STATUS=stopping", f"EXTEND_TIMEOUT_USEC={stop_within // timedelta(microseconds=1)}"
    )


async def _until_stopping(supervisor: Supervisor, heartbeat: Heartbeat) -> None:
    await heartbeat.ready()
    supervisor.notify("READY=1")
    pause = _UNWATCHED if supervisor.watchdog is None else supervisor.watchdog.total_seconds() / 2
    patience = min(HEARTBEAT_LIMIT, pause)
    while True:
        silence = heartbeat.silence()
        if silence > patience:
            supervisor.notify(f"STATUS=no heartbeat for {silence:.0f} s")
            await trio.sleep(min(pause, _LOOK_AGAIN))
        else:
            status = " ".join((heartbeat.error() or "running").split())  # a second line would be another assignment
            supervisor.notify("WATCHDOG=1", f"STATUS={status}")
            await trio.sleep(pause)
