"""The interface for counting; `metrics` implements it with a library that is loaded only if Prometheus is used."""

from datetime import datetime, timedelta

from reminderd.core.answers import PlacingAnswer


class Instruments:
    """Remembers the last webhook, and counts nothing. If Prometheus is used, a subclass in `metrics` counts."""

    def __init__(self) -> None:
        self.last_webhook: datetime | None = None
        """When a webhook was last recorded; None if there was none since the start."""

    def webhook(self, code: int, now: datetime) -> None:
        """Note a webhook that was answered with this HTTP code."""
        if code in {200, 204}:
            self.last_webhook = now

    def request(self, answer: PlacingAnswer, seconds: float) -> None:
        """Note how long the provider took to answer a request to place a call."""

    def lateness(self, late: timedelta) -> None:
        """Note how late a reminder is dialed for the first time."""

    def batch(self, writes: int) -> None:
        """Note how many writes one transaction of the writer contained."""

    def recovery(self) -> None:
        """Note a lease that ended during a request."""

    def series(self) -> bytes:
        """Return all counts in Prometheus' text format."""
        return b""
