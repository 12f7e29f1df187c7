"""After a restore nobody is called until the calls that the backup has forgotten must be over."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from loguru import logger

from reminderd.clock import SystemClock
from reminderd.core.model import Status
from reminderd.databases import Target
from reminderd.engine import poller
from reminderd.engine.context import Sightings
from reminderd.store.connection import Connection
from reminderd.store.stats import Wakes, next_wakes
from tests.support.builders import HOUR, MINUTE, NOW, RULES
from tests.support.clock import HandClock
from tests.support.engine import Engine, an_engine, restored_now
from tests.support.waiting import until

pytestmark = pytest.mark.also_on_postgres

QUIET = timedelta(minutes=15)


@pytest.fixture
async def engine(target: Target) -> AsyncIterator[Engine]:
    async with an_engine(target, HandClock(), before_start=restored_now, outcome_timeout=QUIET) as made:
        yield made


def hand_of(engine: Engine) -> HandClock:
    assert isinstance(engine.clock, HandClock)
    return engine.clock


async def test_nobody_is_called_in_the_quiet_time_after_a_restore(engine: Engine) -> None:
    await engine.insert("r1", at=NOW + MINUTE)
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}")
    hand_of(engine).advance(QUIET - MINUTE)
    await engine.polled()
    assert engine.provider.placed == []
    hand_of(engine).advance(2 * MINUTE)
    await engine.until("r1", Status.PROCESSING)
    logger.remove(sink)
    said = [line.strip() for line in lines if "restore" in line and "nobody" not in line]
    assert said == ["INFO the quiet time after the restore is over: reminders are called again"]


async def test_setting_the_wall_clock_forward_does_not_end_the_quiet_time(engine: Engine) -> None:
    """A call that the backup does not know may still be in progress."""
    await engine.insert("r1", at=NOW + MINUTE)
    await engine.polled()
    hand_of(engine).time += HOUR
    await engine.polled()
    assert engine.provider.placed == []
    hand_of(engine).seconds += QUIET.total_seconds()
    await engine.until("r1", Status.PROCESSING)


async def test_the_poll_loop_sleeps_in_the_quiet_time_even_if_a_reminder_is_due(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It only looks for commits, which is a sign of life without a turn of the loop."""
    turns = 0

    def turn(connection: Connection, **facts: Any) -> Wakes:
        nonlocal turns
        turns += 1
        return next_wakes(connection, **facts)

    monkeypatch.setattr(poller, "next_wakes", turn)
    async with an_engine(
        target,
        SystemClock(),
        interval=HOUR,
        before_start=restored_now,
        outcome_timeout=QUIET,
    ) as engine:
        await engine.insert("r1", at=engine.clock.now())

        async def sleeps() -> bool:
            before = turns
            await engine.beats()
            await engine.beats()
            return turns == before

        await until(sleeps)


async def test_the_log_says_once_until_when_the_quiet_time_lasts(target: Target) -> None:
    log: list[str] = []
    sink = logger.add(log.append, format="{level} {message}")
    try:
        async with an_engine(target, HandClock(), before_start=restored_now, outcome_timeout=QUIET) as engine:
            await engine.polled()
            await engine.polled()
    finally:
        logger.remove(sink)
    until = f"{NOW + QUIET:%Y-%m-%d %H:%M} UTC"
    assert log.count(f"WARNING the database was restored: nobody is called before {until}\n") == 1


def test_another_restore_begins_another_quiet_time() -> None:
    seen = Sightings()

    def quiet_until(restored_at: datetime, *, monotonic: float) -> float:
        return seen.quiet_until(restored_at, RULES, NOW + HOUR, monotonic)

    lasts = RULES.outcome_timeout.total_seconds()
    assert quiet_until(NOW + HOUR, monotonic=0) == lasts
    assert quiet_until(NOW, monotonic=100) < lasts + 100
    assert quiet_until(NOW + HOUR, monotonic=200) == lasts + 200
