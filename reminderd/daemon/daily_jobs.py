"""Do the daily jobs: a backup, and the purge of what is old.

One thing after the other: each of them is work for the disk, and holds up those who write.
"""

from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import field, frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.core.masking import without_numbers
from reminderd.core.schedule.time_zones import Daily
from reminderd.store.changes import trim_changes
from reminderd.store.database import Database
from reminderd.store.erased import forget_erased
from reminderd.store.errors import CopyError, StoreUnavailableError, StoreUnusableError
from reminderd.store.personal_data import Place, Traces, purge_batch, unscrubbed
from reminderd.store.sqlite.backups import back_up, backups_in, newest_backup
from reminderd.store.sqlite.driver import Connection, Error
from reminderd.store.sqlite.housekeeping import count_calls, scrub
from reminderd.store.sqlite.opening import identify, open_as_it_is, open_connection

_FOLDER: Final = "[backup].folder"
"""Shown instead of what is configured there: a secret may have been put in its place."""

AGAIN_AFTER: Final = timedelta(hours=1)
"""How long after a failure it is tried again."""

ACTOR: Final = "reminderd"
"""Who purges, in the audit."""

SCRUBBED_BYTES: Final = 256 * 1024 * 1024
"""Of a larger database the daemon does not rewrite the file: that needs as much memory, and stops all writing."""

_LOOK: Final = timedelta(minutes=1)


class NotYetError(Exception):
    """The rest can't be done now, for a reason that is no error; the message names it."""


@frozen(kw_only=True)
class DailyJob:
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
    turn: trio.Lock = field(factory=trio.Lock)
    """Held while it is done; jobs with the same one are done one after the other."""


async def do_daily(job: DailyJob) -> None:
    """Do it whenever it is due, until the stop. A failure is an ERROR in the log, and tried again after an hour.

    Whatever fails in it, the rest of the daemon goes on.
    """
    done: datetime | None = None
    while True:
        try:
            last = max(filter(None, (done, await trio.to_thread.run_sync(job.last))), default=None)
            if not await _reached(job.daily.due(last, job.clock.now()), job):
                return
            async with job.turn:
                if job.stopping.is_set():
                    return
                begun = job.clock.now()
                await job.do()
                done = begun
            continue
        except NotYetError as later:
            logger.warning(f"{later}; tried again in an hour")
        except (StoreUnavailableError, StoreUnusableError, Error, OSError) as error:
            if job.stopping.is_set():
                return
            logger.error(f"{job.name}: {error}; tried again in an hour")
        except Exception:  # noqa: BLE001 - a bug in a job that can wait must not stop the calls
            logger.exception(f"{job.name}: unexpected error; tried again in an hour")
        if not await _reached(job.clock.now() + AGAIN_AFTER, job):
            return


async def _reached(moment: datetime, job: DailyJob) -> bool:
    """Wait for a moment of the clock; False: the stop came first."""
    while not job.stopping.is_set():
        left = (moment - job.clock.now()).total_seconds()
        if left <= 0:
            return True
        with trio.move_on_after(min(left, job.look.total_seconds())):
            await job.stopping.wait()
    return False


def backups(database: Path, folder: Path, *, daily: Daily, keep: int, clock: Clock, stopping: trio.Event) -> DailyJob:
    """Return the job that makes a backup a day; the folder shows when the last one was made."""

    def last() -> datetime | None:
        newest = newest_backup(folder, database, _id_of(database), clock.now())
        return None if newest is None else newest.made_at

    async def do() -> None:
        begun = clock.monotonic()
        back_up_once = partial(back_up, database, folder, clock.now(), keep=keep, stopped=stopping.is_set)
        try:
            made = await trio.to_thread.run_sync(back_up_once)
        except CopyError as error:
            raise CopyError(str(error).replace(str(folder), _FOLDER)) from None
        logger.info(f"backup made: {made.file.name}, {made.size:,} bytes, in {clock.monotonic() - begun:.1f} s")
        if made.mistakes:
            logger.error(f"the database, and so its backup, has {len(made.mistakes)} errors: see reminderd db check")
        for odd in await trio.to_thread.run_sync(lambda: backups_in(folder, database, _id_of(database))):
            if odd.is_of_the_future(clock.now()):
                logger.warning(f"not counted and not deleted: {odd.file.name}, as its date is in the future")

    return DailyJob(name="no backup was made", daily=daily, last=last, do=do, clock=clock, stopping=stopping)


def retention(
    database: Database,
    *,
    daily: Daily,
    days: int,
    clock: Clock,
    stopping: trio.Event,
    most_bytes: int = SCRUBBED_BYTES,
) -> DailyJob:
    """Return the job that purges, once a day and at each start, what ended more than `days` ago; 0: nothing.

    The file is written anew after it, if it has `most_bytes` at most; also if that was left undone before.
    """

    async def do() -> None:
        if days:
            await purge()
        await database.write(forget_erased)
        if await database.read(unscrubbed) is not None:
            await trio.to_thread.run_sync(_scrub, database.path, most_bytes)

    async def purge() -> None:
        before = clock.now() - timedelta(days=days)
        purged, calls, place = 0, 0, Place()
        await database.write(count_calls)
        while not stopping.is_set():
            batch = partial(purge_batch, before=before, place=place, actor=ACTOR, cleaned=without_numbers)
            done = await database.write(batch)
            if done.reached is None:
                break
            purged, calls, place = purged + done.reminders, calls + done.calls, done.reached
        if purged:
            logger.info(f"purged: {purged} reminders of more than {days} days ago")
        if calls:
            logger.info(f"purged: {calls} calls of deleted or moved reminders of more than {days} days ago")

    return DailyJob(name="the purge failed", daily=daily, last=lambda: None, do=do, clock=clock, stopping=stopping)


def change_retention(database: Database, *, daily: Daily, days: int, clock: Clock, stopping: trio.Event) -> DailyJob:
    """Return the job that deletes, once a day and at each start, changes of outcomes of more than `days` ago."""

    async def do() -> None:
        trim = partial(trim_changes, before=clock.now() - timedelta(days=days), read=None)
        while not stopping.is_set() and await database.write(trim) > 0:
            pass

    name = "old changes of outcomes were not deleted"
    return DailyJob(name=name, daily=daily, last=lambda: None, do=do, clock=clock, stopping=stopping)


def _id_of(database: Path) -> str:
    with closing(open_as_it_is(database)) as connection:
        return identify(connection)


def _scrub(path: Path, most_bytes: int) -> None:
    with closing(open_connection(path)) as connection:
        if unscrubbed(connection) is Traces.FILE and _bytes(connection) > most_bytes:
            logger.warning("traces of purged reminders may be left in the file: run reminderd purge at a quiet time")
        elif not scrub(connection):
            raise NotYetError("traces of purged reminders are in the -wal file, as another program reads the database")


def _bytes(connection: Connection) -> int:
    pages, page_size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * page_size)
