"""How long to wait before the next try: exponential, with jitter so that many waiters do not come back together.

Source of the rule: "Timeouts, retries and backoff with jitter", the Amazon Builders' Library.
"""

from datetime import timedelta

from attrs import frozen


@frozen
class Backoff:
    """Pauses that double from `first` up to `maximum`."""

    first: timedelta
    maximum: timedelta

    def ceiling(self, failures: int) -> timedelta:
        """The longest pause after so many failures in a row (1 for the first)."""
        doublings = min(max(failures - 1, 0), 32)  # 2**32 seconds is past any maximum; keeps the product finite
        return min(self.maximum, self.first * (1 << doublings))

    def full_jitter(self, failures: int, draw: float) -> timedelta:
        """A pause between nothing and the ceiling; `draw` is a random number in [0, 1)."""
        return self.ceiling(failures) * draw

    def half_jitter(self, failures: int, draw: float) -> timedelta:
        """A pause between half the ceiling and all of it: for a wait that must not be none."""
        return self.ceiling(failures) * (0.5 + draw / 2)
