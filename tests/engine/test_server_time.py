"""A server's clock counts for what is stored; the loop goes by it, too, whatever this machine's clock says."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from attrs import frozen
from loguru import logger

from reminderd.core.model import Status
from reminderd.store.database import Database
from tests.support.builders import NOW
from tests.support.clock import HandClock
from tests.support.engine import an_engine

AHEAD = timedelta(seconds=5)


@frozen
class ServersClock:
    """A clock for transactions that differs from ours."""

    ours: HandClock
    ahead: timedelta

    def now(self) -> datetime:
        return self.ours.now() + self.ahead

    def monotonic(self) -> float:
        return self.ours.monotonic()


def server_with(monkeypatch: pytest.MonkeyPatch, ahead: timedelta, clock: HandClock) -> ServersClock:
    monkeypatch.setattr(Database, "clock_offset", property(lambda _database: ahead))
    return ServersClock(clock, ahead)


@pytest.mark.parametrize("ahead", [AHEAD, -AHEAD])
async def test_a_reminder_is_called_at_its_time_by_the_servers_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    clock = HandClock()
    store_clock = server_with(monkeypatch, ahead, clock)
    async with an_engine(tmp_path / "db", clock, store_clock=store_clock) as engine:
        await engine.insert("due", at=NOW + ahead)
        await engine.insert("later", at=NOW + ahead + timedelta(milliseconds=1))
        await engine.until("due", Status.PROCESSING)
        await engine.polled()
        assert (await engine.reminder("later")).status is Status.SCHEDULED
        clock.advance(timedelta(seconds=1))
        await engine.until("later", Status.PROCESSING)


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (AHEAD, "this machine's clock is 5.0 s behind the database's"),
        (-AHEAD, "this machine's clock is 5.0 s ahead of the database's"),
    ],
)
async def test_a_clock_that_differs_from_the_servers_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: timedelta, words: str
) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}")
    clock = HandClock()
    store_clock = server_with(monkeypatch, ahead, clock)
    async with an_engine(tmp_path / "db", clock, store_clock=store_clock) as engine:
        await engine.polled()
    logger.remove(sink)
    [line] = [line for line in lines if "WARNING" in line]
    assert line.startswith(f"WARNING {words}, whose time counts; set it: ")


async def test_a_small_difference_is_not_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}")
    clock = HandClock()
    store_clock = server_with(monkeypatch, timedelta(seconds=0.9), clock)
    async with an_engine(tmp_path / "db", clock, store_clock=store_clock) as engine:
        await engine.polled()
    logger.remove(sink)
    assert lines == []
