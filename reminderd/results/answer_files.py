"""Write the changes of outcomes into files that practice software reads back: each change into exactly one.

A file is planned in the database, written under another name, renamed, and then noted as written. After a kill in
between, the same file is written again, or found. Its name carries the first and the last number of its changes.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import Final

import trio
from attrs import evolve, frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.files import open_no_link, put_in_place, temporary_file
from reminderd.results.forms import Form
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.import_records import headers_of
from reminderd.store.outcome_changes import (
    NamedChange,
    PlannedFile,
    named_changes_between,
    next_file,
    note_file,
    plan_file,
)

MOST_IN_A_FILE: Final = 5_000
_BEGINNING: Final = "answers-"
_OURS: Final = re.compile(_BEGINNING + r"\d{8,}-\d{8,}-[0-9a-f]{8}\.\w+")
"""The names of our files."""
_AT_ONCE: Final = 200
"""The most changes that one transaction reads."""
_LOOK: Final = 30.0
"""Seconds after which the clock is read again."""
_UNTIL_IT_WORKS: Final = "make the folder, and let the daemon write to it; it is tried again until it works"
_MODE: Final = 0o640
"""The group of the folder may read the files."""


@frozen(kw_only=True)
class Files:
    """Where files are written, how, and when."""

    folder: Path
    form: Form
    profile: str
    """The import profile whose columns a table has; empty for none."""
    due: Callable[[datetime | None, datetime], datetime]
    """Takes the time of the last file, and the present time; returns when the next file is due."""
    database: Database
    clock: Clock
    stopping: trio.Event


async def keep_writing(files: Files) -> None:
    """Write a file whenever one is due and something has changed, until the stop."""
    has_failed = False
    while not files.stopping.is_set():
        try:
            await _write_what_is_due(files)
            has_failed = False
        except (OSError, StoreUnavailableError) as error:
            if not has_failed:  # not again for the tries that follow
                what = "results: no file could be written to [results].folder"
                logger.error(f"{what}: {_reason(error)}; {_UNTIL_IT_WORKS}")
            has_failed = True
        with trio.move_on_after(_LOOK):
            await files.stopping.wait()


async def _write_what_is_due(files: Files) -> None:
    now = files.clock.now()
    planned = await files.database.read(next_file)
    if planned.is_begun:
        await _write(files, planned)
    elif files.due(_not_ahead(planned.written_at, now), now) <= now:
        while not files.stopping.is_set():
            planned = await files.database.write(partial(plan_file, most=MOST_IN_A_FILE))
            if planned.lost is not None:
                logger.warning(
                    f"results: all changes that are kept are written again: {planned.lost.partition(';')[0]}"
                )
            if not planned.is_begun:
                break
            await _write(files, planned)


def _not_ahead(moment: datetime | None, now: datetime) -> datetime | None:
    """Return when a file was last written; None if never, or while the clock was ahead."""
    return None if moment is None or moment > now + timedelta(days=1) else moment


async def _write(files: Files, planned: PlannedFile) -> None:
    """Write a planned file, unless it already exists, and note that it is written."""
    answers: list[NamedChange] = []
    after, until = planned.after, planned.until
    while after < until.seq:
        some = await files.database.read(partial(named_changes_between, after=after, until=until.seq, limit=_AT_ONCE))
        if not some:
            break
        answers += some
        after = some[-1].change.seq
    answers = files.form.about(answers)
    if answers:
        name = f"{_BEGINNING}{planned.after + 1:08d}-{until.seq:08d}-{until.event_id[:8]}{files.form.ending}"
        target = files.folder / name
        headers = await files.database.read(partial(headers_of, profile=files.profile)) if files.profile else {}
        form = evolve(files.form, columns=headers or files.form.columns)
        content = form.written(answers)
        if await trio.to_thread.run_sync(_put, target, content):
            # its name would be taken for a phone number, and masked
            logger.info(f"results: file written; changes in it: {len(answers)}")
    await files.database.write(partial(note_file, written=until))


def _put(target: Path, content: bytes) -> bool:
    """Write a file whole or not at all; return False if it already existed, from before a kill."""
    if target.exists():
        return False
    with temporary_file(target, mode=_MODE, family=_BEGINNING) as file:
        with open(file, "wb", opener=open_no_link) as opened:
            opened.write(content)
        put_in_place(file, target)
    return True


def forget_answers(folder: Path, before: datetime) -> int:
    """Delete the files that were written into a folder before a moment; return how many.

    Raises:
        OSError: A file can't be deleted, or there is no such folder.
    """
    deleted = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # the other program has taken it away, or another daemon was faster
            status = path.lstat()
            if _OURS.fullmatch(path.name) and S_ISREG(status.st_mode) and status.st_mtime < before.timestamp():
                path.unlink()
                deleted += 1
    return deleted


def _reason(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)


def due_every(minutes: int) -> Callable[[datetime | None, datetime], datetime]:
    """Return a function that makes a file due this many minutes after the last file."""

    def due(last: datetime | None, now: datetime) -> datetime:
        return now if last is None or last > now else last + timedelta(minutes=minutes)

    return due
