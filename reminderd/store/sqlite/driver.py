"""Choose the SQLite library, and define our connection, which knows how SQLite begins and ends transactions.

The library comes with pysqlite3 if that is installed, otherwise with Python. Each of the two has its own exceptions and
row types, so all code imports these names from here.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from reminderd.store.errors import StoreUnavailableError, StoreUnusableError

if TYPE_CHECKING:
    import sqlite3 as _library  # noqa: TID251 - only here; its types stand for either library's
else:
    try:
        import pysqlite3 as _library  # noqa: TID251 - only here
    except ImportError:
        import sqlite3 as _library  # noqa: TID251 - only here

T = TypeVar("T")

Connection = _library.Connection
DatabaseError = _library.DatabaseError
Error = _library.Error
IntegrityError = _library.IntegrityError
OperationalError = _library.OperationalError
Row = _library.Row
complete_statement = _library.complete_statement
sqlite_version_info = _library.sqlite_version_info

# Primary result codes, https://www.sqlite.org/rescode.html. NOMEM is not among them: Python makes it a MemoryError.
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
# Numbers that were given out once are not given out again, even if the rows were deleted.
_NEXT_SEQ: Final = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'call_logs'"
_SKIP_SEQ: Final = "INSERT INTO sqlite_sequence (name, seq) VALUES ('call_logs', :seq)"
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
    if isinstance(error, UnicodeDecodeError):  # SQLite quotes the value that caused the error, which was no text
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
    """Return a warning for the admin about this SQLite library; None if there is none."""
    if not wal_reset_bug(version):
        return None
    return (
        f"SQLite {'.'.join(map(str, version))} has the WAL-reset bug: it can, rarely, corrupt a database that two"
        " connections write; 3.51.3 or later has not (https://sqlite.org/wal.html#walresetbug)"
    )


def _primary_code(error: Error) -> int:
    # Errors that the Python layer itself raises have no code; errors of Connection.backup() have SQLite's messages.
    code: int = getattr(error, "sqlite_errorcode", _CODES.get(str(error), 0))
    return code & 0xFF


_BETWEEN_TRIES: Final = 0.002
"""Seconds between two tries to get the lock."""


class SqliteConnection(Connection):
    """A connection of the library, as `reminderd.store.connection` describes it. SQLite locks the whole database."""

    is_optimistic = False
    has_skipped_savepoint = False
    identity = None
    for_update = ""
    skip_locked = ""
    leaves_traces = True
    own_patience: int | None = None
    """How many milliseconds `begin` itself waits for the lock, as SQLite does not; None for SQLite's busy timeout."""

    def begin(self) -> None:
        """Begin a transaction that writes; wait for the lock for at most the connection's busy timeout.

        SQLite itself would soon try only every 100 ms: a program that writes one long transaction after another, with
        short pauses, could keep us waiting until we give up. So we try every 2 ms.
        """
        with not_waiting(self) as patience:
            patiently(partial(self.execute, "BEGIN IMMEDIATE"), patience / 1000)

    def server_time(self) -> None:
        """Return None, as there is no server."""

    def begin_snapshot(self) -> None:
        """Begin a transaction that only reads."""
        self.execute("BEGIN")

    def commit(self) -> None:
        """End the transaction."""
        self.execute("COMMIT")

    def roll_back(self) -> None:
        """End the transaction if it is still open: after a full disk, SQLite may have ended it."""
        if self.in_transaction:
            # Only the original error matters; even after a failed ROLLBACK, SQLite has ended the transaction.
            with suppress(Error):
                self.execute("ROLLBACK")

    def store_error(self, error: BaseException) -> StoreUnavailableError | StoreUnusableError | None:
        """Return our error for an error of the library; see `store_error`."""
        return store_error(error)

    def spoils_all(self, error: BaseException) -> bool:
        """Return whether SQLite itself has failed, and not only this statement.

        BEGIN IMMEDIATE has the lock: afterward, only an unfinished statement of the function itself can lock anything.
        """
        return store_error(error) is not None and not is_locked(error)

    def is_passing(self, _error: BaseException) -> bool:
        """Return False: SQLite has waited as long as it should."""
        return False

    def refresh_statistics(self) -> None:
        """Refresh SQLite's statistics if the tables have grown a lot: with old ones, it may read all of `call_logs`."""
        self.execute("PRAGMA analysis_limit = 400").fetchall()  # with it, SQLite keeps no samples of phone numbers
        self.execute("PRAGMA optimize = 0x10002").fetchall()

    def make_room(self) -> None:
        """Cache the pages that a large transaction touches, and checkpoint them sooner than other connections do.

        With the small default cache, SQLite would write most pages of a chunk several times. By default, the connection
        that commits when there are 1,000 pages checkpoints them: the daemon's would, while a webhook waits.
        """
        self.execute("PRAGMA cache_size = -32768")  # KiB
        self.execute("PRAGMA wal_autocheckpoint = 500")  # pages, 2 MiB

    def relieve(self) -> None:
        """Let SQLite reuse the log from its start, if nobody reads it anymore: it does so only after a commit.

        On a disk that the log itself has filled, no commit would ever succeed.
        """
        with suppress(Error):
            self.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def skip_seq(self) -> int:
        """Return a `seq` that all later calls exceed."""
        seq = int(self.execute(_NEXT_SEQ).fetchone()[0])
        self.execute("DELETE FROM sqlite_sequence WHERE name = 'call_logs'")
        self.execute(_SKIP_SEQ, {"seq": seq})
        return seq

    def touch(self) -> None:
        """Write the header unchanged."""
        version = int(self.execute("PRAGMA user_version").fetchone()[0])
        self.execute(f"PRAGMA user_version = {version}")


def patiently(attempt: Callable[[], T], seconds: float) -> T:
    """Return the result of an attempt; repeat it for `seconds` while another connection holds a lock."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except Error as error:
            if time.monotonic() >= deadline or not is_locked(error):
                raise
        time.sleep(_BETWEEN_TRIES)


@contextmanager
def not_waiting(connection: SqliteConnection) -> Iterator[int]:
    """Have the connection itself wait for no lock in the block; yield how long it would wait, in milliseconds."""
    if connection.own_patience is not None:
        yield connection.own_patience
        return
    patience = wait_ourselves(connection)
    try:
        yield patience
    finally:
        let_sqlite_wait(connection)


def data_version(connection: SqliteConnection) -> int:
    """Return a number that changes whenever another connection has committed something."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def connect(database: Path | str, **settings: Any) -> SqliteConnection:  # noqa: ANN401 - the library's own
    """Open a connection by the library's own settings."""
    opened: SqliteConnection = _library.connect(database, factory=SqliteConnection, **settings)
    return opened


def open_file(file: Path, how: str, **settings: Any) -> SqliteConnection:  # noqa: ANN401 - the library's own
    """Open a file by SQLite's URI parameters, such as `mode=ro`; text that isn't UTF-8 gets replacement characters."""
    connection = connect(f"{file.as_uri()}?{how}", uri=True, isolation_level=None, **settings)
    connection.row_factory = Row
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")  # other programs may write anything
    return connection


def wait_ourselves(connection: SqliteConnection) -> int:
    """Have `begin` alone wait for locks from now on, as changing SQLite's timeout takes as long as a `begin`.

    Return how long it waits, in milliseconds.
    """
    patience = int(connection.execute("PRAGMA busy_timeout").fetchone()[0])
    connection.execute("PRAGMA busy_timeout = 0").fetchall()
    connection.own_patience = patience
    return patience


def let_sqlite_wait(connection: SqliteConnection) -> None:
    """Undo `wait_ourselves`."""
    if connection.own_patience is not None:
        connection.execute(f"PRAGMA busy_timeout = {connection.own_patience}").fetchall()
        connection.own_patience = None


def size_of(connection: SqliteConnection) -> int:
    """Return how many bytes a database has."""
    pages, page_size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages * page_size)
