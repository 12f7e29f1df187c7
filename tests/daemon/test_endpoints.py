"""Webhooks are recorded in the database, and answered when they can't be."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from loguru import logger

from reminderd.core.answers import Report
from reminderd.core.lifecycle.keypress import NOT_NEEDED, Key
from reminderd.core.script.prompts import Question
from reminderd.core.script.templates import Script
from reminderd.daemon.endpoints import DatabaseRecorder
from reminderd.engine.breaker import Breaker
from reminderd.store.database import open_database
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.store.sqlite.driver import connect
from tests.support.builders import RULES
from tests.support.clock import HandClock

REPORT = Report(external_call_id="ext-1", status="in-progress", attempt_id="call-1")
KEY = Key(digits="1", question=Question.MENU, repeats=0)


@asynccontextmanager
async def a_recorder(path: Path, *, knows_one_call: bool = False) -> AsyncIterator[DatabaseRecorder]:
    async with open_database(path, HandClock(), busy_timeout=timedelta(milliseconds=50)) as database:
        yield DatabaseRecorder(
            database=database,
            rules=RULES,
            breaker=Breaker(RULES.backoff),
            script=Script(),
            knows_one_call=knows_one_call,
        )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the database's write lock."""
    with closing(connect(str(path), isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        yield
        another.execute("ROLLBACK")


async def test_a_request_that_can_not_be_recorded_still_shows_that_our_address_was_reached(tmp_path: Path) -> None:
    path = tmp_path / "reminderd.db"
    async with a_recorder(path) as recorder:
        with locked(path), pytest.raises(StoreUnavailableError):
            await recorder.pick_up(REPORT)
        assert recorder.breaker.address.asked_without_answer


async def test_a_person_in_a_call_that_nobody_knows_hears_that_it_is_no_longer_needed(tmp_path: Path) -> None:
    async with a_recorder(tmp_path / "reminderd.db") as recorder:
        assert (await recorder.pick_up(REPORT)).reply == NOT_NEEDED
        assert (await recorder.press(REPORT, KEY)).reply == NOT_NEEDED
        with pytest.raises(UnknownReminderError):
            await recorder.report(REPORT)


async def test_a_process_that_knows_one_call_leaves_all_others_to_the_daemon(tmp_path: Path) -> None:
    async with a_recorder(tmp_path / "reminderd.db", knows_one_call=True) as recorder:
        with pytest.raises(StoreUnavailableError):
            await recorder.pick_up(REPORT)
        with pytest.raises(StoreUnavailableError):
            await recorder.report(REPORT)


async def test_a_fallback_is_spoken_even_if_it_can_not_be_recorded(tmp_path: Path) -> None:
    path, lines = tmp_path / "reminderd.db", list[str]()
    async with a_recorder(path) as recorder:
        sink = logger.add(lines.append, format="{message}")
        with locked(path):
            await recorder.unspoken("call-1")
        logger.remove(sink)
    assert lines[0].startswith("not recorded that our answer to the call call-1 could not be used: ")
