"""What all tests share: readable ids, the same examples each time, cheap files, databases, passwords and TLS settings.

Logging is restored after each test.
"""

import gc
import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from loguru import logger

from reminderd import passwords
from reminderd.store.sqlite import opening
from tests.support.case_ids import LONGEST, case_id
from tests.support.certificates import read_certificates_once
from tests.support.databases import (
    examine_after_copying,
    is_for_its_engine,
    large_target,
    new_target,
    run_on_each_engine,
    target,
)
from tests.support.postgres import what_is_missing

__all__ = ["large_target", "new_target", "target"]

# The same examples each time, so that a test that passes here passes there. New ones: --hypothesis-profile=default.
settings.register_profile("same-each-time", derandomize=True, deadline=None)
settings.load_profile("same-each-time")

# A commit to a disk takes up to ten times as long as the rest of a test.
_MEMORY = "/dev/shm"  # noqa: S108 - pytest makes a folder of its own there
if os.access(_MEMORY, os.W_OK) and os.statvfs(_MEMORY).f_bavail * os.statvfs(_MEMORY).f_frsize > 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)

read_certificates_once()

# Once and not by a fixture, which twelve thousand tests would set up. tests/store/sqlite has the program's own back.
vars(opening)["_examine"] = examine_after_copying
_COST_OF_PASSWORDS = {name: getattr(passwords, name) for name in ("_ROUNDS", "_KIB")}
vars(passwords).update(_ROUNDS=1, _KIB=8)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a case by its values where pytest would only number it."""
    simple = val is None or isinstance(val, bool | int | float)
    return None if simple or (isinstance(val, str) and len(val) <= LONGEST) else case_id(val)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    run_on_each_engine(metafunc)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once, not of each test, that nothing was tested on PostgreSQL."""
    missing = what_is_missing()
    if missing:
        terminalreporter.write_line(missing)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the cases of each engine; begin with the longest tests, so that several workers end at about one time."""
    items[:] = filter(is_for_its_engine, items)
    items.sort(key=lambda item: item.get_closest_marker("chaos") is None)


def pytest_collection_finish() -> None:
    """Keep what has been loaded until the end: no search for garbage has to look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    """Restore the process's logging, which the program's log setup replaces."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    if root.handlers is not handlers:
        logger.remove()
        logging.captureWarnings(capture=False)
        root.handlers, root.level = handlers, level


@pytest.fixture
def costly_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords at the cost that the program pays for them."""
    for name, value in _COST_OF_PASSWORDS.items():
        monkeypatch.setattr(passwords, name, value)
