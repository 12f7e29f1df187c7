"""Read the time, in this one place, which ruff enforces; all other code is given `now`."""

import time
from datetime import UTC, datetime
from typing import Protocol

from attrs import frozen


class Clock(Protocol):
    """A source of the time; tests have one that they move."""

    def now(self) -> datetime:
        """Return the wall clock, UTC."""

    def monotonic(self) -> float:
        """Return seconds that only go forward, from an arbitrary start, also while the machine sleeps."""


@frozen
class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the wall clock, UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the one place

    def monotonic(self) -> float:
        """Return `CLOCK_BOOTTIME` where there is one: unlike `CLOCK_MONOTONIC` it includes time in suspend."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
