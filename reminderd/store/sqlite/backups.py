"""Manage the folder of backups: make one more, delete the oldest, and find out how old the newest is."""

import re
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from attrs import frozen

from reminderd.files import locked_folder
from reminderd.store.errors import CopyError
from reminderd.store.sqlite.copying import Copy, copy
from reminderd.store.sqlite.opening import ensured_database_id, open_as_it_is

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_PRIVATE: Final = 0o700

_BETWEEN_TRIES: Final = 0.2
"""Seconds between two looks whether another process is still making a backup."""

_ID_LENGTH: Final = 8
"""How many characters of the database's id are in the names of its backups."""

_CLOCKS_DIFFER: Final = timedelta(days=1)
"""A name further in the future than this was given while a clock was wrong."""


@frozen(kw_only=True)
class Backup:
    """One file in the folder."""

    file: Path
    made_at: datetime
    """According to its name: when files are copied, their own times may change."""

    def is_of_the_future(self, now: datetime) -> bool:
        """Return whether its name is so far in the future that it must be wrong."""
        return self.made_at > now + _CLOCKS_DIFFER


def backups_in(folder: Path, database: Path, database_id: str) -> list[Backup]:
    """Return the backups of this database, oldest first, and ignore other files. Without a folder there are none.

    Another clinic may keep its backups in the same folder, under the same name: the id in the names distinguishes them.

    Raises:
        CopyError: The folder can't be read.
    """
    names = re.compile(re.escape(_family(database, database_id)) + r"(\d{8}T\d{6}Z)\.db", re.ASCII)
    try:
        found = [(names.fullmatch(file.name), file) for file in folder.iterdir()] if folder.exists() else []
        return sorted(
            (Backup(file=file, made_at=_moment(match[1])) for match, file in found if match and _is_ordinary(file)),
            key=lambda backup: backup.made_at,
        )
    except OSError as error:
        raise CopyError(f"{folder}: {error.strerror}") from error
    except ValueError as error:
        raise CopyError(f"{folder}: has a file whose name is not a date: {error}") from error


def newest_backup(folder: Path, database: Path, database_id: str, now: datetime) -> Backup | None:
    """Return the newest backup whose name is plausible; None if there is none.

    Raises:
        CopyError: The folder can't be read.
    """
    believed = [backup for backup in backups_in(folder, database, database_id) if not backup.is_of_the_future(now)]
    return believed[-1] if believed else None


def back_up(
    database: Path, folder: Path, now: datetime, *, keep: int, stopped: Callable[[], bool] = lambda: False
) -> Copy:
    """Make one more backup, then delete the oldest until `keep` are left. A missing folder is created (mode 0700).

    The new backup is never deleted. Backups from the future are neither counted nor deleted.

    Raises:
        CopyError: It was stopped, or can't be made; in that case nothing is deleted.
        StoreUnavailableError: The disk is full, the database is locked ….
        StoreUnusableError: The database is damaged.
    """
    _make(folder)
    with closing(open_as_it_is(database)) as connection:
        database_id = ensured_database_id(connection)
        family = _family(database, database_id)
        target = folder / f"{family}{now.astimezone(UTC):{_STAMP}}.db"
        made = copy(connection, target, replace=True, stopped=stopped, family=family)
    found = backups_in(folder, database, database_id)
    others = [one for one in found if one.file != target and not one.is_of_the_future(now)]
    for old in others[: max(len(others) - (keep - 1), 0)]:
        try:
            old.file.unlink(missing_ok=True)
        except OSError as error:
            raise CopyError(f"{old.file}: can't be deleted: {error.strerror}") from error
    return made


def back_up_unless(
    is_made: Callable[[], bool],
    database: Path,
    folder: Path,
    now: datetime,
    *,
    keep: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Copy | None:
    """Make one more backup, unless another process has made it; wait if it is being made. Return None if we made none.

    Raises:
        CopyError, StoreUnavailableError, StoreUnusableError: see `back_up`.
    """
    _make(folder)
    try:
        while not stopped():
            with locked_folder(folder) as is_alone:
                if is_alone:
                    return None if is_made() else back_up(database, folder, now, keep=keep, stopped=stopped)
            time.sleep(_BETWEEN_TRIES)
    except OSError as error:
        raise CopyError(f"{folder}: {error.strerror}") from error
    return None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
    except FileNotFoundError as error:
        raise CopyError(f"{folder}: there is no folder above it: make the folder, or mount its disk") from error
    except OSError as error:
        raise CopyError(f"{folder}: {error.strerror}") from error


def _family(database: Path, database_id: str) -> str:
    """Return the beginning of the names of this database's backups."""
    return f"{database.stem}-{database_id[:_ID_LENGTH]}-"


def _is_ordinary(file: Path) -> bool:
    """Return whether this is a file, and neither a link nor a folder with the name of one."""
    return file.is_file() and not file.is_symlink()


def _moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
