"""The folder of backups: one more, the oldest of too many away, and how old the newest is."""

import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from attrs import frozen

from reminderd.store.copying import Copy, copy
from reminderd.store.errors import CopyError
from reminderd.store.opening import open_as_it_is

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_PRIVATE: Final = 0o700


@frozen(kw_only=True)
class Backup:
    """One file of the folder."""

    file: Path
    made_at: datetime
    """By its name: files are copied about, and their own times with them, or not."""


def backups_in(folder: Path, database: Path) -> list[Backup]:
    """The backups of this database, oldest first; other files are passed over. No folder: none.

    Raises:
        CopyError: The folder can't be read.
    """
    names = re.compile(re.escape(database.stem) + r"-(\d{8}T\d{6}Z)\.db", re.ASCII)
    try:
        found = [(names.fullmatch(file.name), file) for file in folder.iterdir()] if folder.exists() else []
        return sorted(
            (Backup(file=file, made_at=_moment(match[1])) for match, file in found if match is not None),
            key=lambda backup: backup.made_at,
        )
    except OSError as error:
        raise CopyError(f"{folder}: {error.strerror}") from error
    except ValueError as error:
        raise CopyError(f"{folder}: has a file whose name is no date: {error}") from error


def backup_age(folder: Path, database: Path, now: datetime) -> timedelta | None:
    """How old the newest backup is; None: there is none.

    Raises:
        CopyError: The folder can't be read.
    """
    backups = backups_in(folder, database)
    return now - backups[-1].made_at if backups else None


def back_up(
    database: Path, folder: Path, now: datetime, *, keep: int, stopped: Callable[[], bool] = lambda: False
) -> Copy:
    """Make one more backup in the folder, made (mode 0700) if need be, then delete the oldest until `keep` are left.

    Raises:
        CopyError: It was stopped, or can't be made; nothing is deleted then.
        StoreUnavailableError: The disk is full, the database is locked ….
        StoreUnusableError: The database is damaged.
    """
    try:
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
    except OSError as error:
        raise CopyError(f"{folder}: {error.strerror}") from error
    with closing(open_as_it_is(database)) as connection:
        target = folder / f"{database.stem}-{now.astimezone(UTC):{_STAMP}}.db"
        made = copy(connection, target, replace=True, stopped=stopped)
    for old in backups_in(folder, database)[:-keep]:
        try:
            old.file.unlink(missing_ok=True)
        except OSError as error:
            raise CopyError(f"{old.file}: can't be deleted: {error.strerror}") from error
    return made


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
