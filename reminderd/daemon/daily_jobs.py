"""Do what is done once a day: a backup, the purge, and the deletion of old changes and files."""

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
from reminderd.core.masking import without_numbers
from reminderd.core.schedule.time_zones import Daily
from reminderd.databases import SqliteFile
from reminderd.store.database import Database
from reminderd.store.erased import forget_erased
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.outcome_changes import FOLDER, WEBHOOK, forget_webhooks, trim
from reminderd.store.personal_data import Place, Traces, purge_batch, unscrubbed
from reminderd.store.sqlite.driver import Error, size_of
from reminderd.store.sqlite.opening import open_connection
from reminderd.store.sqlite.upkeep import scrub
from reminderd.store.users import forget_old_log_ins

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
    job: Job | None = None
    """What it does for all daemons on the database; None: each of them does it for itself."""
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

    What is left of old sessions and failed log-ins is deleted whatever `days` is.
    The file is written anew after it, if it has `most_bytes` at most; also if that was left undone before.
    """

    async def do() -> None:
        if days:
            await purge()
        await database.write(forget_erased)
        await database.write(forget_old_log_ins)
        if isinstance(database.target, SqliteFile) and await database.read(unscrubbed) is not None:
            await trio.to_thread.run_sync(_scrub, database.target.path, most_bytes)

    async def purge() -> None:
        before = clock.now() - timedelta(days=days)
        purged, calls, place = 0, 0, Place()
        await database.write(lambda connection, _now: connection.refresh_statistics())
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

    return DailyJob(
        name="the purge failed",
        daily=daily,
        last=lambda: None,
        do=do,
        clock=clock,
        stopping=stopping,
        job=Job.RETENTION,
    )


def change_retention(
    database: Database, *, daily: Daily, days: int, ways: Sequence[str], clock: Clock, stopping: trio.Event
) -> DailyJob:
    """Return the job that deletes, once a day and at each start, changes of outcomes of more than `days` ago.

    What was not delivered yet in one of the ways out that are configured is kept; what waits for another is forgotten.
    """

    async def do() -> None:
        if WEBHOOK not in ways:
            waited = await database.write(forget_webhooks)
            if waited:
                logger.warning(f"results: [results].url is not set anymore, and {waited} changes were not sent to it")
        old = partial(trim, before=clock.now() - timedelta(days=days), ways=ways)
        while not stopping.is_set() and await database.write(old) > 0:
            pass

    return DailyJob(
        name="old changes of outcomes were not deleted",
        daily=daily,
        last=lambda: None,
        do=do,
        clock=clock,
        stopping=stopping,
        job=Job.RETENTION,
    )


def _scrub(path: Path, most_bytes: int) -> None:
    with closing(open_connection(path)) as connection:
        if unscrubbed(connection) is Traces.FILE and size_of(connection) > most_bytes:
            logger.warning("traces of purged reminders may be left in the file: run reminderd purge at a quiet time")
        elif not scrub(connection):
            raise NotYetError("traces of purged reminders are in the -wal file, as another program reads the database")


@frozen
class FilesOfPatients:
    """Files of ours that may have personal data."""

    key: str
    """The key of the configuration that names their folder."""
    forget: Callable[[datetime], int]
    """Deletes those from before a moment, and returns how many; raises OSError. Runs on a worker thread."""


def old_files(files: FilesOfPatients, *, daily: Daily, days: int, clock: Clock, stopping: trio.Event) -> DailyJob:
    """Return the job that deletes files of more than `days` ago."""

    async def do() -> None:
        deleted = await trio.to_thread.run_sync(files.forget, clock.now() - timedelta(days=days))
        if deleted:
            logger.info(f"deleted from {files.key}: {deleted} files of more than {days} days ago")

    name = f"old files of {files.key} were not deleted"
    return DailyJob(name=name, daily=daily, last=lambda: None, do=do, clock=clock, stopping=stopping)


def daily_jobs(
    config: Config, files: Iterable[FilesOfPatients], *, database: Database, clock: Clock, stopping: trio.Event
) -> list[DailyJob]:
    """Return what is done once a day, one thing after the other."""
    found = []
    if config.backup.path is not None and config.database.path is not None:
        from reminderd.daemon.backing_up import backups  # noqa: PLC0415 - loaded only if backups are configured

        backup = partial(backups, config.database.path, config.backup.path, keep=config.backup.keep)
        found.append(backup(daily=daily_at(config, config.backup.at), clock=clock, stopping=stopping))
    daily = daily_at(config, config.retention.at)
    days = config.retention.days
    found.append(retention(database, daily=daily, days=days, clock=clock, stopping=stopping))
    of_files = partial(old_files, daily=daily, days=days, clock=clock, stopping=stopping)
    found += map(of_files, files if days else ())
    days = config.retention.changes_days
    ways = [way for way, is_used in ((WEBHOOK, config.results.url), (FOLDER, config.results.folder)) if is_used]
    found.append(change_retention(database, daily=daily, days=days, ways=ways, clock=clock, stopping=stopping))
    turn = trio.Lock()
    return [evolve(job, turn=turn) for job in found]
