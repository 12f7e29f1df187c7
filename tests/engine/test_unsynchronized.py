"""A machine whose clock nothing sets, as far as its kernel knows, calls by the clock that it has."""

import ctypes
from datetime import timedelta
from typing import Any

import pytest
from attrs import frozen

from reminderd.core.model import Status
from reminderd.databases import Target
from reminderd.doctor.machine import is_clock_synchronized
from tests.support.builders import DAY, HOUR, MINUTE, NOW
from tests.support.clock import HandClock
from tests.support.engine import an_engine

pytestmark = pytest.mark.also_on_postgres

TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronized."""


@frozen
class UnsynchronizedKernel:
    def adjtimex(self, seen: Any) -> int:
        seen._obj.maxerror = 16_000_000
        return TIME_ERROR


async def test_a_machine_that_is_never_synchronized_still_dials(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: UnsynchronizedKernel())
    assert is_clock_synchronized() is False
    clock = HandClock(time=NOW + DAY)
    async with an_engine(target, clock, max_lateness=HOUR) as engine:
        await engine.insert("due")
        await engine.insert("yesterday", at=NOW + MINUTE)
        await engine.until("due", Status.PROCESSING)
        await engine.until("yesterday", Status.EXPIRED)
        for step in (timedelta(seconds=1), HOUR, DAY):
            clock.advance(step)
            await engine.polled()
            assert (await engine.reminder("yesterday")).status is Status.EXPIRED, "the clock has only gone forward"
        clock.time = NOW + 2 * MINUTE
        await engine.until("yesterday", Status.PROCESSING)
        assert [one.reminder_id for one in engine.provider.placed] == ["due", "yesterday"]
