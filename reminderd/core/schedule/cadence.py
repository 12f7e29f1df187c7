"""When the calls before an appointment are wanted: entries like "3 days", "1 day at 10:00", "2 hours"."""

import re
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from attrs import frozen

from reminderd.core.sentences import Sentence, TextValue

EXPECTED: Final = 'a list of times before an appointment, like "3 days", "1 week", "1 day at 10:00" or "2 hours"'

_ENTRY: Final = re.compile(
    r"(?P<count>[1-9][0-9]{0,3}) (?P<unit>week|day|hour)s?(?: at (?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}))?"
)
_LONGEST: Final = timedelta(days=365)


class Unit(StrEnum):
    """The unit of an entry."""

    WEEK = "week"
    DAY = "day"
    HOUR = "hour"


_LENGTHS: Final = {Unit.WEEK: timedelta(weeks=1), Unit.DAY: timedelta(days=1), Unit.HOUR: timedelta(hours=1)}


@frozen(cache_hash=True)
class Cadence:
    """One call before an appointment, counted back from it."""

    count: int
    unit: Unit
    at: time | None = None
    """The time on that day; None for the time of the appointment, and always with hours."""

    @property
    def name(self) -> str:
        """Return the entry in its standard spelling, which names the call in the database."""
        plural = "s" if self.count != 1 else ""
        return f"{self.count} {self.unit}{plural}" + ("" if self.at is None else f" at {self.at:%H:%M}")

    def moment(self, appointment: datetime, zone: ZoneInfo) -> datetime:
        """Return when the call before an appointment is wanted.

        Hours are elapsed time. Days and weeks are calendar days in `zone`, at the same time by its clock. If the clock
        skips that time, the call is later by as much as the clock skips. If it occurs twice, the first one counts.
        """
        back = self.count * _LENGTHS[self.unit]
        if self.unit is Unit.HOUR:
            return appointment.astimezone(UTC) - back
        local = appointment.astimezone(zone)
        wanted = datetime.combine(local.date() - back, self.at or local.time(), tzinfo=zone)
        return wanted.astimezone(UTC)


def read_cadence(text: str) -> Cadence:
    """Return the entry that is written.

    Raises:
        ValueError: the text is not an entry; the message says what is wrong.
    """
    found = _ENTRY.fullmatch(" ".join(text.lower().split()))
    if found is None:
        raise ValueError("is not a time before an appointment")
    count, unit = int(found["count"]), Unit(found["unit"])
    if count * _LENGTHS[unit] > _LONGEST:
        raise ValueError("is more than a year")
    if found["hour"] is None:
        return Cadence(count, unit)
    if unit is Unit.HOUR:
        raise ValueError("has hours together with a time of day")
    if int(found["hour"]) > 23 or int(found["minute"]) > 59:
        raise ValueError("has no such time of day")
    return Cadence(count, unit, time(int(found["hour"]), int(found["minute"])))


def cadence_in_words(name: str) -> TextValue:
    """Return the name of an entry as people read it; return any other text, from another program, unchanged."""
    try:
        entry = read_cadence(name)
    except ValueError:
        return name
    count = {"count": entry.count}
    span = {
        Unit.WEEK: Sentence("%(count)s week", count, "%(count)s weeks"),
        Unit.DAY: Sentence("%(count)s day", count, "%(count)s days"),
        Unit.HOUR: Sentence("%(count)s hour", count, "%(count)s hours"),
    }[entry.unit]
    if entry.at is None:
        return span
    return Sentence("%(span)s at %(time)s", {"span": span, "time": f"{entry.at:%H:%M}"})
