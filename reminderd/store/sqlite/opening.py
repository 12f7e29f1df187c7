"""Open connections to a database file, after checking all that must be true of it."""

import os
import secrets
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from reminderd.store.connection import snapshot
from reminderd.store.errors import CopyError, StoreUnavailableError, StoreUnusableError
from reminderd.store.shared_state import database_id, give_database_id
from reminderd.store.sqlite.driver import SqliteConnection, open_file, patiently, translated
from reminderd.store.sqlite.migrate import migrate, migrations, schema_version

BUSY_TIMEOUT: Final = timedelta(seconds=5)
"""How long a transaction waits for another program's transaction to end."""

_ALONE_TIMEOUT: Final = timedelta(seconds=1)
"""Long enough for a process that is about to close the database to do so; a daemon keeps it open."""

_ANY_VERSION: Final = 2**31
_FULL: Final = 2
_SETTINGS: Final = (
    "PRAGMA synchronous = FULL",  # a commit that was acknowledged survives a power cut
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # purged data is overwritten
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA mmap_size = 0",  # a failing disk must raise an error, not a signal
    "PRAGMA temp_store = MEMORY",  # no patient's number in a temporary file
    "PRAGMA journal_size_limit = 67108864",
)


def open_connection(
    path: Path, *, busy_timeout: timedelta = BUSY_TIMEOUT, query_only: bool = False
) -> SqliteConnection:
    """Open the database with the newest schema, after creating it (mode 0600) if there is none.

    Any thread may use the connection, but only one at a time. Its rows are `Row`; text that isn't UTF-8 is read with
    replacement characters. Transactions are begun and ended explicitly: see `transaction`. A database with an older
    schema is first copied to the same folder: see `path_of_older_copy`.

    Raises:
        StoreUnusableError: This isn't or can't be our database; the message has the file and the reason in one line.
        StoreUnavailableError: It is locked, the disk is full …: a later try may succeed.
    """

    def prepare(connection: SqliteConnection, file: Path) -> None:
        _prepare(connection, file, busy_timeout)
        if query_only:
            connection.execute("PRAGMA query_only = ON")

    return _opened(path, busy_timeout, prepare)


def open_as_it_is(path: Path) -> SqliteConnection:
    """Open an existing database of ours, whatever its schema, and leave the schema as it is.

    Raises:
        StoreUnusableError: This isn't our database, or a newer reminderd's.
        StoreUnavailableError: It is locked ….
    """
    return _opened(path, BUSY_TIMEOUT, lambda connection, _file: _set_up(connection))


def open_read_only(path: Path) -> SqliteConnection:
    """Open an existing database with the newest schema for reading only, without disturbing an older daemon.

    Raises:
        StoreUnusableError: This isn't our database, or its schema is an older or a newer one.
        StoreUnavailableError: It is locked ….
    """

    def prepare(connection: SqliteConnection, _file: Path) -> None:
        _set_up(connection)
        connection.execute("PRAGMA query_only = ON")
        newest = migrations()[-1].number
        version = snapshot(connection, partial(schema_version, newest=newest))
        if version < newest:
            found = f"the database has an older schema ({version or 'none yet'}, this one knows {newest})"
            raise StoreUnusableError(f"{found}: stop the daemon, then reminderd db migrate")

    return _opened(path, BUSY_TIMEOUT, prepare)


def open_to_count(path: Path) -> SqliteConnection:
    """Open one more connection to an open database, only to look for commits. It waits for no lock."""
    with translated():
        return _connect(Path(os.path.realpath(path)), timedelta())


def open_alone(path: Path) -> SqliteConnection:
    """Open a database that nobody else has open, after creating it if there is none, and keep others out until the end.

    SQLite itself detects others: a connection to a database with a write-ahead log holds a lock on the file until it is
    closed, even if it is idle or its process is suspended. The log is merged into the file, and neither -wal nor -shm
    is left.

    Raises:
        StoreUnavailableError: Somebody has it open.
        StoreUnusableError: This can't be or isn't a database of ours, of this or of any other schema.
    """

    def prepare(connection: SqliteConnection, _file: Path) -> None:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        schema_version(connection, newest=_ANY_VERSION)
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")  # the lock stays

    return _opened(path, _ALONE_TIMEOUT, prepare)


def ensured_database_id(connection: SqliteConnection) -> str:
    """Return the id of a database, after giving it a random one if it has none: its backups are distinguished by it.

    Raises:
        StoreUnavailableError: It has none, and can't be written now.
        StoreUnusableError: It is an empty file.
    """
    with translated():
        if not schema_version(connection, newest=_ANY_VERSION):
            raise StoreUnusableError("the database is empty")
        if database_id(connection) is None:
            give_database_id(connection, secrets.token_hex(16))
        return str(database_id(connection))


def path_of_older_copy(file: Path, version: int) -> Path:
    """Return the path of the copy of a database that is made before an upgrade from this schema."""
    return file.with_name(f"{file.name}.schema-{version}")


def _opened(
    path: Path, busy_timeout: timedelta, prepare: Callable[[SqliteConnection, Path], object]
) -> SqliteConnection:
    # SQLite keeps its -wal next to the file that a symbolic link points to.
    file = Path(os.path.realpath(path))
    try:
        with translated():
            _examine(file)
            connection = _connect(file, busy_timeout)
            try:
                prepare(connection, file)
            except BaseException:
                connection.close()
                raise
            return connection
    except CopyError:
        raise  # the error already names a file
    except (StoreUnavailableError, StoreUnusableError) as error:
        raise type(error)(f"{path}: {error}") from error
    except OSError as error:
        raise StoreUnusableError(f"{path}: {error.strerror}") from error


def open_sync(path: Path, *, busy_timeout: timedelta = BUSY_TIMEOUT) -> closing[SqliteConnection]:
    """Open a connection for a program without Trio, and close it at the end; for the errors see `open_connection`."""
    return closing(open_connection(path, busy_timeout=busy_timeout))


def _examine(file: Path) -> None:
    """Refuse what can't be a database, judging only by its name, and create a missing file.

    An existing file is never opened here: closing it would drop the locks that SQLite holds on it in this process.
    """
    folder = file.parent
    if not folder.is_dir():
        raise StoreUnusableError(f"there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreUnusableError(f"no permission to write to the folder {folder}")
    if file.is_dir():
        raise StoreUnusableError("is a folder, not a database")
    if not file.exists():
        # SQLite gives its -wal and -shm files the mode of the database.
        with suppress(FileExistsError):  # another process was faster
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    if not file.is_file():
        raise StoreUnusableError("is no regular file")
    if not os.access(file, os.R_OK | os.W_OK):
        raise StoreUnusableError("no permission to read and write it")


def _connect(file: Path, busy_timeout: timedelta) -> SqliteConnection:
    timeout = busy_timeout.total_seconds()
    return open_file(file, "mode=rw", timeout=timeout, check_same_thread=False, cached_statements=256)


def _set_up(connection: SqliteConnection) -> None:
    """Apply the settings; refuse another program's database before anything in it is changed."""
    for setting in _SETTINGS:
        connection.execute(setting)
    snapshot(connection, partial(schema_version, newest=migrations()[-1].number))


def _prepare(connection: SqliteConnection, file: Path, busy_timeout: timedelta) -> None:
    def keep(version: int) -> None:
        from reminderd.store.sqlite.copying import copy  # noqa: PLC0415 - slow to import, and only an upgrade copies

        # On a separate connection, because this one's transaction has begun: it sees the last commit.
        with closing(_connect(file, busy_timeout)) as reader:
            copy(reader, path_of_older_copy(file, version), replace=True)

    _set_up(connection)
    _write_ahead(connection, busy_timeout)
    migrate(connection, migrations(), before=keep)
    ensured_database_id(connection)


def _write_ahead(connection: SqliteConnection, busy_timeout: timedelta) -> None:
    """Switch to WAL if it isn't in use yet, and verify that every commit reaches the disk."""
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    if journal != "wal":  # setting it again would take a lock
        # SQLite does not always wait to change the journal mode.
        seconds = busy_timeout.total_seconds()
        journal = patiently(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone()[0], seconds)
    if journal != "wal":
        raise StoreUnusableError(f"the write-ahead log can't be used here (journal mode {journal}): not a local disk?")
    if connection.execute("PRAGMA synchronous").fetchone()[0] != _FULL:
        raise StoreUnusableError("this SQLite library does not do synchronous=FULL")
