"""Which SQLite library: the one that pysqlite3 brings along where it is installed, else the standard library's.

The two have exceptions and row types of their own, so everybody takes these names from here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from reminderd.store.errors import StoreUnavailableError, StoreUnusableError

if TYPE_CHECKING:
    import sqlite3 as _library  # noqa: TID251 - the one place; its types stand for either library's
else:
    try:
        import pysqlite3 as _library  # noqa: TID251 - the one place
    except ImportError:
        import sqlite3 as _library  # noqa: TID251 - the one place

Connection = _library.Connection
DatabaseError = _library.DatabaseError
Error = _library.Error
IntegrityError = _library.IntegrityError
OperationalError = _library.OperationalError
Row = _library.Row
complete_statement = _library.complete_statement
connect = _library.connect
sqlite_version_info = _library.sqlite_version_info

# Primary result codes, https://www.sqlite.org/rescode.html. There is none for NOMEM: Python makes it a MemoryError.
_BUSY: Final = 5
_LOCKED: Final = 6
_UNAVAILABLE: Final = {
    3: "the database can't be used: permission denied",
    _BUSY: "the database is locked by another program",
    _LOCKED: "the database is locked by another connection",
    8: "the database can't be written: it is read-only",
    10: "the disk failed to read or write",
    13: "the disk is full",
    14: "the database file can't be opened",
    15: "the database is locked by another program",
}
_UNUSABLE: Final = {11: "the database is damaged", 26: "not a SQLite database"}


def is_locked(error: BaseException) -> bool:
    """Whether SQLite says that somebody else is at work and a later try may do."""
    return isinstance(error, Error) and _primary_code(error) in {_BUSY, _LOCKED}


def trouble(error: BaseException) -> StoreUnavailableError | StoreUnusableError | None:
    """What an error of the library means to us, or None if it is a bug or a broken constraint."""
    if isinstance(error, UnicodeDecodeError):  # SQLite quotes what it stumbles over, and that was no text
        return StoreUnusableError("the database is damaged")
    if not isinstance(error, Error):
        return None
    code = _primary_code(error)
    if code in _UNAVAILABLE:
        return StoreUnavailableError(f"{_UNAVAILABLE[code]} ({error})")
    if code in _UNUSABLE:
        return StoreUnusableError(f"{_UNUSABLE[code]} ({error})")
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Turn the library's errors into ours; those that are bugs or broken constraints pass.

    Raises:
        StoreUnavailableError: Nothing was written; the same may be tried again later.
        StoreUnusableError: The file is damaged or no database.
    """
    try:
        yield
    except (Error, UnicodeDecodeError) as error:
        ours = trouble(error)
        if ours is None:
            raise
        raise ours from error


def wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Whether this SQLite can corrupt a WAL database that two connections use: https://sqlite.org/wal.html#walresetbug."""
    repaired = (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51)
    return (3, 7) <= version < (3, 51, 3) and not repaired


def sqlite_warning(version: tuple[int, ...] = sqlite_version_info) -> str | None:
    """What the admin should know about this SQLite library; None: nothing."""
    if not wal_reset_bug(version):
        return None
    return (
        f"SQLite {'.'.join(map(str, version))} has the WAL-reset bug: it can, rarely, corrupt a database that two"
        " connections write; 3.51.3 or later has not (https://sqlite.org/wal.html#walresetbug)"
    )


def _primary_code(error: Error) -> int:
    # Errors that the Python layer raises by itself carry no code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
