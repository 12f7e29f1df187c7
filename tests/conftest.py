"""What every test leaves behind as it found it."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings
from loguru import logger

from tests.support.case_ids import LONGEST, case_id

# The same examples each time: a test that passed here passes there. To search anew: --hypothesis-profile=default.
settings.register_profile("same-each-time", derandomize=True, deadline=None)
settings.load_profile("same-each-time")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a case by its values where pytest would only number it."""
    simple = val is None or isinstance(val, bool | int | float)
    return None if simple or (isinstance(val, str) and len(val) <= LONGEST) else case_id(val)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: several workers then end at the same time."""
    items.sort(key=lambda item: item.get_closest_marker("chaos") is None)


@pytest.fixture(autouse=True)
def _the_logging_of_the_tests_is_put_back() -> Iterator[None]:
    """Setting up the program's log takes over the whole process's."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    if root.handlers is not handlers:
        logger.remove()
        logging.captureWarnings(capture=False)
        root.handlers, root.level = handlers, level
