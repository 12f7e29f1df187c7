"""A database of the test's own, on each engine, opened with and without Trio."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reminderd.databases import Target
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection
from reminderd.store.database import Database, open_database
from tests.support.clock import HandClock
from tests.support.store import Store, a_store

SHORT = timedelta(milliseconds=20)


@pytest.fixture
def path(engine_name: str, tmp_path: Path) -> Path:
    """Return where the file is, for tests of what only SQLite has."""
    assert engine_name == "sqlite", "expected the mark sqlite_only"
    return tmp_path / "reminderd.db"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def database(target: Target, clock: HandClock) -> AsyncIterator[Database]:
    async with open_database(target, clock, busy_timeout=SHORT) as opened:
        yield opened


@pytest.fixture
def connection(target: Target) -> Iterator[Connection]:
    """Open the same database a second time, as the command line or another program does."""
    with open_sync(target, busy_timeout=SHORT) as opened:
        yield opened


@pytest.fixture
def large(large_target: Target) -> Iterator[Store]:
    """Open a database of which only plans are made."""
    with a_store(large_target) as store:
        yield store
