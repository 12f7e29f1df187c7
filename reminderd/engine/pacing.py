"""Calls per second: how many requests may be sent now, and when the next one may be sent."""

import math
from typing import Final

_MANY: Final = 1_000_000


class Pacing:
    """Spaces requests evenly: one every 1 / `per_second` seconds; unused ones are not saved up; 0 sets no limit.

    Times are seconds of a monotonic clock.
    """

    def __init__(self, per_second: float) -> None:
        self._interval = _interval(per_second)
        self._free_from = -math.inf

    def available(self, now: float) -> int:
        """Return how many requests may be sent at this moment."""
        if self._interval == 0:
            return _MANY
        return 1 if now >= self._free_from else 0

    def spend(self, requests: int, now: float) -> None:
        """Record that this many requests are sent now."""
        if requests > 0 and self._interval > 0:
            self._free_from = max(now, self._free_from) + requests * self._interval

    def change(self, per_second: float, now: float) -> None:
        """Change the spacing; earlier requests delay the next one by at most one new interval."""
        self._interval = _interval(per_second)
        self._free_from = min(self._free_from, now + self._interval)

    def next_at(self, now: float) -> float:
        """Return the moment, now or later, from which a request may be sent."""
        return max(now, self._free_from)


def _interval(per_second: float) -> float:
    """Return the seconds from one request to the next."""
    return 1 / per_second if per_second > 0 else 0.0
