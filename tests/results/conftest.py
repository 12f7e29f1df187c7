"""What the log says."""

from collections.abc import Iterator

import pytest
from loguru import logger


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []
    handler = logger.add(lambda line: found.append(str(line).rstrip("\n")), format="{level} {message}")
    yield found
    logger.remove(handler)
