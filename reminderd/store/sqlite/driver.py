"""The SQLite library, and one transaction on one connection: all or nothing.

The library is the one that comes with pysqlite3 if that is installed, else the standard library's. Each of the two has
its own exceptions and row types, so all code imports these names from here.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeVar

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


T = TypeVar("T")

_BETWEEN_TRIES: Final = 0.005
"""Seconds between two tries to get the lock."""


def transaction(connection: Connection, fn: Callable[[Connection, datetime], T], now: datetime) -> T:
    """Run `fn(connection, now)` between BEGIN IMMEDIATE and COMMIT; any exception undoes everything.

    Raises:
        StoreUnavailableError: The disk is full, another program holds the lock …; nothing was written.
    """
    with translated():
        begin(connection)
        try:
            result = fn(connection, now)
            connection.execute("COMMIT")
        finally:
            roll_back(connection)
        return result


def begin(connection: Connection) -> None:
    """Begin a transaction that writes; wait for the lock for at most the connection's busy timeout."""
    patience = stop_waiting(connection)
    try:
        begin_within(connection, patience)
    finally:
        wait_again(connection, patience)


def begin_within(connection: Connection, patience: int) -> None:
    """Begin a transaction that writes, on a connection that waits for no lock: try every 5 ms, for so many ms.

    SQLite itself would soon try only every 100 ms: a program that writes one long transaction after another, with short
    pauses, could keep us waiting until we give up.
    """
    deadline = time.monotonic() + patience / 1000
    while not _has_begun(connection, last=time.monotonic() >= deadline):
        time.sleep(_BETWEEN_TRIES)


def stop_waiting(connection: Connection) -> int:
    """Have the connection wait for no lock; return its busy timeout until now, in milliseconds."""
    patience = int(connection.execute("PRAGMA busy_timeout").fetchone()[0])
    connection.execute("PRAGMA busy_timeout = 0").fetchall()
    return patience


def wait_again(connection: Connection, patience: int) -> None:
    """Give the connection a busy timeout, in milliseconds."""
    connection.execute(f"PRAGMA busy_timeout = {patience}").fetchall()


def _has_begun(connection: Connection, *, last: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except Error as error:
        if last or not is_locked(error):
            raise
        return False
    return True


def snapshot(connection: Connection, fn: Callable[[Connection], T]) -> T:
    """Run `fn(connection)`, which only reads, so that all its queries see the same state of the database.

    Raises:
        StoreUnavailableError: It can't be read right now.
    """
    with translated():
        connection.execute("BEGIN")
        try:
            return fn(connection)
        finally:
            roll_back(connection)


def data_version(connection: Connection) -> int:
    """Return a number that changes whenever another connection has committed something."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def roll_back(connection: Connection) -> None:
    """End a transaction if one is still open: after a full disk, SQLite may have ended it by itself."""
    if connection.in_transaction:
        # Only the original error matters; even after a failed ROLLBACK, SQLite has ended the transaction.
        with suppress(Error):
            connection.execute("ROLLBACK")
