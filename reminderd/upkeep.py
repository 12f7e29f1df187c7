"""What the daemon does by itself once a day, beside the dialing: a backup, and the purge of what is old."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.core.daily import Daily
from reminderd.logs import without_numbers
from reminderd.store.backups import back_up, backups_in
from reminderd.store.database import Database
from reminderd.store.driver import Connection, Error
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.opening import open_connection
from reminderd.store.purging import Place, count_calls, purge_batch, scrub

AGAIN_AFTER: Final = timedelta(hours=1)
"""How long after a failure it is tried again."""

ACTOR: Final = "reminderd"
"""Who purges, in the audit."""

SCRUBBED_BYTES: Final = 256 * 1024 * 1024
"""Of a larger database the daemon does not rewrite the file: that would take as much memory, and stop all writing."""

_LOOK: Final = timedelta(minutes=1)


@frozen(kw_only=True)
class Chore:
    """Something that is done once a day."""

    name: str
    """What was not done, in the log."""
    daily: Daily
    last: Callable[[], datetime | None]
    """When it was done last, as far as that is known from outside; None: never. Runs on a worker thread."""
    do: Callable[[], Awaitable[None]]
    clock: Clock
    stopping: trio.Event
    look: timedelta = _LOOK
    """How often the clock is read while it waits: it may be put on, or the machine sleep."""


async def look_after(chore: Chore) -> None:
    """Do it whenever it is due, until the stop. A failure is an ERROR in the log, and tried again after an hour."""
    done: datetime | None = None
    while True:
        try:
            last = max(filter(None, (done, await trio.to_thread.run_sync(chore.last))), default=None)
            if not await _reached(chore.daily.due(last, chore.clock.now()), chore):
                return
            begun = chore.clock.now()
            await chore.do()
            done = begun
        except (StoreUnavailableError, StoreUnusableError, Error, OSError) as error:
            if chore.stopping.is_set():
                return
            logger.error(f"{chore.name}: {error}; tried again in an hour")
            if not await _reached(chore.clock.now() + AGAIN_AFTER, chore):
                return


async def _reached(moment: datetime, chore: Chore) -> bool:
    """Wait for a moment of the clock; False: the stop came first."""
    while not chore.stopping.is_set():
        left = (moment - chore.clock.now()).total_seconds()
        if left <= 0:
            return True
        with trio.move_on_after(min(left, chore.look.total_seconds())):
            await chore.stopping.wait()
    return False


def backups(database: Path, folder: Path, *, daily: Daily, keep: int, clock: Clock, stopping: trio.Event) -> Chore:
    """A backup a day; the folder itself tells when the last one was made."""

    def last() -> datetime | None:
        found = backups_in(folder, database)
        return found[-1].made_at if found else None

    async def do() -> None:
        begun = clock.monotonic()
        made = await trio.to_thread.run_sync(
            partial(back_up, database, folder, clock.now(), keep=keep, stopped=stopping.is_set)
        )
        logger.info(f"backup made: {made.file}, {made.size:,} bytes, in {clock.monotonic() - begun:.1f} s")
        if made.mistakes:
            logger.error(f"the database, and so its backup, has {len(made.mistakes)} mistakes: see reminderd db check")

    return Chore(name="no backup was made", daily=daily, last=last, do=do, clock=clock, stopping=stopping)


def retention(
    database: Database,
    *,
    daily: Daily,
    days: int,
    clock: Clock,
    stopping: trio.Event,
    most_bytes: int = SCRUBBED_BYTES,
) -> Chore:
    """A purge a day, and one at each start, of what was over more than `days` ago.

    The file is written anew after it, if it has `most_bytes` at most.
    """

    async def do() -> None:
        before = clock.now() - timedelta(days=days)
        purged, place = 0, Place()
        await database.write(count_calls)
        while not stopping.is_set():
            batch = partial(purge_batch, before=before, place=place, actor=ACTOR, cleaned=without_numbers)
            done = await database.write(batch)
            if done.reached is None:
                break
            purged, place = purged + done.reminders, done.reached
        if purged:
            logger.info(f"purged: {purged} reminders of more than {days} days ago")
            await trio.to_thread.run_sync(_scrub, database.path, most_bytes)

    return Chore(name="the purge failed", daily=daily, last=lambda: None, do=do, clock=clock, stopping=stopping)


def _scrub(path: Path, most_bytes: int) -> None:
    with closing(open_connection(path)) as connection:
        if _bytes(connection) > most_bytes:
            logger.warning("traces of purged reminders may be left in the file: run reminderd purge at a quiet time")
        elif not scrub(connection):
            logger.warning("traces of purged reminders may be left in the -wal file until the next purge or stop")


def _bytes(connection: Connection) -> int:
    pages, page_size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * page_size)
