"""A door with the usual limits, but a small body limit."""

from collections.abc import AsyncIterator

import pytest

from tests.support.web_server import Door, a_door


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with a_door() as opened:
        yield opened
