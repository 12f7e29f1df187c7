"""The hours in which a phone may ring, in the patient's own time zone, right across daylight-saving changes.

Whether a moment is inside is read off the wall clock of the zone, so a time that comes twice is open (or closed)
twice, and a start that does not exist opens when the clock has jumped past it.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from attrs import frozen

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_LOOK_AHEAD_DAYS = 9  # a week, the day before (a window past midnight) and the day after


def known_zone(name: str) -> ZoneInfo | None:
    """The IANA zone of that name, or None if there is none (garbage included)."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; NULs and `../`; the name of a folder of zones
        return None


@frozen
class Window:
    """Every day of `days`, from `start` until before `end`; an `end` at or before `start` lies on the next day."""

    zone: ZoneInfo
    """The clinic's zone, for reminders that bring none of their own."""
    start: timedelta = timedelta(0)
    """Since midnight by the wall clock, whole minutes."""
    end: timedelta = _DAY
    days: frozenset[int] = frozenset(range(7))
    """Weekdays, Monday 0; a window past midnight belongs to the day on which it starts."""

    def is_open(self, moment: datetime, zone: ZoneInfo) -> bool:
        """Whether a phone in `zone` may ring at this moment."""
        local = moment.astimezone(zone)
        since_midnight = timedelta(hours=local.hour, minutes=local.minute, seconds=local.second)
        if self.start < self.end:
            return local.weekday() in self.days and self.start <= since_midnight < self.end
        if since_midnight >= self.start:
            return local.weekday() in self.days
        return since_midnight < self.end and (local.weekday() - 1) % 7 in self.days

    def next_open(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """The first moment, this one or later, at which a phone in `zone` may ring; None if no day allows it."""
        if self.is_open(moment, zone):
            return moment
        opening = (
            candidate
            for candidate in self._openings(moment.astimezone(zone).date() - _DAY, zone)
            if candidate > moment and self.is_open(candidate, zone)
        )
        return min(opening, default=None)

    def _openings(self, first: date, zone: ZoneInfo) -> Iterator[datetime]:
        """Every moment of the days from `first` at which the window could open: its starts, and clock changes."""
        for offset in range(_LOOK_AHEAD_DAYS + 1):
            midnight = datetime.combine(first + offset * _DAY, time.min)
            for fold in (0, 1):
                yield (midnight + self.start).replace(tzinfo=zone, fold=fold).astimezone(UTC)
            changed = _clock_change(midnight, zone)
            if changed is not None:
                yield changed


def _clock_change(midnight: datetime, zone: ZoneInfo) -> datetime | None:
    """The minute of that local day at which the zone's offset changes, or None if it keeps it."""
    low = midnight.replace(tzinfo=zone).astimezone(UTC)
    high = (midnight + _DAY).replace(tzinfo=zone, fold=1).astimezone(UTC)
    before = low.astimezone(zone).utcoffset()
    if before == high.astimezone(zone).utcoffset():
        return None
    while high - low > _MINUTE:
        middle = low + (high - low) // 2 // _MINUTE * _MINUTE
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high
