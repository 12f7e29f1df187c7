"""Run the bench's own PostgreSQL server, as durable as SQLite's file: each commit waits for the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bench.figure import Figure
from reminderd.store.connection import Connection
from reminderd.store.sqlite.driver import SqliteConnection
from tests.support.postgres import Server, a_server, what_is_missing

_DURABLE: Final = (
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "shared_buffers=128MB",
    "max_wal_size=2GB",
)


@contextmanager
def postgres() -> Iterator[Server | None]:
    """Run a server until the end of the block; None if this machine has none."""
    if what_is_missing() is None:
        with a_server(*_DURABLE) as server:
            yield server
    else:
        yield None


def not_measured(name: str) -> Figure:
    """Return the figure that is shown if there is no PostgreSQL."""
    return Figure(name=name, value=0, unit="", meaning=what_is_missing() or "")


def settle(connection: Connection) -> None:
    """Have a database do now what it would otherwise do in the background after many rows were written."""
    if isinstance(connection, SqliteConnection):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.refresh_statistics()
    else:
        connection.execute("VACUUM (ANALYZE)")
