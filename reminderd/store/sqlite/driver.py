"""The SQLite library: the one that comes with pysqlite3 if that is installed, else the standard library's.

Each of the two has its own exceptions and row types, so all code imports these names from here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from reminderd.store.errors import StoreUnavailableError, StoreUnusableError

if TYPE_CHECKING:
    import sqlite3 as _library  # noqa: TID251 - only here; its types stand for either library's
else:
    try:
        import pysqlite3 as _library  # noqa: TID251 - only here
    except ImportError:
        import sqlite3 as _library  # noqa: TID251 - only here

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

# sqlite3_errstr() of the codes above.
_CODES: Final = {
    "access permission denied": 3,
    "database is locked": _BUSY,
    "database table is locked": _LOCKED,
    "attempt to write a readonly database": 8,
    "disk I/O error": 10,
    "database disk image is malformed": 11,
    "database or disk is full": 13,
    "unable to open database file": 14,
    "locking protocol": 15,
    "file is not a database": 26,
}


def is_locked(error: BaseException) -> bool:
    """Return whether SQLite reports that another connection holds a lock, so that a later try may succeed."""
    return isinstance(error, Error) and _primary_code(error) in {_BUSY, _LOCKED}


def store_error(error: BaseException) -> StoreUnavailableError | StoreUnusableError | None:
    """Return our error for an error of the library, or None if it is a bug or a broken constraint."""
    if isinstance(error, UnicodeDecodeError):  # SQLite quotes the value that caused the error, and that was no text
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
    """Turn the library's errors into ours; bugs and broken constraints are raised unchanged.

    Raises:
        StoreUnavailableError: Nothing was written; the caller may try again later.
        StoreUnusableError: The file is damaged or not a database.
    """
    try:
        yield
    except (Error, UnicodeDecodeError) as error:
        ours = store_error(error)
        if ours is None:
            raise
        raise ours from error


def wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Return whether this SQLite has the bug that corrupts WAL databases: https://sqlite.org/wal.html#walresetbug."""
    repaired = (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51)
    return (3, 7) <= version < (3, 51, 3) and not repaired


def sqlite_warning(version: tuple[int, ...] = sqlite_version_info) -> str | None:
    """Return a warning for the admin about this SQLite library; None: there is none."""
    if not wal_reset_bug(version):
        return None
    return (
        f"SQLite {'.'.join(map(str, version))} has the WAL-reset bug: it can, rarely, corrupt a database that two"
        " connections write; 3.51.3 or later has not (https://sqlite.org/wal.html#walresetbug)"
    )


def _primary_code(error: Error) -> int:
    # Errors that the Python layer raises by itself carry no code; those of Connection.backup() have SQLite's own words.
    code: int = getattr(error, "sqlite_errorcode", _CODES.get(str(error), 0))
    return code & 0xFF
