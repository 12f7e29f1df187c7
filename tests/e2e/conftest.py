"""A clinic of the test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.clinic import Clinic, a_clinic


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with a_clinic(tmp_path) as opened:
        yield opened
