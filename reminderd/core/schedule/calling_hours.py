"""The calling hours, in the patient's own time zone, correct also when daylight-saving time begins or ends.

The wall clock of the zone decides whether a moment is in the calling hours. So a time that occurs twice is open (or
closed) both times. If the clock skips the start of the calling hours, they open right after the skip.
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
    """The minutes from `start` up to, but not including, `end`; both count from midnight, by the wall clock."""

    start: int
    """Before the end of the day to which the span belongs."""
    end: int
    """After `start`, by a day at most; beyond `DAY_MINUTES`, it is on the next day."""


Spans: TypeAlias = tuple[Span, ...]

WHOLE_DAY: Final[Spans] = (Span(0, DAY_MINUTES),)


@frozen(cache_hash=True)
class CallingHours:
    """The spans that start on each weekday. No span starts on a holiday, but one from the day before continues."""

    zone: ZoneInfo
    """The clinic's zone, for reminders without their own."""
    week: tuple[Spans, ...] = (WHOLE_DAY,) * 7
    """Monday first."""
    holidays: frozenset[str] = frozenset()
    """Dates in the patient's zone: "2026-04-03", or "12-25" for December 25 of every year."""

    def is_open(self, moment: datetime, zone: ZoneInfo) -> bool:
        """Return whether a patient in `zone` may be called at this moment."""
        local = moment.astimezone(zone)
        minute = local.hour * 60 + local.minute
        return self._covers(local.date(), minute) or self._covers(local.date() - _DAY, minute + DAY_MINUTES)

    def opens_on(self, day: date) -> bool:
        """Return whether any calling hours start on this day."""
        return bool(self._starting_on(day))

    def next_open(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """Return the first time from `moment` on when a patient in `zone` may be called; None if not within a year."""
        if self.is_open(moment, zone):
            return moment
        since = moment.astimezone(UTC)
        for _ in range(_LOOK_AHEAD_DAYS):  # days of UTC are in order, while days of a wall clock may overlap
            openings = [at for at in self._candidates(since, since + _DAY, zone) if self.is_open(at, zone)]
            if openings:
                return min(openings)
            since += _DAY
        return None

    def last_start(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """Return the moment if a patient in `zone` may be called then, else the last start of calling hours before it.

        Return None if there is no start within a year.
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
        """Return whether calling hours start at a moment: at a configured start, or because the clock has changed."""
        if not self.is_open(moment, zone):
            return False
        local = moment.astimezone(zone)
        is_configured = any(span.start == local.hour * 60 + local.minute for span in self._starting_on(local.date()))
        return is_configured or not self.is_open(moment - _MINUTE, zone)

    def _covers(self, day: date, minute: int) -> bool:
        return any(span.start <= minute < span.end for span in self._starting_on(day))

    def _starting_on(self, day: date) -> Spans:
        written = day.isoformat()
        is_holiday = written in self.holidays or written[len("YYYY-") :] in self.holidays
        return () if is_holiday else self.week[day.weekday()]

    def _candidates(self, since: datetime, until: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Yield each moment after `since`, up to and including `until`, at which calling hours may start."""
        day = since.astimezone(zone).date() - _DAY  # a clock that is set back over midnight repeats the day before
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
    """Return the first minute with the UTC offset that the zone has at `until`; None if the offset is the same."""
    begin = since.replace(second=0, microsecond=0)
    after = until.astimezone(zone).utcoffset()

    def has_changed(minute: int) -> bool:
        return (begin + minute * _MINUTE).astimezone(zone).utcoffset() == after

    if has_changed(0):  # as on almost every day
        return None
    minutes = bisect_left(range((until - begin) // _MINUTE), True, key=has_changed)
    return begin + minutes * _MINUTE
