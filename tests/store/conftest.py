"""A database in its own folder, opened with and without Trio."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reminderd.databases import SqliteFile
from reminderd.store.connection import Connection
from reminderd.store.database import Database, open_database
from reminderd.store.sqlite.opening import open_sync
from tests.support.clock import HandClock

SHORT = timedelta(milliseconds=20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reminderd.db"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def database(path: Path, clock: HandClock) -> AsyncIterator[Database]:
    async with open_database(SqliteFile(path), clock, busy_timeout=SHORT) as opened:
        yield opened


@pytest.fixture
def connection(path: Path) -> Iterator[Connection]:
    """Open the same file a second time, as the command line or another program does."""
    with open_sync(path, busy_timeout=SHORT) as opened:
        yield opened
