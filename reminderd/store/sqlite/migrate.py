"""Upgrade a database to the schema that this program knows: numbered SQL files, all that are missing or none."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from reminderd.store.connection import snapshot
from reminderd.store.errors import StoreUnusableError
from reminderd.store.migrations import Migration, migrations_of
from reminderd.store.sqlite.driver import SqliteConnection, complete_statement, translated

APPLICATION_ID: Final = 0x52656D64
"""`Remd`, in the file's header: it shows that a database is ours."""


def migrations() -> list[Migration]:
    """Return all steps that come with this program, oldest first."""
    return migrations_of("reminderd.store.sqlite")


def schema_version(connection: SqliteConnection, newest: int) -> int:
    """Return the number of the last migration that this database has had; 0 for an empty file.

    Raises:
        StoreUnusableError: The database is another program's, or newer than `newest`.
    """
    application_id = _integer(connection, "PRAGMA application_id")
    version = _integer(connection, "PRAGMA user_version")
    if application_id != APPLICATION_ID:
        if application_id or version or _integer(connection, "SELECT count(*) FROM sqlite_master"):
            raise StoreUnusableError("made by another program, not by reminderd")
    elif version > newest:
        raise StoreUnusableError(f"made by a newer reminderd (schema {version}, this one knows {newest}): upgrade")
    return version


def migrate(
    connection: SqliteConnection, steps: list[Migration], *, before: Callable[[int], object] | None = None
) -> list[str]:
    """Apply the `steps` that the database has not had, in one transaction, and return their names.

    Several processes may try at once: one of them does all the work. A crash leaves either the old schema or the
    newest. Foreign keys are not enforced during the steps, only afterward: a step that rebuilds a table must drop the
    old table without losing the rows that refer to it. Foreign keys are checked after each step.

    Args:
        connection: with no transaction open.
        steps: all existing steps, oldest first.
        before: called with the database's version before any change, while nobody else can write, unless the file is
            empty; if it raises, the database stays as it was.

    Raises:
        StoreUnusableError: The database is another program's or newer, or a step would break a foreign key.
        StoreUnavailableError: The disk is full, another program holds the lock ….
    """
    with translated():
        # One snapshot: between two reads, another process may turn an empty file into a database.
        if not snapshot(connection, partial(_missing, steps=steps)):
            return []
        enforced = _integer(connection, "PRAGMA foreign_keys")
        connection.execute("PRAGMA foreign_keys = OFF")
        try:
            return _apply_missing(connection, steps, before)
        finally:
            connection.execute(f"PRAGMA foreign_keys = {enforced}")


def _apply_missing(
    connection: SqliteConnection, steps: list[Migration], before: Callable[[int], object] | None
) -> list[str]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have been faster.
        missing = _missing(connection, steps)
        version = _integer(connection, "PRAGMA user_version")
        if missing and version and before is not None:
            before(version)
        for step in missing:
            _apply(connection, step)
        connection.execute("COMMIT")
        return [step.name for step in missing]
    finally:
        connection.roll_back()


def _missing(connection: SqliteConnection, steps: list[Migration]) -> list[Migration]:
    version = schema_version(connection, newest=steps[-1].number)
    return [step for step in steps if step.number > version]


def _apply(connection: SqliteConnection, step: Migration) -> None:
    for statement in _statements(step.sql):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {step.number}")
    if connection.execute("PRAGMA foreign_key_check").fetchall():
        raise StoreUnusableError(f"{step.name} would leave rows that refer to missing ones; nothing was changed")


def _statements(sql: str) -> Iterator[str]:
    """Yield one statement at a time, each ending at the end of a line: `executescript` would commit first."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def _integer(connection: SqliteConnection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])
