"""The connection of SQLite to the test's file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reminderd.store.sqlite.driver import SqliteConnection
from reminderd.store.sqlite.opening import open_sync
from tests.store.conftest import SHORT


@pytest.fixture
def connection(path: Path) -> Iterator[SqliteConnection]:
    """Open the same file a second time, as the command line or another program does."""
    with open_sync(path, busy_timeout=SHORT) as opened:
        yield opened
