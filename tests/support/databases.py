"""The databases that tests run on."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from reminderd.databases import SqliteFile, Target


@pytest.fixture
def new_target(tmp_path: Path) -> Callable[[], Target]:
    """Return a function that names one more database of this test, which is empty or does not exist yet."""
    numbers = count(1)
    return lambda: SqliteFile(tmp_path / f"clinic-{next(numbers)}.db")


@pytest.fixture
def target(new_target: Callable[[], Target]) -> Target:
    """Name a database of this test, which is empty or does not exist yet."""
    return new_target()
