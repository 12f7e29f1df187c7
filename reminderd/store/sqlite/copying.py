"""Copy a database while others write to it: all or nothing, and checked before it counts."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from attrs import frozen

from reminderd.store.errors import CopyError, StoreUnavailableError, StoreUnusableError
from reminderd.store.queries import broken_promises
from reminderd.store.sqlite.driver import Connection, Error, Row, connect, translated
from reminderd.store.sqlite.integrity import check, damage
from reminderd.store.sqlite.migrate import migrations, schema_version

SPARE_BYTES: Final = 64 * 1024 * 1024
"""How many bytes a copy leaves free on its disk, which may also be the database's disk."""

_UNFINISHED: Final = ".reminderd-partial"
"""The ending of the names of files that are being written."""

_READ_ONLY: Final = "{}?mode=ro&immutable=1"

_GIVEN_UP: Final = "{}: given up, as the program stops"

_LOOK_STEPS: Final = 10_000
"""How many steps of SQLite's virtual machine there are between two checks whether to stop: a few milliseconds."""

_FORGOTTEN_SECONDS: Final = 86_400
"""An unfinished copy that is this old was left by a killed process."""


@frozen(kw_only=True)
class Copy:
    """A finished copy."""

    file: Path
    size: int
    """In bytes."""
    mistakes: list[str]
    """What `db check` reports about it, and so about the original: a sentence each. The file itself is sound."""


def copy(
    source: Connection,
    target: Path,
    *,
    replace: bool = False,
    stopped: Callable[[], bool] = lambda: False,
    spare: int = SPARE_BYTES,
) -> Copy:
    """Write everything that is committed to one new file, mode 0600, without blocking other writers.

    It is one reading transaction, `VACUUM INTO`: what was deleted is not in the copy. The file is written under a
    temporary name, read completely, forced to the disk, and only then renamed to `target`.

    Args:
        source: an open connection without a transaction.
        target: the copy's name.
        replace: whether a file of that name may be replaced.
        stopped: called now and then; once it returns true, the copy is abandoned.
        spare: bytes that must be left free on its disk.

    Raises:
        CopyError: It was abandoned, can't be written there, or isn't sound; no file is left.
        StoreUnavailableError: The disk is full, the database is locked ….
        StoreUnusableError: The database is damaged.
    """
    try:
        _refuse(source, target, replace=replace)
        _find_room(source, target, spare)
        with scratch(target) as file:
            with _interruptible(source, stopped), translated():
                source.execute("VACUUM INTO ?", (str(file),))
            with reading(file) as copied, _interruptible(copied, stopped):
                mistakes = mistakes_in(copied, file=target)
            if stopped():
                raise CopyError(_GIVEN_UP.format(target))
            force_to_disk(file)
            _refuse(source, target, replace=replace)
            size = file.stat().st_size
            file.replace(target)
            force_to_disk(target.parent)
    except OSError as error:
        raise CopyError(f"{target}: {error.strerror}") from error
    except Error as error:
        if not stopped():
            raise
        raise CopyError(_GIVEN_UP.format(target)) from error
    return Copy(file=target, size=size, mistakes=mistakes)


@contextmanager
def reading(file: Path) -> Iterator[Connection]:
    """Open a finished copy for reading only; no file next to it is read or created.

    Raises:
        CopyError: It is not a copy of a database of ours, it is from a newer reminderd, or it is not closed.
    """
    found = _no_copy(file)
    if found is not None:
        raise CopyError(f"{file}: {found}")
    with closing(connect(_READ_ONLY.format(file.resolve().as_uri()), uri=True, isolation_level=None)) as connection:
        connection.row_factory = Row
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        try:
            with translated():
                version = schema_version(connection, newest=migrations()[-1].number)
        except (StoreUnusableError, StoreUnavailableError) as error:
            raise CopyError(f"{file}: {error}") from error
        if version == 0:
            raise CopyError(f"{file}: is empty")
        yield connection


def _no_copy(file: Path) -> str | None:
    """Return why this can't be a finished copy, judging only by its name; None: it may be one."""
    if not file.is_file():
        return "there is no such file"
    if not os.access(file, os.R_OK):
        return "no permission to read it"
    beside = [file.name + ending for ending in ("-wal", "-journal") if file.with_name(file.name + ending).exists()]
    return f"{beside[0]} is next to it, so it may be in use; expected a closed copy" if beside else None


def mistakes_in(copied: Connection, *, file: Path) -> list[str]:
    """Return what `db check` would report about a copy, apart from damage; `file` is its name in an error.

    Raises:
        CopyError: The file is damaged.
    """
    broken = damage(copied)
    if broken:
        raise CopyError(f"{file}: the copy is damaged: {broken[0]}")
    return check(copied) or broken_promises(copied)


@contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """Create an empty file, mode 0600, in the folder of `target`, to become it; it is removed at the end."""
    file = target.parent / f".{target.name}.{os.getpid()}{_UNFINISHED}"
    file.unlink(missing_ok=True)
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    for other in target.parent.glob(f".*{_UNFINISHED}*"):
        with suppress(FileNotFoundError):  # its own process was faster
            if file.stat().st_mtime - other.stat().st_mtime > _FORGOTTEN_SECONDS:
                other.unlink()
    try:
        yield file
    finally:
        for ending in ("", "-journal", "-wal", "-shm"):
            file.with_name(file.name + ending).unlink(missing_ok=True)


def _refuse(source: Connection, target: Path, *, replace: bool) -> None:
    if not target.parent.is_dir():
        raise CopyError(f"{target}: there is no folder {target.parent}")
    if target.is_dir():
        raise CopyError(f"{target}: is a folder; expected the name of a file")
    own = source.execute("PRAGMA database_list").fetchone()[2]
    if target.resolve() in {Path(own + ending) for ending in ("", "-wal", "-shm", "-journal")}:
        raise CopyError(f"{target}: is the database itself")
    if target.exists() and not replace:
        raise CopyError(f"{target}: exists; --force replaces it")


def _find_room(source: Connection, target: Path, spare: int) -> None:
    pages, page_size = (source.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    needed, free = pages * page_size + spare, shutil.disk_usage(target.parent).free
    if free < needed:
        raise CopyError(f"{target}: {needed >> 20} MiB are needed there, {free >> 20} MiB are free")


@contextmanager
def _interruptible(connection: Connection, stopped: Callable[[], bool]) -> Iterator[None]:
    connection.set_progress_handler(stopped, _LOOK_STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


def force_to_disk(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, would survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
