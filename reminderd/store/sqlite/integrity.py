"""Check a database for damage, and examine a database as it is, even while others have it open."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from attrs import define, evolve

from reminderd.core.phone import Numbering
from reminderd.store.connection import Connection, snapshot
from reminderd.store.examination import Examination, broken_promises, examination
from reminderd.store.shared_state import database_id
from reminderd.store.sqlite.driver import DatabaseError, Error, SqliteConnection, open_file, translated
from reminderd.store.sqlite.migrate import migrations, schema_version

_BUSY_SECONDS: Final = 2.0
_STEPS_BETWEEN_LOOKS_AT_THE_CLOCK: Final = 50_000


def integrity_errors(connection: Connection) -> list[str]:
    """Return the errors of the file and its references, a sentence each; empty if it is sound. Reads the whole file."""
    found = damage_in(connection)
    try:
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    except DatabaseError as error:
        return found or [f"it can't be read through: {error}"]
    return found + [f"{row['table']}: row {row['rowid']} refers to a missing row of {row['parent']}" for row in broken]


def damage_in(connection: Connection) -> list[str]:
    """Return the errors of the file itself, a sentence each; empty if there are none. Reads the whole file."""
    try:
        return [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    except DatabaseError as error:
        return [f"it can't be read through: {error}"]


def examine(path: Path, *, seconds: float, numbering: Numbering) -> Examination:
    """Examine an existing database, on one read-only connection; reading it may take `seconds`.

    Raises:
        StoreUnusableError: it can't be opened, is damaged or isn't ours.
        StoreUnavailableError: it can't be read right now.
    """
    newest = migrations()[-1].number
    file = Path(os.path.realpath(path))  # SQLite keeps its -wal next to the file that a symbolic link points to
    with _looking(file) as connection:
        version = snapshot(connection, partial(schema_version, newest=newest))
        found = examination(
            connection,
            version=version,
            newest=newest,
            mistakes=_mistakes(connection, seconds, rows=version == newest),
            numbering=numbering,
        )
    return evolve(found, wal_bytes=_size(Path(f"{file}-wal")))


def id_of(path: Path) -> str | None:
    """Return the id of an existing database, read as `examine` reads it; None if it has none yet.

    Raises:
        StoreUnusableError: it can't be opened, is damaged or isn't ours.
        StoreUnavailableError: it can't be read right now.
    """
    with _looking(Path(os.path.realpath(path))) as connection:
        if not snapshot(connection, partial(schema_version, newest=migrations()[-1].number)):
            return None
        return snapshot(connection, database_id)


@contextmanager
def _looking(file: Path) -> Iterator[SqliteConnection]:
    # With mode=ro SQLite writes neither the file nor its -wal, and checkpoints nothing when it closes.
    with translated(), closing(open_file(file, "mode=ro", timeout=_BUSY_SECONDS)) as connection:
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
            connection.execute(f"PRAGMA {setting}")
        yield connection


def _mistakes(connection: SqliteConnection, seconds: float, *, rows: bool) -> list[str] | None:
    """Return the errors of the file and, with `rows`, of its rows; None if there was not enough time."""
    patience = _Patience(time.monotonic() + seconds)
    connection.set_progress_handler(patience.look, _STEPS_BETWEEN_LOOKS_AT_THE_CLOCK)
    try:
        found = snapshot(connection, integrity_errors)
        if not found and rows:
            found = snapshot(connection, broken_promises)
    except Error:
        if patience.is_over:
            return None
        raise
    finally:
        connection.set_progress_handler(None, 0)
    return None if patience.is_over else found


@define
class _Patience:
    """Makes SQLite abandon a statement that takes too long."""

    deadline: float
    is_over: bool = False

    def look(self) -> bool:
        self.is_over = self.is_over or time.monotonic() > self.deadline
        return self.is_over


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
