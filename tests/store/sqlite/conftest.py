"""The connection of SQLite to the test's file, whose tables are made as the program makes them, not copied."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reminderd.store.sqlite import opening
from reminderd.store.sqlite.driver import SqliteConnection
from reminderd.store.sqlite.opening import open_sync
from tests.store.conftest import SHORT
from tests.support.databases import examine


@pytest.fixture
def connection(path: Path) -> Iterator[SqliteConnection]:
    """Open the same file a second time, as the command line or another program does."""
    with open_sync(path, busy_timeout=SHORT) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _tables_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_examine", examine)
