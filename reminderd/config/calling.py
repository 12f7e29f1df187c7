"""The sections that set when, how often and how long patients may be called: `[redial]`, `[calling]`, `[limits]`."""

from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from attrs import field, frozen

from reminderd.config import texts
from reminderd.config.hours import (
    AS_ALWAYS,
    EXPECTED_HOLIDAYS,
    EXPECTED_HOURS,
    holidays_trouble,
    hours_trouble,
    span_of,
    spans_of,
)
from reminderd.config.keys import choices, key, number, numbers, positive, switch, whole
from reminderd.core.schedule.calling_hours import CallingHours, Spans

Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_YEAR: Final = 365 * 86_400


@frozen(kw_only=True)
class RedialConfig:
    """Further calls after busy, no answer and a voicemail."""

    max_calls: int = whole(3, 1, 100)
    delay_minutes: tuple[float, ...] = numbers((15.0,), 0, _YEAR / 60)
    voicemail_is_reached: bool = switch(default=False)


@frozen(kw_only=True)
class LimitsConfig:
    """How often a phone number may be reached."""

    answered_per_day: int = whole(0, 0, 100)
    answered_per_week: int = whole(0, 0, 100)


def _day() -> str:
    return key(AS_ALWAYS, EXPECTED_HOURS, hours_trouble)


@frozen(kw_only=True)
class HoursConfig:
    """Weekdays with hours of their own."""

    mon: str = _day()
    tue: str = _day()
    wed: str = _day()
    thu: str = _day()
    fri: str = _day()
    sat: str = _day()
    sun: str = _day()


@frozen(kw_only=True)
class CallingConfig:
    """The calling hours."""

    timezone: str = key("", 'the tz database\'s name of a place, like "America/New_York"', texts.zone_trouble)
    start: str = key("00:00", 'a time from "00:00" to "23:59"', texts.start_trouble)
    end: str = key("24:00", 'a time from "00:00" to "24:00"', texts.end_trouble)
    days: tuple[Day, ...] = choices(DAYS, *DAYS)
    holidays: tuple[str, ...] = key((), EXPECTED_HOLIDAYS, holidays_trouble)
    max_lateness_minutes: float = positive(240.0, _YEAR / 60)
    group_minutes: float = number(0.0, 0.0, 24 * 60)
    hours: HoursConfig = field(factory=HoursConfig)

    @property
    def local_zone(self) -> ZoneInfo | None:
        """The clinic's time zone, in which local times are read; None if it is not known."""
        return ZoneInfo(self.timezone) if self.timezone else None

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which times are shown: the clinic's, or UTC if it is not known."""
        return self.local_zone or ZoneInfo("UTC")

    @property
    def window(self) -> CallingHours:
        """The hours as the core reads them."""
        return CallingHours(self.zone, week=tuple(self._spans(day) for day in DAYS), holidays=frozenset(self.holidays))

    def _spans(self, day: Day) -> Spans:
        own: str = getattr(self.hours, day)
        if own != AS_ALWAYS:
            return spans_of(own)
        return (span_of(self.start, self.end),) if day in self.days else ()
