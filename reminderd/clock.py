"""The one place that reads the time; everybody else is handed `now`."""

import time
from datetime import UTC, datetime
from typing import Protocol

from attrs import frozen


class Clock(Protocol):
    """Where the time comes from; tests bring one that they move."""

    def now(self) -> datetime:
        """The wall clock, UTC."""

    def monotonic(self) -> float:
        """Seconds that only go forward, from an arbitrary start; they count on while the machine sleeps."""


@frozen
class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """The wall clock, UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the one place

    def monotonic(self) -> float:
        """`CLOCK_BOOTTIME` where there is one: unlike `CLOCK_MONOTONIC` it runs on through a suspend."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
