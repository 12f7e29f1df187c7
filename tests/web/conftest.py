"""A web server with the usual limits, but a small body limit."""

from collections.abc import AsyncIterator

import pytest

from tests.support.web_server import WebServer, a_web_server


@pytest.fixture
async def web() -> AsyncIterator[WebServer]:
    async with a_web_server() as opened:
        yield opened
