"""Do the daily jobs: a backup, the purge, and the deletion of old changes and files."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import evolve, field, frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.config import Config, daily_at
from reminderd.core.daemons import Job
from reminderd.core.masking import mask_numbers
from reminderd.core.schedule.time_zones import Daily
from reminderd.databases import SqliteFile
from reminderd.store.database import Database
from reminderd.store.erased import forget_erased
from reminderd.store.errors import CopyError, StoreUnavailableError, StoreUnusableError
from reminderd.store.outcome_changes import FOLDER, WEBHOOK, delete_old_changes, forget_webhooks
from reminderd.store.personal_data import Place, Traces, purge_batch, traces_left
from reminderd.store.sqlite.driver import Error, size_of
from reminderd.store.sqlite.opening import ensured_database_id, open_as_it_is, open_connection
from reminderd.store.sqlite.upkeep import scrub
from reminderd.store.users import forget_old_log_ins

AGAIN_AFTER: Final = timedelta(hours=1)
"""How long after a failure a job is tried again."""

ACTOR: Final = "reminderd"
"""The actor of a purge in the audit."""

SCRUBBED_BYTES: Final = 256 * 1024 * 1024
"""The daemon does not rewrite the file of a larger database: that needs as much memory, and stops all writing."""

_BACKUP_FOLDER: Final = "[backup].folder"
"""Shown instead of the configured path, which may be a secret in the wrong place."""


class NotYetError(Exception):
    """The rest of a job can't be done now; the message states the reason, which is no error."""


@frozen(kw_only=True)
class Timing:
    """When a daily job is done, by which clock, and until when."""

    daily: Daily
    clock: Clock
    stopping: trio.Event
    look: timedelta = timedelta(minutes=1)
    """How often the clock is read while a job waits, as the clock may be set, or the machine sleep."""
    turn: trio.Lock = field(factory=trio.Lock)
    """Held while a job is done; jobs with the same lock are done one after the other."""


@frozen
class DailyJob:
    """A job that is done once a day."""

    name: str
    """What was not done, in words for the log."""
    timing: Timing
    do: Callable[[], Awaitable[None]]
    last: Callable[[], datetime | None] = lambda: None
    """Returns when the job was last done, if files show that; None if it was never done. Runs on a worker thread."""
    job: Job | None = None
    """The job if one daemon does it for all; None if each daemon does it for itself."""


async def do_daily(job: DailyJob) -> None:
    """Do a job whenever it is due, until the stop. After a failure, log an ERROR, and try again after an hour.

    Whatever fails in the job, the rest of the daemon continues.
    """
    timing, done = job.timing, None
    while True:
        try:
            last = max(filter(None, (done, await trio.to_thread.run_sync(job.last))), default=None)
            if not await _reached(timing.daily.due(last, timing.clock.now()), timing):
                return
            async with timing.turn:
                if timing.stopping.is_set():
                    return
                begun = timing.clock.now()
                await job.do()
                done = begun
            continue
        except NotYetError as later:
            logger.warning(f"{later}; tried again in an hour")
        except (StoreUnavailableError, StoreUnusableError, Error, OSError) as error:
            if timing.stopping.is_set():
                return
            logger.error(f"{job.name}: {error}; tried again in an hour")
        except Exception:  # noqa: BLE001 - a bug in a job that can wait must not stop the calls
            logger.exception(f"{job.name}: unexpected error; tried again in an hour")
        if not await _reached(timing.clock.now() + AGAIN_AFTER, timing):
            return


async def _reached(moment: datetime, timing: Timing) -> bool:
    """Wait for a moment of the clock; return False if the stop comes first."""
    while not timing.stopping.is_set():
        left = (moment - timing.clock.now()).total_seconds()
        if left <= 0:
            return True
        with trio.move_on_after(min(left, timing.look.total_seconds())):
            await timing.stopping.wait()
    return False


def retention(database: Database, timing: Timing, *, days: int, most_bytes: int = SCRUBBED_BYTES) -> DailyJob:
    """Return the job that purges, once a day and at each start, what ended more than `days` ago; 0 for nothing.

    Old sessions and failed log-ins are deleted for any value of `days`.
    Afterward, the file is rewritten if it has at most `most_bytes`, even if only an earlier purge left that undone.
    """

    async def do() -> None:
        if days:
            await purge()
        await database.write(forget_erased)
        await database.write(forget_old_log_ins)
        if isinstance(database.target, SqliteFile) and await database.read(traces_left) is not None:
            await trio.to_thread.run_sync(_scrub, database.target.path, most_bytes)

    async def purge() -> None:
        before = timing.clock.now() - timedelta(days=days)
        purged, calls, place = 0, 0, Place()
        await database.write(lambda connection, _now: connection.refresh_statistics())
        while not timing.stopping.is_set():
            batch = partial(purge_batch, before=before, place=place, actor=ACTOR, cleaned=mask_numbers)
            done = await database.write(batch)
            if done.reached is None:
                break
            purged, calls, place = purged + done.reminders, calls + done.calls, done.reached
        if purged:
            logger.info(f"purged: {purged} reminders of more than {days} days ago")
        if calls:
            logger.info(f"purged: {calls} calls of deleted or moved reminders of more than {days} days ago")

    return DailyJob("the purge failed", timing, do, job=Job.RETENTION)


def change_retention(database: Database, timing: Timing, *, days: int, ways: Sequence[str]) -> DailyJob:
    """Return the job that deletes, once a day and at each start, changes of outcomes of more than `days` ago.

    A change that one of the configured `ways` has not delivered yet is kept; other ways are ignored.
    """

    async def do() -> None:
        if WEBHOOK not in ways:
            waited = await database.write(forget_webhooks)
            if waited:
                logger.warning(f"results: [results].url is not set anymore, and {waited} changes were not sent to it")
        old = partial(delete_old_changes, before=timing.clock.now() - timedelta(days=days), ways=ways)
        while not timing.stopping.is_set() and await database.write(old) > 0:
            pass

    return DailyJob("old changes of outcomes were not deleted", timing, do, job=Job.RETENTION)


def _scrub(path: Path, most_bytes: int) -> None:
    with closing(open_connection(path)) as connection:
        if traces_left(connection) is Traces.FILE and size_of(connection) > most_bytes:
            logger.warning("traces of purged reminders may be left in the file: run reminderd purge at a quiet time")
        elif not scrub(connection):
            raise NotYetError("traces of purged reminders are in the -wal file, as another program reads the database")


@frozen
class FilesOfPatients:
    """Files of ours that may have personal data."""

    key: str
    """The key of the configuration that names their folder."""
    forget: Callable[[datetime], int]
    """Deletes files from before a moment, and returns how many; raises OSError. Runs on a worker thread."""


def old_files(files: FilesOfPatients, timing: Timing, *, days: int) -> DailyJob:
    """Return the job that deletes files of more than `days` ago."""

    async def do() -> None:
        deleted = await trio.to_thread.run_sync(files.forget, timing.clock.now() - timedelta(days=days))
        if deleted:
            logger.info(f"deleted from {files.key}: {deleted} files of more than {days} days ago")

    return DailyJob(f"old files of {files.key} were not deleted", timing, do)


def backups(database: Path, folder: Path, timing: Timing, *, keep: int) -> DailyJob:
    """Return the job that makes a daily backup; the folder shows when the last one was made."""
    # Loaded only if backups are configured.
    from reminderd.store.sqlite.backups import back_up_unless, backups_in, newest_backup  # noqa: PLC0415

    clock = timing.clock

    def last() -> datetime | None:
        newest = newest_backup(folder, database, _id_of(database), clock.now())
        return None if newest is None else newest.made_at

    def is_made() -> bool:
        return timing.daily.due(last(), clock.now()) > clock.now()

    async def do() -> None:
        begun = clock.monotonic()
        back_up_once = partial(
            back_up_unless, is_made, database, folder, clock.now(), keep=keep, stopped=timing.stopping.is_set
        )
        try:
            made = await trio.to_thread.run_sync(back_up_once)
        except CopyError as error:
            raise CopyError(str(error).replace(str(folder), _BACKUP_FOLDER)) from None
        if made is None:
            return
        logger.info(f"backup made: {made.file.name}, {made.size:,} bytes, in {clock.monotonic() - begun:.1f} s")
        if made.mistakes:
            logger.error(f"the database, and so its backup, has {len(made.mistakes)} errors: see reminderd db check")
        for odd in await trio.to_thread.run_sync(lambda: backups_in(folder, database, _id_of(database))):
            if odd.is_of_the_future(clock.now()):
                logger.warning(f"not counted and not deleted: {odd.file.name}, as its date is in the future")

    return DailyJob("no backup was made", timing, do, last)


def _id_of(database: Path) -> str:
    with closing(open_as_it_is(database)) as connection:
        return ensured_database_id(connection)


def daily_jobs(
    config: Config, files: Iterable[FilesOfPatients], *, database: Database, clock: Clock, stopping: trio.Event
) -> list[DailyJob]:
    """Return the daily jobs, which are done one after the other."""
    found, days = [], config.retention.days
    timing = Timing(daily=daily_at(config, config.retention.at), clock=clock, stopping=stopping)
    if config.backup.path is not None and config.database.path is not None:
        of_backups = evolve(timing, daily=daily_at(config, config.backup.at))
        found.append(backups(config.database.path, config.backup.path, of_backups, keep=config.backup.keep))
    found.append(retention(database, timing, days=days))
    found += [old_files(one, timing, days=days) for one in files if days]
    ways = [way for way, is_used in ((WEBHOOK, config.results.url), (FOLDER, config.results.folder)) if is_used]
    found.append(change_retention(database, timing, days=config.retention.changes_days, ways=ways))
    return found
