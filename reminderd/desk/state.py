"""Hold what every page uses, for one configuration and for the whole process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from secrets import token_hex
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import trio
from attrs import define, field, frozen
from jinja2 import Environment

from reminderd.clock import Clock
from reminderd.config import Config
from reminderd.core.monitoring import DaemonReport, StatusReport
from reminderd.core.rules import Rules
from reminderd.core.wrong_tokens import Network, networks
from reminderd.desk.addresses import Addresses
from reminderd.desk.catalog import Catalog, catalog_of
from reminderd.desk.credentials import LogIns
from reminderd.desk.templating import environment_of
from reminderd.desk.uploads import Uploads, open_uploads
from reminderd.staff.obstacles import Examined
from reminderd.staff.status import look_at_database, status_report
from reminderd.store.connection import Connection
from reminderd.store.database import Database, Reader, open_reader
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.shared_state import desk_key

T = TypeVar("T")

LOOK: Final = 0.25
"""Seconds between two looks for commits, while somebody waits."""


@define(eq=False)
class Pulse:
    """Lets pages wait until any process has committed something."""

    version: Callable[[], Awaitable[int]]
    """Returns a number that changes with each commit."""
    stopping: trio.Event
    """Once it is set, nobody waits anymore."""
    _run: str = field(factory=partial(token_hex, 4), init=False)
    """Distinguishes processes: after a restart, the numbers start over, and an old mark must not match."""
    _newest: int = field(default=0, init=False)
    _looked_at: float = field(default=float("-inf"), init=False)
    _turn: trio.Lock = field(factory=trio.Lock, init=False)

    async def now(self) -> str:
        """Return a mark of what is committed; take the mark before reading."""
        async with self._turn:
            with suppress(StoreUnavailableError):
                self._newest = await self.version()
            self._looked_at = trio.current_time()
            return self._mark

    async def changed(self, since: str) -> None:
        """Wait until something was committed since a mark, or until the stop, even while nothing can be read."""
        while not self.stopping.is_set() and await self._look() == since:
            with trio.move_on_after(LOOK):
                await self.stopping.wait()

    async def _look(self) -> str:
        """Return the present mark; pages that wait together look once."""
        if trio.current_time() - self._looked_at < LOOK / 2:
            return self._mark
        return await self.now()

    @property
    def _mark(self) -> str:
        return f"{self._run}-{self._newest}"


@frozen(kw_only=True)
class DeskBase:
    """What all reloads keep."""

    reader: Reader
    """The pages' own connection: however much they read, no webhook waits for it."""
    addresses: Addresses
    log_ins: LogIns
    uploads: Uploads
    rendering: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(1))
    """Lets one template at a time be filled in, so that the calls get enough of the processor."""
    waiting: dict[str, int] = field(factory=dict)
    """How many parts of pages wait for a commit, by session."""


@asynccontextmanager
async def open_desk(database: Database, folder: Path, clock: Clock) -> AsyncIterator[DeskBase]:
    """Open what the pages need until the end of the process, with a folder for uploaded files."""
    key = await database.write(partial(desk_key, new=token_hex(32)))
    async with open_reader(database) as reader, open_uploads(database.target, folder, clock) as uploads:
        addresses, log_ins = Addresses(bytes.fromhex(key)), LogIns(database, reader, clock)
        yield DeskBase(reader=reader, addresses=addresses, log_ins=log_ins, uploads=uploads)


@frozen(kw_only=True, eq=False)
class Desk:
    """What every page gets. A reload makes a new one."""

    config: Config
    base: DeskBase
    database: Database
    """For acts of staff; pages read with `read`."""
    clock: Clock
    rules: Rules
    doings: Callable[[], Awaitable[DaemonReport]]
    """Returns what this process is and does, as `reminderd status` asks for it."""
    stopping: trio.Event
    """Set at the stop and at a reload: then nothing waits anymore."""
    examined: Examined = field(repr=False)
    """Which waiting reminders can't be called, as far as they were examined."""

    @cached_property
    def catalog(self) -> Catalog:
        """The texts in the language of the pages."""
        return catalog_of(self.config.desk.language, zone=self.zone, country=self.config.clinic.country)

    @cached_property
    def changes(self) -> Pulse:
        """Waits for commits."""
        return Pulse(self.base.reader.commits.version, self.stopping)

    @cached_property
    def templates(self) -> Environment:
        """Renders the templates in the language of the pages."""
        return environment_of(self.catalog, self.addresses, country=self.config.clinic.country)

    @cached_property
    def trusted(self) -> tuple[Network, ...]:
        """The proxies whose `X-Forwarded-For` is believed."""
        return networks(self.config.web.trusted_proxies)

    @property
    def addresses(self) -> Addresses:
        """What encrypts the ids of records in URLs."""
        return self.base.addresses

    @property
    def zone(self) -> ZoneInfo:
        """The clinic's time zone, in which pages show times."""
        return self.config.calling.zone

    async def read(self, fn: Callable[[Connection], T]) -> T:
        """Run `fn(connection)`, which only reads, on the pages' own connection; see `Database.read`."""
        return await self.base.reader.read(fn)

    async def status(self) -> StatusReport:
        """Return what `reminderd status` shows."""
        while not await self.read(self.examined.examine):
            pass  # others read in between
        look = partial(look_at_database, config=self.config, now=self.clock.now(), uncallable=self.examined.reasons)
        seen, daemon = await self.read(look), await self.doings()
        return await trio.to_thread.run_sync(status_report, seen, daemon, self.config)
