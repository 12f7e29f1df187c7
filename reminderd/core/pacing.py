"""Decide when the next request to place a call may be sent, by all daemons on one database together."""

from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

MANY: Final = 1_000_000
"""How many requests may be sent at once if there is no limit."""


@frozen
class Pace:
    """Spaces requests evenly. Time in which nothing was sent is not saved up, so there are no bursts."""

    spacing: timedelta
    """The time from one request to the next; zero: there is no limit."""
    sent_at: datetime | None = None
    """When the last request was sent; None: none was sent yet."""

    def ready_at(self, now: datetime) -> datetime:
        """Return the moment, now or later, from which a request may be sent.

        A request that was sent while the clock was ahead delays nothing: it could delay the next one for hours.
        """
        if not self.spacing or self.sent_at is None or self.sent_at > now + self.spacing:
            return now
        return max(now, self.sent_at + self.spacing)

    def available(self, now: datetime) -> int:
        """Return how many requests may be sent at this moment."""
        if not self.spacing:
            return MANY
        return 1 if self.ready_at(now) <= now else 0
