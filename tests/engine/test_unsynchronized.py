"""A machine whose clock nothing sets, as far as its kernel knows, calls by the clock that it has."""

import ctypes
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from reminderd.core.model import Status
from reminderd.doctor.machine import kept_by_kernel
from tests.support.clock import HandClock
from tests.support.house import a_house
from tests.support.nouns import DAY, HOUR, MINUTE, NOW

TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronized."""


@frozen
class UnsynchronizedKernel:
    def adjtimex(self, seen: Any) -> int:
        seen._obj.maxerror = 16_000_000
        return TIME_ERROR


async def test_a_machine_that_is_never_synchronized_still_dials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: UnsynchronizedKernel())
    assert kept_by_kernel() is False
    clock = HandClock(time=NOW + DAY)
    async with a_house(tmp_path / "reminderd.db", clock, max_lateness=HOUR) as house:
        await house.insert("due")
        await house.insert("yesterday", at=NOW + MINUTE)
        await house.until("due", Status.PROCESSING)
        await house.until("yesterday", Status.EXPIRED)
        for step in (timedelta(seconds=1), HOUR, DAY):
            clock.advance(step)
            await house.polled()
            assert (await house.reminder("yesterday")).status is Status.EXPIRED, "the clock has only gone forward"
        clock.time = NOW + 2 * MINUTE
        await house.until("yesterday", Status.PROCESSING)
        assert [one.reminder_id for one in house.provider.placed] == ["due", "yesterday"]
