"""A PostgreSQL of the bench's own, as durable as SQLite's file: each commit waits for the disk."""

from collections.abc import Iterator
from contextlib import contextmanager

from bench.figure import Figure
from tests.support.postgres import Server, a_server, what_is_missing

_DURABLE = ("fsync=on", "full_page_writes=on", "synchronous_commit=on", "shared_buffers=128MB", "max_wal_size=2GB")


@contextmanager
def postgres() -> Iterator[Server | None]:
    """Run a server until the end of the block; None: there is none on this machine."""
    if what_is_missing() is None:
        with a_server(*_DURABLE) as server:
            yield server
    else:
        yield None


def not_measured(name: str) -> Figure:
    """Return what is shown where there is no PostgreSQL."""
    return Figure(name=name, value=0, unit="", meaning=what_is_missing() or "")
