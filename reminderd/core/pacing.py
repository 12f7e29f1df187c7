"""Decide when the next request to place a call may be sent, by all daemons on one database together."""

from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, frozen

MANY: Final = 1_000_000
"""How many requests may be sent at once if there is no limit."""


@frozen
class Pace:
    """Spaces requests evenly. Time in which nothing was sent is not saved up, so there are no bursts."""

    spacing: timedelta
    """The time from one request to the next; zero: there is no limit."""
    used_until: datetime | None = None
    """Until when the last request delays the next one; None: none was sent yet."""

    def ready_at(self, now: datetime) -> datetime:
        """Return the moment, now or later, from which a request may be sent.

        Earlier requests delay it by one spacing at most: they may have been sent while the clock was ahead, or while
        the spacing was longer.
        """
        if not self.spacing or self.used_until is None:
            return now
        return min(max(now, self.used_until), now + self.spacing)

    def available(self, now: datetime) -> int:
        """Return how many requests may be sent at this moment."""
        if not self.spacing:
            return MANY
        return 1 if self.ready_at(now) <= now else 0

    def after(self, requests: int, now: datetime) -> "Pace":
        """Return the pace after this number of requests at this moment."""
        return evolve(self, used_until=self.ready_at(now) + requests * self.spacing) if requests else self
