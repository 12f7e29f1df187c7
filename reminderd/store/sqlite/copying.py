"""Copy a database while others write to it: all or nothing, and checked before it counts."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from attrs import frozen

from reminderd.files import check_target, companions, first_bytes, put_in_place, temporary_file
from reminderd.store.errors import CopyError, StoreUnavailableError, StoreUnusableError
from reminderd.store.examination import broken_promises
from reminderd.store.shared_state import database_id
from reminderd.store.sqlite.driver import Error, SqliteConnection, open_file, size_of, translated
from reminderd.store.sqlite.integrity import damage_in, integrity_errors
from reminderd.store.sqlite.migrate import APPLICATION_ID, migrations, schema_version

T = TypeVar("T")

SPARE_BYTES: Final = 64 * 1024 * 1024
"""How many bytes a copy leaves free on its disk, which may also be the database's disk."""

_GIVEN_UP: Final = "{}: given up, as the program stops"

_LOOK_STEPS: Final = 10_000
"""The steps of SQLite's virtual machine between two checks whether to stop: a few milliseconds."""

_NO_FILES: Final[Mapping[Path, str]] = {}

# https://www.sqlite.org/fileformat.html#the_database_header. A copy is not in WAL mode, as every database in use is.
_HEADER_BYTES: Final = 72
_MAGIC: Final = b"SQLite format 3\x00"
_NOT_WAL: Final = b"\x01\x01"


@frozen(kw_only=True)
class Copy:
    """A finished copy."""

    file: Path
    size: int
    """In bytes."""
    mistakes: list[str]
    """What `db check` reports about it, and so about the original, a sentence each. The file itself is sound."""


def copy(
    source: SqliteConnection,
    target: Path,
    *,
    replace: bool = False,
    stopped: Callable[[], bool] = lambda: False,
    spare: int = SPARE_BYTES,
    never: Mapping[Path, str] = _NO_FILES,
    family: str | None = None,
) -> Copy:
    """Write everything that is committed to one new file, mode 0600, without blocking other writers.

    It is one reading transaction, `VACUUM INTO`: what was deleted is not in the copy. The file is written under a
    temporary name, read completely, forced to the disk, and only then renamed to `target`.

    Args:
        source: an open connection without a transaction.
        target: the copy's name.
        replace: whether an earlier copy of this database may be replaced; nothing else ever is.
        stopped: called now and then; once it returns true, the copy is abandoned.
        spare: bytes that must be left free on its disk.
        never: files in use that no copy may replace, each with a description.
        family: the beginning of the names of copies whose unfinished remains are deleted; None for this copy's name.

    Raises:
        CopyError: It was abandoned, can't be written there, or isn't sound; no file is left.
        StoreUnavailableError: The disk is full, the database is locked ….
        StoreUnusableError: The database is damaged.
    """
    try:
        refuse = partial(_refuse, source, target, replace=replace, never=never)
        refuse()
        check_free_space(target, size_of(source) + spare)
        with temporary_file(target, family=family) as file:
            with _interruptible(source, stopped), translated():
                source.execute("VACUUM INTO ?", (str(file),))
            with open_copy(file) as copied, _interruptible(copied, stopped):
                mistakes = mistakes_in(copied, file=target)
            if stopped():
                raise CopyError(_GIVEN_UP.format(target))
            refuse()
            size = file.stat().st_size
            put_in_place(file, target)
    except OSError as error:
        raise CopyError(f"{target}: {error.strerror}") from error
    except Error as error:
        if not stopped():
            raise
        raise CopyError(_GIVEN_UP.format(target)) from error
    return Copy(file=target, size=size, mistakes=mistakes)


@contextmanager
def open_copy(file: Path) -> Iterator[SqliteConnection]:
    """Open a finished copy for reading only; no file next to it is read or created.

    Raises:
        CopyError: It is not a copy of a database of ours, it is from a newer reminderd, or it is not closed.
    """
    found = _no_copy(file)
    if found is not None:
        raise CopyError(f"{file}: {found}")
    with closing(open_file(file.resolve(), "mode=ro&immutable=1")) as connection:
        try:
            with translated():
                version = schema_version(connection, newest=migrations()[-1].number)
        except (StoreUnusableError, StoreUnavailableError) as error:
            raise CopyError(f"{file}: {error}") from error
        if version == 0:
            raise CopyError(f"{file}: is empty")
        yield connection


def _no_copy(file: Path) -> str | None:
    """Return why this can't be a finished copy, judging only by its name; None if it may be one."""
    if not file.is_file():
        return "there is no such file"
    if not os.access(file, os.R_OK):
        return "no permission to read it"
    neighbors = [file.name + ending for ending in ("-wal", "-journal") if file.with_name(file.name + ending).exists()]
    return f"{neighbors[0]} is next to it, so it may be in use; expected a closed copy" if neighbors else None


def mistakes_in(copied: SqliteConnection, *, file: Path) -> list[str]:
    """Return what `db check` would report about a copy, apart from damage; `file` is its name in an error.

    Raises:
        CopyError: The file is damaged.
    """
    broken = damage_in(copied)
    if broken:
        raise CopyError(f"{file}: the copy is damaged: {broken[0]}")
    return integrity_errors(copied) or broken_promises(copied)


def _refuse(source: SqliteConnection, target: Path, *, replace: bool, never: Mapping[Path, str]) -> None:
    own = Path(source.execute("PRAGMA database_list").fetchone()[2])
    is_there = check_target(
        target,
        ours=partial(_is_copy, own_id=id_in(source)),
        what="an earlier backup of this database",
        never={**never, **companions(own, "the database itself")},
    )
    if is_there and not replace:
        raise CopyError(f"{target}: exists; --force replaces it")


def _is_copy(file: Path, *, own_id: str | None) -> bool:
    """Return whether a file is a finished copy of the database with this id."""
    header = first_bytes(file, _HEADER_BYTES)
    if (header[:16], header[18:20], header[68:72]) != (_MAGIC, _NOT_WAL, APPLICATION_ID.to_bytes(4)):
        return False
    try:
        with open_copy(file) as copied:
            return own_id is not None and id_in(copied) == own_id
    except CopyError:
        return False


def id_in(connection: SqliteConnection) -> str | None:
    """Return the id of a database or a copy; None if it has none, or is too damaged to be read."""
    return if_readable(database_id, connection)


def if_readable(read: Callable[[SqliteConnection], T | None], connection: SqliteConnection) -> T | None:
    """Return what a function reads; None if the database is too damaged for it, or its schema is too old."""
    try:
        return read(connection)
    except Error:
        return None


def check_free_space(target: Path, needed: int) -> None:
    """Raise an error if the disk of `target` has fewer free bytes than `needed`.

    Raises:
        CopyError: There is not enough room.
    """
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise CopyError(
            f"{target}: not enough room: {needed / 2**20:.1f} MiB are needed there, {free / 2**20:.1f} MiB are free"
        )


@contextmanager
def _interruptible(connection: SqliteConnection, stopped: Callable[[], bool]) -> Iterator[None]:
    connection.set_progress_handler(stopped, _LOOK_STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)
