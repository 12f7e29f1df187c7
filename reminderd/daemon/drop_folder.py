"""Import the files that are dropped into the folder, while the daemon goes on; say so if none comes in time."""

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.config import Config, expected_of
from reminderd.core.imports import ImportStatus, missing_words
from reminderd.core.schedule.time_zones import Daily
from reminderd.daemon.side_jobs import DailyJob
from reminderd.imports.folder import Dropped, Folder, Result, forget, import_dropped, reject
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.imports import missing_file

_LOOK: Final = timedelta(seconds=2)
_AGAIN_AFTER: Final = timedelta(minutes=1)
"""How long after a failure the folder is looked at again."""


@frozen(kw_only=True)
class DropFolder:
    """What importing from the folder needs."""

    folder: Folder
    config: Config
    database: Database
    clock: Clock
    stopping: trio.Event
    look: timedelta = _LOOK
    again_after: timedelta = _AGAIN_AFTER


async def import_what_is_dropped(drop: DropFolder) -> None:
    """Import whatever comes, until the stop; whatever fails in it, the rest of the daemon goes on."""
    warned_of: datetime | None = None
    while not drop.stopping.is_set():
        pause = drop.look
        try:
            whole = await trio.to_thread.run_sync(drop.folder.whole, drop.clock.monotonic(), drop.clock.now())
            for dropped in whole:
                await _import(dropped, drop)
            warned_of = await _warn_if_missing(drop, warned_of)
        except (StoreUnavailableError, StoreUnusableError, OSError) as error:
            if not drop.stopping.is_set():
                what = error.strerror if isinstance(error, OSError) else error
                logger.error(f"nothing is imported from [import].folder: {what}; tried again in a minute")
            pause = drop.again_after
        with trio.move_on_after(pause.total_seconds()):
            await drop.stopping.wait()


async def _import(dropped: Dropped, drop: DropFolder) -> None:
    """Import one file on a worker thread, which a stop waits for: it ends with the chunk under way."""
    if drop.stopping.is_set():
        return
    try:
        result = await trio.to_thread.run_sync(import_dropped, dropped, drop.config, drop.clock, drop.stopping.is_set)
    except FileNotFoundError:
        return  # somebody has taken it away again
    except (StoreUnavailableError, StoreUnusableError, OSError):
        raise
    except Exception:  # noqa: BLE001 - a bug that one file brings to light must not stop the calls, nor the next file
        logger.exception("a file from [import].folder could not be imported: unexpected error; moved to rejected/")
        why = "unexpected error of reminderd: its log has the details"
        await trio.to_thread.run_sync(reject, dropped, [why])
        return
    _log(result)


def _log(result: Result) -> None:
    if result.status is ImportStatus.REFUSED:
        logger.error(result.text)
    elif result.rejected or result.status is not ImportStatus.DONE:
        logger.warning(result.text)
    else:
        logger.info(result.text)


async def _warn_if_missing(drop: DropFolder, warned_of: datetime | None) -> datetime | None:
    """Log once that the file that is expected has not come; return for which moment that was logged."""
    expected = expected_of(drop.config)
    if expected is None:
        return None
    missing = await drop.database.read(partial(missing_file, expected=expected, now=drop.clock.now()))
    if missing is not None and missing != warned_of:
        logger.error(missing_words(missing, drop.config.calling.zone))
    return missing


def old_files(folder: Path, *, daily: Daily, days: int, clock: Clock, stopping: trio.Event) -> DailyJob:
    """Return the job that deletes files which were imported or rejected more than `days` ago."""

    async def do() -> None:
        deleted = await trio.to_thread.run_sync(forget, folder, clock.now() - timedelta(days=days))
        if deleted:
            logger.info(f"deleted from [import].folder: {deleted} files of more than {days} days ago")

    name = "old files of [import].folder were not deleted"
    return DailyJob(name=name, daily=daily, last=lambda: None, do=do, clock=clock, stopping=stopping)
