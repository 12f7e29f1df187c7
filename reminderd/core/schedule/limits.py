"""How often a phone number may be reached: so many times a day and a week, by the patient's own calendar."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Final
from zoneinfo import ZoneInfo

from attrs import frozen

WEEK: Final = timedelta(days=7)

_DAY: Final = timedelta(days=1)


@frozen(kw_only=True)
class Limits:
    """Calls that reach somebody, for each number; 0 sets no limit."""

    per_day: int = 0
    """On one date."""
    per_week: int = 0
    """On a date and the six before it."""

    @property
    def any(self) -> bool:
        """Return whether there is a limit at all."""
        return bool(self.per_day or self.per_week)

    def free_from(self, reached: Iterable[datetime], now: datetime, zone: ZoneInfo) -> datetime | None:
        """Return when the number may be called again; None if it may be called now.

        Args:
            reached: when it was reached, as far back as a week and a day; after `now`, too, if a clock was put back.
            now: the time.
            zone: the patient's.
        """
        on = Counter(moment.astimezone(zone).date() for moment in reached)
        today = now.astimezone(zone).date()
        if self._allows(on, today):
            return None
        later = (today + days * _DAY for days in count(1))
        return _begins(next(day for day in later if self._allows(on, day)), zone)

    def _allows(self, on: Counter[date], day: date) -> bool:
        in_week = sum(on[day - days * _DAY] for days in range(WEEK.days))
        return not (0 < self.per_day <= on[day] or 0 < self.per_week <= in_week)


def _begins(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a local date, also where midnight does not exist."""
    midnight = datetime.combine(day, time.min, tzinfo=zone)
    # A midnight that is jumped over is read with the offset from before: back and forth it lands past the jump.
    return datetime.fromtimestamp(midnight.timestamp(), zone)
