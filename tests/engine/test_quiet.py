"""After a restore nobody is called until the calls that the backup has forgotten must be over."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import trio
from loguru import logger

from reminderd.clock import SystemClock
from reminderd.core.model import Status
from reminderd.engine.context import Sightings
from reminderd.store.rows import to_ms
from tests.support.clock import HandClock
from tests.support.house import House, a_house
from tests.support.nouns import HOUR, MINUTE, NOW, RULES

QUIET = timedelta(minutes=15)


async def restored_now(house: House) -> None:
    stamp = str(to_ms(house.clock.now()))
    await house.execute("INSERT INTO settings (key, value) VALUES ('restored_at', ?)", stamp)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(
        tmp_path / "reminderd.db", HandClock(), before_start=restored_now, outcome_timeout=QUIET
    ) as made:
        yield made


def hand_of(house: House) -> HandClock:
    assert isinstance(house.clock, HandClock)
    return house.clock


async def test_nobody_is_called_in_the_quiet_after_a_restore_and_everybody_after_it(house: House) -> None:
    await house.insert("r1", at=NOW + MINUTE)
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}")
    hand_of(house).advance(QUIET - MINUTE)
    await house.polled()
    assert house.provider.placed == []
    hand_of(house).advance(2 * MINUTE)
    await house.until("r1", Status.PROCESSING)
    logger.remove(sink)
    said = [line.strip() for line in lines if "restore" in line and "nobody" not in line]
    assert said == ["INFO the quiet time after the restore is over: reminders are called again"]


async def test_a_wall_clock_that_is_set_forward_does_not_end_the_quiet(house: House) -> None:
    """A call that the backup has forgotten may be going on all the same."""
    await house.insert("r1", at=NOW + MINUTE)
    await house.polled()
    hand_of(house).time += HOUR
    await house.polled()
    assert house.provider.placed == []
    hand_of(house).seconds += QUIET.total_seconds()
    await house.until("r1", Status.PROCESSING)


async def test_the_loop_rests_in_the_quiet_though_a_reminder_is_due(tmp_path: Path) -> None:
    async with a_house(
        tmp_path / "reminderd.db",
        SystemClock(),
        interval=MINUTE,
        before_start=restored_now,
        outcome_timeout=QUIET,
    ) as house:
        await house.insert("r1", at=house.clock.now())
        turns = set()
        for _ in range(100):
            await trio.sleep(0.002)
            turns.add(house.poller.memory.beat)
        assert len(turns) < 20  # it would turn every millisecond


async def test_the_log_says_once_until_when_nobody_is_called(tmp_path: Path) -> None:
    log: list[str] = []
    sink = logger.add(log.append, format="{level} {message}")
    try:
        async with a_house(
            tmp_path / "reminderd.db", HandClock(), before_start=restored_now, outcome_timeout=QUIET
        ) as house:
            await house.polled()
            await house.polled()
    finally:
        logger.remove(sink)
    until = f"{NOW + QUIET:%Y-%m-%d %H:%M} UTC"
    assert log.count(f"WARNING a backup was restored: nobody is called before {until}\n") == 1


def test_another_restore_begins_another_quiet() -> None:
    seen = Sightings()

    def quiet_until(restored_at: datetime, *, monotonic: float) -> float:
        return seen.quiet_until(restored_at, RULES, NOW + HOUR, monotonic)

    lasts = RULES.outcome_timeout.total_seconds()
    assert quiet_until(NOW + HOUR, monotonic=0) == lasts
    assert quiet_until(NOW, monotonic=100) < lasts + 100
    assert quiet_until(NOW + HOUR, monotonic=200) == lasts + 200
