"""Import files that other programs put into a folder, while the daemon runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.config import Config, expected_of
from reminderd.core.imports import ImportStatus
from reminderd.core.masking import mask_numbers
from reminderd.core.monitoring import missing_file_error
from reminderd.daemon.side_jobs import SideJob
from reminderd.engine.context import Context
from reminderd.imports.folder import ChangedError, Dropped, Folder, Result, import_dropped, reject
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.import_records import missing_file

_LOOK_AT_FILES: Final = timedelta(seconds=2)
_AGAIN_AFTER: Final = timedelta(minutes=1)
"""How long after a failure the folder is read again."""


@frozen(kw_only=True)
class DropFolder:
    """What importing from the folder depends on."""

    folder: Folder
    config: Config
    database: Database
    clock: Clock
    stopping: trio.Event
    look: timedelta = _LOOK_AT_FILES
    again_after: timedelta = _AGAIN_AFTER


async def import_what_is_dropped(drop: DropFolder) -> None:
    """Import each new file until the stop; whatever fails here, the rest of the daemon continues."""
    warned_of: datetime | None = None
    kept_open: list[str] = []
    while not drop.stopping.is_set():
        pause = drop.look
        try:
            async with _alone(drop.folder) as is_alone:
                kept_open = await _take_out(drop, kept_open) if is_alone else kept_open
            warned_of = await _warn_if_missing(drop, warned_of)
        except (StoreUnavailableError, StoreUnusableError, OSError) as error:
            if not drop.stopping.is_set():
                what = error.strerror if isinstance(error, OSError) else error
                logger.error(f"nothing is imported from [import].folder: {what}; tried again in a minute")
            pause = drop.again_after
        with trio.move_on_after(pause.total_seconds()):
            await drop.stopping.wait()


@asynccontextmanager
async def _alone(folder: Folder) -> AsyncIterator[bool]:
    """Lock the folder, and yield whether that succeeded; this runs on worker threads, as the disk may be slow."""
    alone = folder.lock()
    is_alone = await trio.to_thread.run_sync(alone.__enter__)
    try:
        yield is_alone
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(alone.__exit__, None, None, None)


async def _take_out(drop: DropFolder, kept_open: list[str]) -> list[str]:
    """Import all complete files; return the names of the files that a program still has open."""
    whole = await trio.to_thread.run_sync(drop.folder.complete_files, drop.clock.monotonic(), drop.clock.now())
    found = _warn_of_open_files(drop.folder.kept_open, kept_open)
    for dropped in whole:
        await _import(dropped, drop)
    return found


async def _import(dropped: Dropped, drop: DropFolder) -> None:
    """Import one file on a worker thread. A stop ends the import after the current chunk, and waits for that."""
    if drop.stopping.is_set():
        return
    try:
        result = await trio.to_thread.run_sync(import_dropped, dropped, drop.config, drop.clock, drop.stopping.is_set)
    except ChangedError:
        return  # somebody has removed or replaced the file: the next turn sees which
    except (StoreUnavailableError, StoreUnusableError, OSError):
        raise
    except Exception:  # noqa: BLE001 - a bug that one file reveals must not stop the calls or the next file
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


def _warn_of_open_files(names: list[str], before: list[str]) -> list[str]:
    """Log once for each file that a program still has it open; return the names."""
    for name in names:
        if name not in before:
            shown = mask_numbers(name)
            logger.warning(f"{shown} is not imported: a program has had it open for writing for ten minutes; close it")
    return names


async def _warn_if_missing(drop: DropFolder, warned_of: datetime | None) -> datetime | None:
    """Log once that the expected file is missing; return the moment for which that was logged."""
    expected = expected_of(drop.config)
    if expected is None:
        return None
    missing = await drop.database.read(partial(missing_file, expected=expected, now=drop.clock.now()))
    if missing is not None and missing != warned_of:
        logger.error(missing_file_error(missing, drop.config.calling.zone))
    return missing


def imports_of(path: Path, config: Config, context: Context) -> SideJob:
    """Return the job that imports the files in a folder."""
    drop = DropFolder(
        folder=Folder(path), config=config, database=context.database, clock=context.clock, stopping=context.stopping
    )
    return SideJob(partial(import_what_is_dropped, drop))
