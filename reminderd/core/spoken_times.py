"""Times as people and spreadsheets write them: ISO 8601, 01.03.2027 16:00, 3/1/2027 4:00 PM; never guessed."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

FIRST_YEAR, LAST_YEAR = 1971, 2999  # what the database takes, with a day to spare for time zones

_WRITTEN: Final = re.compile(
    r"""(?P<first>\d{1,4}) (?P<mark>[./-]) (?P<second>\d{1,2}) (?P=mark) (?P<third>\d{1,4})
        ,?\s+ (?P<hour>\d{1,2}) (?: \s*[:h]\s* (?P<minute>\d{2}) (?: :(?P<second_of_minute>\d{2}) (?:[.,]0+)? )? )?
        \s* (?: (?P<half>[ap])\.?\s?m\.? | (?P<oclock>uhr|h) )?""",
    re.VERBOSE | re.IGNORECASE,
)
_SLASHED: Final = re.compile(r"\s*(\d{1,2})([/-])(\d{1,2})\2\d{4}\b")
_SERIAL: Final = re.compile(r"\d{5}(?:[.,]\d+)?(?:\s.*)?")
_ISO_DATE_LENGTH: Final = len("YYYY-MM-DD")

EXPECTED: Final = "expected YYYY-MM-DD HH:MM, with an offset or by the clock on the wall"


class DayOrder(StrEnum):
    """Which comes first where a date has slashes, or dashes with the year at the end. Dots are always day first."""

    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"


def moment(text: str, zone: ZoneInfo | None, order: DayOrder | None = None) -> datetime:
    """The moment that a person wrote, in UTC and whole milliseconds: local to `zone` unless it carries an offset.

    `zone` None refuses local times.

    A local time that comes twice is its first. `order` None refuses dates that would mean another day in the other.

    Raises:
        ValueError: it is no time, or a local time that does not exist; the message says what is expected.
    """
    text = text.strip()
    try:
        typed = datetime.fromisoformat(text)
    except ValueError:
        typed = _written(text, order)
    else:
        if len(text) <= _ISO_DATE_LENGTH:
            raise ValueError(f"not a time; {EXPECTED}")
    if not FIRST_YEAR <= typed.year <= LAST_YEAR:
        raise ValueError(f"the year {typed.year}; expected one from {FIRST_YEAR} to {LAST_YEAR}")
    typed = typed.replace(microsecond=typed.microsecond // 1000 * 1000)
    if typed.tzinfo is not None:
        return typed.astimezone(UTC)
    if zone is None:
        raise ValueError("a local time, and [calling].timezone is not set; expected an offset like -05:00, or that key")
    found = typed.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) != typed:
        raise ValueError(f"that local time does not exist in {zone.key}; the clock is put forward: use another time")
    return found


def day_orders(text: str) -> frozenset[DayOrder]:
    """The orders in which a date can be read where they differ; empty: it has no slashes, or means the same in both."""
    found = _SLASHED.match(text)
    if found is None:
        return frozenset()
    first, second = int(found[1]), int(found[3])
    if first == second:
        return frozenset()
    readings = ((DayOrder.DAY_FIRST, second), (DayOrder.MONTH_FIRST, first))
    return frozenset(order for order, month in readings if month <= 12)


def _written(text: str, order: DayOrder | None) -> datetime:
    """The local time in another spelling than ISO 8601."""
    if _SERIAL.fullmatch(text):
        raise ValueError(f"a spreadsheet's own number for a time; format the column as a date and time: {EXPECTED}")
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"not a time; {EXPECTED}")
    first, second, third = found["first"], found["second"], found["third"]
    if len(first) == 4:
        year, month, day = first, second, third
    elif len(third) != 4:
        raise ValueError(f"no year of four digits; {EXPECTED}")
    elif found["mark"] == "." or order is DayOrder.DAY_FIRST or int(first) == int(second):
        day, month, year = first, second, third
    elif order is DayOrder.MONTH_FIRST:
        month, day, year = first, second, third
    else:
        raise ValueError(f"day first or month first is not clear; {EXPECTED}")
    try:
        return datetime(  # noqa: DTZ001 - local by intent: the caller knows the zone
            int(year),
            int(month),
            int(day),
            _hour(found),
            int(found["minute"] or 0),
            int(found["second_of_minute"] or 0),
        )
    except ValueError as error:
        raise ValueError(f"no such day or hour; {EXPECTED}") from error


def _hour(found: re.Match[str]) -> int:
    """The hour from 0 to 23; 12 AM is midnight."""
    hour, half = int(found["hour"]), found["half"]
    if half is None:
        if found["minute"] is None and found["oclock"] is None:
            raise ValueError("a number alone is no time of day")
        return hour
    if not 1 <= hour <= 12:
        raise ValueError("there is no such hour on a clock of twelve")
    return hour % 12 + (12 if half in "pP" else 0)
