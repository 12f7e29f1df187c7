"""Make one backup a day, if the configuration has a folder for backups."""

from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import trio
from loguru import logger

from reminderd.clock import Clock
from reminderd.core.schedule.time_zones import Daily
from reminderd.daemon.daily_jobs import DailyJob
from reminderd.store.errors import CopyError
from reminderd.store.sqlite.backups import back_up_unless, backups_in, newest_backup
from reminderd.store.sqlite.opening import identify, open_as_it_is

_FOLDER: Final = "[backup].folder"
"""Shown instead of what is configured there: a secret may have been put in its place."""


def backups(database: Path, folder: Path, *, daily: Daily, keep: int, clock: Clock, stopping: trio.Event) -> DailyJob:
    """Return the job that makes a backup a day; the folder shows when the last one was made."""

    def last() -> datetime | None:
        newest = newest_backup(folder, database, _id_of(database), clock.now())
        return None if newest is None else newest.made_at

    def is_made() -> bool:
        return daily.due(last(), clock.now()) > clock.now()

    async def do() -> None:
        begun = clock.monotonic()
        back_up_once = partial(
            back_up_unless, is_made, database, folder, clock.now(), keep=keep, stopped=stopping.is_set
        )
        try:
            made = await trio.to_thread.run_sync(back_up_once)
        except CopyError as error:
            raise CopyError(str(error).replace(str(folder), _FOLDER)) from None
        if made is None:
            return
        logger.info(f"backup made: {made.file.name}, {made.size:,} bytes, in {clock.monotonic() - begun:.1f} s")
        if made.mistakes:
            logger.error(f"the database, and so its backup, has {len(made.mistakes)} errors: see reminderd db check")
        for odd in await trio.to_thread.run_sync(lambda: backups_in(folder, database, _id_of(database))):
            if odd.is_of_the_future(clock.now()):
                logger.warning(f"not counted and not deleted: {odd.file.name}, as its date is in the future")

    return DailyJob(name="no backup was made", daily=daily, last=last, do=do, clock=clock, stopping=stopping)


def _id_of(database: Path) -> str:
    with closing(open_as_it_is(database)) as connection:
        return identify(connection)
