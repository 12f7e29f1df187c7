"""Read the time. Only this module may, which ruff enforces; all other code gets a clock or `now` as a parameter."""

import time
from datetime import UTC, datetime
from typing import Protocol

from attrs import frozen


class Clock(Protocol):
    """A source of the time; tests have a clock that they set."""

    def now(self) -> datetime:
        """Return the time of the wall clock, in UTC."""

    def monotonic(self) -> float:
        """Return the seconds since an arbitrary start, which never decrease and include the machine's sleep."""


@frozen
class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the time of the wall clock, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the one place

    def monotonic(self) -> float:
        """Return `CLOCK_BOOTTIME` if it exists: unlike `CLOCK_MONOTONIC`, it includes time in suspend."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
