"""Create databases for histories in one process, on either engine: empty, and with a clock that the history moves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import frozen

from reminderd.databases import PostgresServer, SqliteFile, Target
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection
from reminderd.store.sqlite.driver import SqliteConnection
from tests.support.databases import go_by_the_tests_clock
from tests.support.postgres import PostgresDatabase, ReusedDatabase, server_of_this_process, skip_without_postgres

if TYPE_CHECKING:
    import psycopg

# Like reminderd's own functions, but the time is that of the session.
_NOW_OF_SESSION: Final = """
CREATE OR REPLACE FUNCTION reminderd_now() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT coalesce(
        nullif(current_setting('history.now', TRUE), '')::BIGINT,
        floor(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT
    )
$$
"""


@contextmanager
def an_empty_database(engine: str, folder: Path) -> Iterator[Target]:
    """Yield a database with tables, whose transactions use the history's clock, not the server's."""
    if engine == "sqlite":
        with TemporaryDirectory(dir=folder) as own:
            file = Path(own, "clinic.db")
            file.write_bytes(_empty_file())
            yield SqliteFile(file)
        return
    skip_without_postgres()
    with pytest.MonkeyPatch.context() as patch:
        go_by_the_tests_clock(patch)
        yield PostgresServer(_reused_database().as_new().url)


def hurry(connection: Connection) -> None:
    """Have a file written without waiting for the disk, as on the tests' own server."""
    if isinstance(connection, SqliteConnection):
        connection.execute("PRAGMA synchronous = OFF")


@cache
def _empty_file() -> bytes:
    with TemporaryDirectory() as folder:
        with open_sync(SqliteFile(Path(folder, "empty.db"))):
            pass
        return Path(folder, "empty.db").read_bytes()


@cache
def _reused_database() -> ReusedDatabase:
    return ReusedDatabase.made_by(server_of_this_process(), _prepare)


def _prepare(database: PostgresDatabase) -> None:
    with open_sync(PostgresServer(database.url)):
        pass
    with database.connect() as connection:
        connection.execute(_NOW_OF_SESSION)


@frozen
class Dump:
    """What `pg_dump` saves of a database."""

    rows: Mapping[str, list[tuple[Any, ...]]]
    sequences: list[tuple[Any, ...]]


def dump(server: PostgresServer) -> Dump:
    """Save the content of a database."""
    with _as_admin(server) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = {name: connection.execute(f"TABLE {name}".encode()).fetchall() for (name,) in names}
        sequences = connection.execute("SELECT 'public.' || sequencename, last_value FROM pg_sequences").fetchall()
    return Dump(rows, sequences)


def put_back(server: PostgresServer, kept: Dump) -> None:
    """Replace the content of a database with saved content, as `pg_restore` does."""
    with _as_admin(server) as connection, connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")  # no triggers, no foreign keys
        for table, rows in kept.rows.items():
            connection.execute(f"DELETE FROM {table}".encode())
            for row in rows:
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('%s' for _ in row)})".encode(), row)
        for name, last in kept.sequences:
            connection.execute("SELECT setval(%s, %s, %s)", (name, last or 1, last is not None))


def _as_admin(server: PostgresServer) -> "psycopg.Connection":
    return server_of_this_process().connect(server.url.rpartition("/")[2])
