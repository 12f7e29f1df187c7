"""Record in the database that this daemon is alive, and decide which jobs it does for all daemons."""

import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Final

import trio
from attrs import define, evolve, field, frozen
from loguru import logger

from reminderd import __version__
from reminderd.clock import Clock
from reminderd.core.daemons import LEASE, Daemon, Job, differences
from reminderd.core.sentences import text_of
from reminderd.store.daemon_rows import all_daemons, delete_daemon, record_alive
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.threads import until_any

BEAT: Final = 10.0
"""Seconds between two records that this daemon is alive."""

_AGAIN: Final = 1.0
"""Seconds until a record that could not be written is tried again."""

_AFTER_AN_ERROR: Final = 60.0
"""Seconds until a record is tried again after an unexpected error."""

_LEAVING: Final = 2.0
"""Seconds that a stop waits until the row is deleted."""


@frozen(kw_only=True)
class Share:
    """The part of a daemon's configuration that matters to the other daemons."""

    rules_digest: str = ""
    jobs: frozenset[Job] = frozenset()
    """The jobs that this daemon may do for all daemons."""


@define(eq=False, kw_only=True)
class Membership:
    """This daemon among all daemons on the database."""

    database: Database
    clock: Clock
    own: Daemon
    """This daemon as it was last recorded."""
    share: Share = field(factory=Share, init=False)
    _others: list[Daemon] | None = field(default=None, init=False)
    """The other daemons at that time; None before the first record."""
    _until: float = field(default=0.0, init=False)
    """Until when this daemon may do its jobs, by Trio's clock."""
    _running: dict[trio.CancelScope, Job] = field(factory=dict, init=False)
    _is_changed: trio.Event = field(factory=trio.Event, init=False)
    """Set when its share has changed."""
    _is_recorded: trio.Event = field(factory=trio.Event, init=False)
    """Set at each record, and then replaced by a new event."""
    _warned_of: list[str] = field(factory=list, init=False)

    @property
    def jobs(self) -> frozenset[Job]:
        """Return the jobs that this daemon does now for all daemons."""
        return self.own.jobs if trio.current_time() < self._until else frozenset()

    def follow(self, share: Share) -> None:
        """Use another share from now on."""
        self.share = share
        self._is_changed.set()

    async def keep(self) -> None:
        """Record that this daemon is alive, again and again until it is cancelled."""
        while True:
            self._is_changed = trio.Event()
            pause = BEAT
            try:
                await self._record()
            except StoreUnavailableError:  # the poll loop logs it; the jobs end with their time
                pause = _AGAIN
            except StoreUnusableError:
                raise
            except Exception:  # noqa: BLE001 - a bug here must not stop the calls
                logger.exception("not recorded that this daemon is alive: unexpected error; tried again in a minute")
                pause = _AFTER_AN_ERROR
            with trio.move_on_after(pause):
                await self._is_changed.wait()

    async def leave(self) -> None:
        """Delete the record, so that others take its jobs at once; give up after some seconds."""
        with trio.move_on_after(_LEAVING), suppress(StoreUnavailableError):
            await self.database.write(partial(delete_daemon, daemon_id=self.own.id))

    async def do_alone(self, job: Job, do: Callable[[], Awaitable[None]], stopping: trio.Event) -> None:
        """Run `do` while this daemon has the job, until `stopping` is set, at which `do` ends by itself."""
        while not stopping.is_set():
            await until_any(stopping.wait, partial(self._until_own, job))
            if stopping.is_set():
                return
            with trio.CancelScope(deadline=self._until) as scope:
                self._running[scope] = job
                try:
                    await do()
                finally:
                    del self._running[scope]

    async def _until_own(self, job: Job) -> None:
        while job not in self.jobs:
            await self._is_recorded.wait()

    async def _record(self) -> None:
        is_first = self._others is None
        others = await self.database.read(all_daemons) if self._others is None else self._others
        write = partial(
            record_alive,
            daemon=evolve(self.own, rules_digest=self.share.rules_digest),
            wanted=self.share.jobs,
            ended=[one.id for one in others if process_has_ended(one)],
        )
        until, before = trio.current_time() + LEASE.total_seconds(), self.own.jobs
        seen = await self.database.write(write)
        self.own, self._until = seen.own, until
        self._others = [one for one in seen.alive if one.id != self.own.id]
        for scope, job in self._running.items():
            if job in self.own.jobs:
                scope.deadline = until
            else:
                scope.cancel()
        self._is_recorded.set()
        self._is_recorded = trio.Event()
        if self.own.jobs != before and not (is_first and not self._others):
            names = ", ".join(text_of(job.sentence, str) for job in Job if job in self.own.jobs)
            logger.info(f"this daemon's jobs for all daemons: {names or 'nothing'}")
        self._warn([text_of(one, str) for one in differences(seen.alive)])

    def _warn(self, found: list[str]) -> None:
        """Log once how the daemons differ."""
        for warning in found:
            if warning not in self._warned_of:
                logger.warning(warning)
        self._warned_of = found


def membership(database: Database, clock: Clock, *, part: str | None) -> Membership:
    """Return the membership of this process, which is not recorded yet and has an empty share."""
    pid, now = os.getpid(), clock.now()
    own = Daemon(
        id=token_hex(16),
        host=socket.gethostname(),
        pid=pid,
        process=process_of(pid) or "",
        part=part,
        version=__version__,
        rules_digest="",
        started_at=now,
        seen_at=now,
        jobs_until=now,
    )
    return Membership(database=database, clock=clock, own=own)


_STATE: Final = 0
_STARTED: Final = 19
"""Places in `/proc/PID/stat`, counted after the name, see proc(5)."""


def process_of(pid: int) -> str | None:
    """Return what distinguishes a process of this machine from others with the same pid; None if it can't be read.

    It consists of the kernel's boot id, the pid namespace, and the time at which the process started.
    """
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        numbers = Path("/proc/self/ns/pid").readlink()
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[_STATE] in {"Z", "X"} else f"{kernel} {numbers} {fields[_STARTED]}"


def process_has_ended(daemon: Daemon) -> bool:
    """Return whether the process of a daemon has certainly ended: it ran on this machine, and no longer exists.

    So a daemon that starts again after a crash has its jobs at once. About other machines, nothing is known.
    """
    own = process_of(os.getpid())
    if own is None or own.split()[:-1] != daemon.process.split()[:-1]:
        return False
    try:
        os.kill(daemon.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # another user's process, which we may not be able to see
        return False
    return process_of(daemon.pid) != daemon.process
