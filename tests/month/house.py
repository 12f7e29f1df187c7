"""Derive a clinic's rules and its calendar only from the sentences of the documents."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from attrs import frozen

_ENTRY_LENGTHS: Final = {"week": timedelta(weeks=1), "day": timedelta(days=1), "hour": timedelta(hours=1)}


@frozen(kw_only=True)
class House:
    """The clinic's rules, as its configuration states them."""

    zone: ZoneInfo
    hours: Mapping[int, tuple[time, time]]
    """The calling hours by weekday; a missing weekday has none."""
    holidays: frozenset[date]
    before: tuple[str, ...]
    max_calls: int = 3
    redial_after: timedelta = timedelta(minutes=15)
    lateness: timedelta = timedelta(hours=4)

    def span(self, day: date) -> tuple[datetime, datetime] | None:
        """Return the calling hours of a day."""
        if day in self.holidays or day.weekday() not in self.hours:
            return None
        start, end = (datetime.combine(day, one, tzinfo=self.zone).astimezone(UTC) for one in self.hours[day.weekday()])
        return start, end

    def is_open(self, moment: datetime) -> bool:
        span = self.span(moment.astimezone(self.zone).date())
        return span is not None and span[0] <= moment < span[1]

    def next_open(self, moment: datetime) -> datetime:
        """Return the first moment from this one on in the calling hours."""
        day = moment.astimezone(self.zone).date()
        while True:
            span = self.span(day)
            if span is not None and moment < span[1]:
                return max(moment, span[0])
            day += timedelta(days=1)

    def earlier(self, moment: datetime) -> datetime:
        """Return the moment itself if it is in the calling hours, else their last start before it."""
        if self.is_open(moment):
            return moment
        day = moment.astimezone(self.zone).date()
        while True:
            span = self.span(day)
            if span is not None and span[0] <= moment:
                return span[0]
            day -= timedelta(days=1)

    def planned(self, appointment: datetime) -> list[datetime]:
        """Return when the patient is to be called; two entries at the same moment make one call."""
        return sorted({self.earlier(self._wanted(entry, appointment)) for entry in self.before})

    def _wanted(self, entry: str, appointment: datetime) -> datetime:
        number, unit, *at = entry.replace(" at ", " ").split()
        back = int(number) * _ENTRY_LENGTHS[unit.removesuffix("s")]
        if unit.startswith("hour"):
            return appointment.astimezone(UTC) - back
        wall = appointment.astimezone(self.zone)
        clock = time.fromisoformat(at[0]) if at else wall.time()
        return datetime.combine(wall.date() - back, clock, tzinfo=self.zone).astimezone(UTC)

    def limit(self, planned: datetime, appointment: datetime) -> datetime:
        """Return the moment from which nobody is called anymore."""
        return min(planned + self.lateness, appointment)


@cache
def spoken_time(text: str, year: int, zone: ZoneInfo) -> datetime:
    """Return the time that a message mentions, like `Tuesday, March 3 at 9:00 AM`."""
    wall = datetime.strptime(f"{text} {year}", "%A, %B %d at %I:%M %p %Y").replace(tzinfo=zone)
    return wall.astimezone(UTC)
