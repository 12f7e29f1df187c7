"""The calling hours, in the patient's own time zone, right across daylight-saving changes.

Whether a moment is inside is read off the wall clock of the zone, so a time that comes twice is open (or closed)
twice, and a start that does not exist opens when the clock has jumped past it.
"""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from attrs import frozen

DAY_MINUTES: Final = 24 * 60

_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_LOOK_AHEAD_DAYS: Final = 366


@frozen(order=True)
class Span:
    """From a minute until before another one, both counted since midnight by the wall clock."""

    start: int
    """Before the end of the day to which the span belongs."""
    end: int
    """After `start`, by a day at most; past `DAY_MINUTES` it lies on the next day."""


Spans: TypeAlias = tuple[Span, ...]

WHOLE_DAY: Final[Spans] = (Span(0, DAY_MINUTES),)


@frozen(cache_hash=True)
class CallingHours:
    """For each weekday the spans that start on it; on a holiday none does, but one from the day before goes on."""

    zone: ZoneInfo
    """The clinic's zone, for reminders without one of their own."""
    week: tuple[Spans, ...] = (WHOLE_DAY,) * 7
    """Monday first."""
    holidays: frozenset[str] = frozenset()
    """Dates in the patient's zone: "2026-04-03", or "12-25" for each year's."""

    def is_open(self, moment: datetime, zone: ZoneInfo) -> bool:
        """Return whether a patient in `zone` may be called at this moment."""
        local = moment.astimezone(zone)
        minute = local.hour * 60 + local.minute
        return self._covers(local.date(), minute) or self._covers(local.date() - _DAY, minute + DAY_MINUTES)

    def opens_on(self, day: date) -> bool:
        """Return whether calling hours start on a day."""
        return bool(self._starting_on(day))

    def next_open(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """Return the first moment, now or later, when a patient in `zone` may be called; None: not within a year."""
        if self.is_open(moment, zone):
            return moment
        since = moment.astimezone(UTC)
        for _ in range(_LOOK_AHEAD_DAYS):  # days of UTC: they come in order, those of a wall clock may overlap
            openings = [at for at in self._candidates(since, since + _DAY, zone) if self.is_open(at, zone)]
            if openings:
                return min(openings)
            since += _DAY
        return None

    def last_start(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """Return the moment if a patient in `zone` may be called then, else the latest start of calling hours before.

        None: there is none within a year.
        """
        if self.is_open(moment, zone):
            return moment
        until = moment.astimezone(UTC)
        for _ in range(_LOOK_AHEAD_DAYS):
            starts = [at for at in self._candidates(until - _DAY, until, zone) if self._is_start(at, zone)]
            if starts:
                return max(starts)
            until -= _DAY
        return None

    def _is_start(self, moment: datetime, zone: ZoneInfo) -> bool:
        """Return whether calling hours start at a moment, as one of them is written or as the clock was changed."""
        if not self.is_open(moment, zone):
            return False
        local = moment.astimezone(zone)
        is_written = any(span.start == local.hour * 60 + local.minute for span in self._starting_on(local.date()))
        return is_written or not self.is_open(moment - _MINUTE, zone)

    def _covers(self, day: date, minute: int) -> bool:
        return any(span.start <= minute < span.end for span in self._starting_on(day))

    def _starting_on(self, day: date) -> Spans:
        written = day.isoformat()
        is_holiday = written in self.holidays or written[len("YYYY-") :] in self.holidays
        return () if is_holiday else self.week[day.weekday()]

    def _candidates(self, since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Yield every moment after `since` and until `until` at which calling may begin: starts, and a clock change."""
        day = since.astimezone(zone).date() - _DAY  # a clock put back over midnight shows the day before again
        while day <= until.astimezone(zone).date():
            for span in self._starting_on(day):
                start = datetime.combine(day, time(span.start // 60, span.start % 60), zone)
                moments = (start.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
                yield from (at for at in moments if since < at <= until)
            day += _DAY
        changed = _clock_change(since, until, zone)
        if changed is not None:
            yield changed


def _clock_change(since: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first minute with the offset from UTC that the zone has at `until`, or None if it had it all along."""
    begin = since.replace(second=0, microsecond=0)
    after = until.astimezone(zone).utcoffset()

    def has_changed(minute: int) -> bool:
        return (begin + minute * _MINUTE).astimezone(zone).utcoffset() == after

    if has_changed(0):  # as on almost every day
        return None
    minutes = bisect_left(range((until - begin) // _MINUTE), True, key=has_changed)
    return begin + minutes * _MINUTE
