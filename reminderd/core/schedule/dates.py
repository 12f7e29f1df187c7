"""Read times as people and spreadsheets write them: ISO 8601, 01.03.2027 16:00, March 1, 2027 4:00 PM; never guessed.

A slot (09:00 - 09:30) is read as its start. The names of months and weekdays are those of four languages, from CLDR.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale

from reminderd.core.tables.words import unaccented

FIRST_YEAR, LAST_YEAR = 1971, 2999  # the years that the database accepts, less a margin for time zones
EXPECTED: Final = "expected YYYY-MM-DD HH:MM in local time, or with an offset"
_NUMBER_FOR_TIME: Final = f"a spreadsheet's own number for a time; format the column as a date and time: {EXPECTED}"

DAY: Final = timedelta(days=1)
_NOON: Final = timedelta(hours=12)
_LONGEST_SLOT: Final = timedelta(hours=3)
"""The longest slot that is written in 12-hour time, like 12:30-01:00."""

OFFSETS: Final = frozenset(
    timedelta(minutes=minutes)
    for minutes in (
        *range(-12 * 60, 14 * 60 + 1, 60),
        *(-570, -210, -150, 210, 270, 330, 345, 390, 525, 570, 630, 765, 825),
    )
)
"""The offsets from UTC that some place in the world has, in summer or in winter."""

_CENTURY: Final = 2000
"""A year with two digits is in this century."""

_ISO: Final = re.compile(
    r"""(?P<date>\d{4}-\d\d-\d\d|\d{8}) (?P<mark>[Tt ])
        (?P<clock>\d\d:\d\d (?: :\d\d (?:[.,]\d+)? )? | \d{4} (?: \d\d (?:[.,]\d+)? )? )
        (?: \ ?(?P<offset> [Zz] | (?P<sign>[+-]) (?P<hours>\d\d) (?: :?(?P<minutes>\d\d) )? ) )?""",
    re.VERBOSE | re.ASCII,
)
_NUMBERED: Final = re.compile(
    r"(?P<first>\d{1,4}) (?P<mark>[./-]) [ ]?(?P<second>\d{1,2}) (?P=mark) [ ]?(?P<third>\d{1,4})",
    re.VERBOSE | re.ASCII,
)
_DAY_FIRST: Final = re.compile(
    r"""(?P<day>[0-9]{1,2}) (?:st|nd|rd|th|er|º|\.)? (?:[ ]+|-) (?:de[ ]+)?
        (?P<month>[^\W\d_]+)\.? (?:,?[ ]+|-) (?:del?[ ]+)? (?P<year>[0-9]{4})""",
    re.VERBOSE | re.IGNORECASE,
)
_MONTH_FIRST: Final = re.compile(
    r"(?P<month>[^\W\d_]+)\.? [ ]+ (?P<day>[0-9]{1,2}) (?:st|nd|rd|th)? ,?[ ]+ (?P<year>[0-9]{4})",
    re.VERBOSE | re.IGNORECASE,
)
_WEEKDAY: Final = re.compile(r"([^\W\d_]+)\.?,?[ ]+")
_CLOCK: Final = r"""
    (?: (?P<{0}hour>[0-9]{{1,2}})
        (?: \s*[:h.]\s* (?P<{0}minute>[0-9]{{2}}) (?: [:.](?P<{0}second>[0-9]{{2}}) (?:[.,]0+)? )? )?
      | (?P<{0}compact>[0-9]{{4}}) )
    \s* (?: (?P<{0}half>[ap])\.?\s?m\.? | (?P<{0}oclock>uhr|h) )?"""
_TIME_OF_DAY: Final = re.compile(
    rf"""(?: ,?[ ]+ | , ) (?: (?:um|à|at|a\ las?)[ ]+ )? {_CLOCK.format("")}
         (?P<end> \s*(?:[-–—]|bis|to)\s* {_CLOCK.format("end_")} )?""",
    re.VERBOSE | re.IGNORECASE,
)
_SERIAL: Final = re.compile(r"\d{5}(?:[.,]\d+)?(?:[\s,].*)?")
_FRACTION: Final = re.compile(r"(?: ,?[ ]+ | , ) 0[.,][0-9]+", re.VERBOSE)
"""A time of day as a part of a day: 0.38 is nine o'clock, not 38 minutes past midnight."""
_SLASHED: Final = re.compile(
    r"(?P<first>\d{1,2}) (?P<mark>[/-]) [ ]?(?P<second>\d{1,2}) (?P=mark) [ ]?\d{2,4} (?!\d)", re.VERBOSE | re.ASCII
)


_HALF: Final = re.compile(r"[0-9]\s*[ap]\.?\s?m\b", re.IGNORECASE)
_BEFORE_NOON: Final = re.compile(r"(?:^|[ ,])(?:0?[1-6]|[7-9]|1[01])[:.][0-9]{2}(?:[:.][0-9]{2})?\s*$")
"""A time that may lack its PM: 01:30 is rarely at night, whereas 09:30 with its zero is of the 24-hour clock."""


class DayOrder(StrEnum):
    """Whether day or month comes first in a date with slashes, or with dashes and the year last. With dots: the day."""

    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"


def day_of(text: str, today: date) -> date:
    """Return the day that a person means: YYYY-MM-DD, today, tomorrow or yesterday.

    Raises:
        ValueError: it is not a day, or the database does not accept its year; the message says what is expected.
    """
    known = {"yesterday": today - DAY, "today": today, "tomorrow": today + DAY}
    if text in known:
        return known[text]
    try:
        asked = date.fromisoformat(text)
    except ValueError:
        raise ValueError("not a date; expected YYYY-MM-DD, today, tomorrow or yesterday") from None
    if not FIRST_YEAR <= asked.year <= LAST_YEAR:
        raise ValueError(f"the year {asked.year}; expected one from {FIRST_YEAR} to {LAST_YEAR}")
    return asked


def moment_of_text(
    text: str, zone: ZoneInfo | None, order: DayOrder | None = None, *, midnight: bool = True
) -> datetime:
    """Return the moment that a person wrote, in UTC and whole milliseconds: local to `zone` unless it has an offset.

    `zone` None refuses local times.

    If a local time occurs twice, the first one counts. If `order` is None, ambiguous dates are refused. If `midnight`
    is False, local midnight is refused: spreadsheets save a date without a time of day in this way.

    Raises:
        ValueError: it is not a time, or a local time that does not exist; the message says what is expected.
    """
    text = text.strip()
    typed = _iso(text) or _written(text, order)
    if not FIRST_YEAR <= typed.year <= LAST_YEAR:
        raise ValueError(f"the year {typed.year}; expected one from {FIRST_YEAR} to {LAST_YEAR}")
    typed = typed.replace(microsecond=typed.microsecond // 1000 * 1000)
    if typed.tzinfo is not None:
        return typed.astimezone(UTC)
    if zone is None:
        raise ValueError("a local time, and [calling].timezone is not set; expected an offset like -05:00, or that key")
    if not midnight and typed.time() == time(0):
        raise ValueError(f"midnight, as a date without a time of day is saved; {EXPECTED}")
    found = typed.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) != typed:
        raise ValueError(f"that local time does not exist in {zone.key}; the clock is put forward: use another time")
    return found


def day_orders(text: str) -> frozenset[DayOrder]:
    """Return the orders in which a date can be read; empty if the order makes no difference."""
    text = text.strip()
    named = _WEEKDAY.match(text)
    found = _SLASHED.match(text, 0 if named is None else named.end())
    if found is None:
        return frozenset()
    first, second = int(found["first"]), int(found["second"])
    if first == second:
        return frozenset()
    readings = ((DayOrder.DAY_FIRST, second), (DayOrder.MONTH_FIRST, first))
    return frozenset(order for order, month in readings if month <= 12)


@lru_cache(maxsize=2_000)  # a table has the same few times in most lines
def has_half(text: str) -> bool | None:
    """Return whether a time is written with AM or PM; None if that makes no difference, as for 16:30 or 09:30."""
    if _HALF.search(text) is not None:
        return True
    return False if _BEFORE_NOON.search(text) is not None and _ISO.fullmatch(text.strip()) is None else None


def _iso(text: str) -> datetime | None:
    """Return a time in ISO 8601, the only spelling with offsets; None if it has another spelling."""
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    try:
        local = datetime.fromisoformat(f"{found['date']}T{found['clock']}")
    except ValueError as error:
        raise ValueError(f"no such day or hour; {EXPECTED}") from error
    if found["offset"] is None:
        return local
    size = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    offset = -size if found["sign"] == "-" else size
    may_be_slot = _may_be_slot(found, local, size)
    if offset in OFFSETS and may_be_slot:
        raise ValueError(f"a slot or a time with an offset; {EXPECTED}: write T before a time with an offset")
    if offset in OFFSETS:
        return local.replace(tzinfo=timezone(offset))
    if may_be_slot:
        return local
    raise ValueError(f"no place in the world has the offset {found['offset']}; {EXPECTED}")


def _may_be_slot(found: re.Match[str], local: datetime, end: timedelta) -> bool:
    """Return whether an apparent offset may be the end of a slot, as in 09:00-09:30."""
    is_short = len(found["clock"]) <= len("HH:MM")
    start = timedelta(hours=local.hour, minutes=local.minute)
    is_over_noon = start < _NOON + timedelta(hours=1) and timedelta(0) < end + _NOON - start <= _LONGEST_SLOT
    is_later = start < end < timedelta(days=1) or is_over_noon
    return found["sign"] == "-" and found["mark"] == " " and is_short and is_later


def _written(text: str, order: DayOrder | None) -> datetime:
    """Return a local time that is not in ISO 8601."""
    if _SERIAL.fullmatch(text):
        raise ValueError(_NUMBER_FOR_TIME)
    named = _WEEKDAY.match(text)
    found = _dated(text)
    weekday = _numbers_by_name("days").get(_folded(named[1])) if found is None and named is not None else None
    if weekday is not None and named is not None:
        text = text[named.end() :]
        found = _dated(text)
    if found is None:
        raise ValueError(f"not a time; {EXPECTED}")
    parts = _numbers(found, order)
    if _FRACTION.fullmatch(text, found.end()):
        raise ValueError(_NUMBER_FOR_TIME)
    clock = _TIME_OF_DAY.fullmatch(text[found.end() :])
    if clock is None:
        raise ValueError(f"not a time; {EXPECTED}")
    hour = _hour_alone(clock, "") or (_hour_alone(clock, "end_") if clock["end"] else None)
    if hour is not None:
        raise ValueError(f"an hour without minutes; expected a time like {hour}:00")
    try:
        day, start = date(*parts), _clock(clock, "")
        end = _clock(clock, "end_") if clock["end"] else None
    except ValueError as error:
        raise ValueError(f"no such day or hour; {EXPECTED}") from error
    if weekday is not None and day.weekday() != weekday:
        raise ValueError(f"{day} is another day of the week; expected the two to agree")
    if end is not None and (end <= start or (clock["end_half"] and not clock["half"])):
        raise ValueError(f"a slot that ends before it begins, or begins AM or PM; {EXPECTED}")
    return datetime.combine(day, start)


def _dated(text: str) -> re.Match[str] | None:
    """Return the date at the beginning of a text; None if there is none."""
    for pattern in (_NUMBERED, _DAY_FIRST, _MONTH_FIRST):
        found = pattern.match(text)
        if found is not None and (pattern is _NUMBERED or _month_of(found["month"]) is not None):
            return found
    return None


def _numbers(found: re.Match[str], order: DayOrder | None) -> tuple[int, int, int]:
    """Return year, month and day of a date."""
    if found.re is not _NUMBERED:
        return int(found["year"]), _month_of(found["month"]) or 0, int(found["day"])
    first, second, third = (int(found[name]) for name in ("first", "second", "third"))
    if len(found["first"]) == 4 and len(found["third"]) <= 2:
        return first, second, third
    is_short = len(found["third"]) == 2 and found["mark"] != "-"
    if len(found["first"]) > 2 or not (is_short or len(found["third"]) == 4):
        raise ValueError(f"no year of four digits; {EXPECTED}")
    year = third + (_CENTURY if is_short else 0)
    if found["mark"] == "." or order is DayOrder.DAY_FIRST or first == second:
        return year, second, first
    if order is DayOrder.MONTH_FIRST:
        return year, first, second
    raise ValueError(f"day first or month first is not clear; {EXPECTED}")


def _hour_alone(found: re.Match[str], which: str) -> str | None:
    """Return the hour, in two digits, if nothing shows that it is an hour, like 16 alone; None if it is clear."""
    hour = found[f"{which}hour"]
    if hour is None or any(found[f"{which}{part}"] is not None for part in ("minute", "half", "oclock")):
        return None
    return f"{int(hour):02}" if int(hour) < 24 else None


def _clock(found: re.Match[str], which: str) -> time:
    """Return the time of day; 12 AM is midnight. `which` is "end_" for the end of a slot."""
    compact, half = found[f"{which}compact"], found[f"{which}half"]
    hour, minute = found[f"{which}hour"], found[f"{which}minute"]
    if compact is not None:
        hour, minute = compact[:2], compact[2:]
    if half is None:
        return time(int(hour), int(minute or 0), int(found[f"{which}second"] or 0))
    if not 1 <= int(hour) <= 12:
        raise ValueError("there is no such hour on a clock of twelve")
    afternoon = 12 if half in "pP" else 0
    return time(int(hour) % 12 + afternoon, int(minute or 0), int(found[f"{which}second"] or 0))


LANGUAGES: Final = ("en", "de", "es", "fr")


def _month_of(name: str) -> int | None:
    """Return the month, from 1 to 12, with this name or abbreviation; None if there is none."""
    return _numbers_by_name("months").get(_folded(name))


@cache
def _numbers_by_name(kind: str) -> dict[str, int]:
    """Return the number of every spelling; cached, and read only if needed, as reading the languages is slow."""
    return dict(day_names(kind))


def day_names(kind: str) -> Iterator[tuple[str, int]]:
    """Yield every spelling of each of the `months` or `days`, with its number."""
    for language in LANGUAGES:
        contexts: Mapping[str, Mapping[str, Mapping[int, str]]] = getattr(Locale(language), kind)
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in contexts[context][width].items():
                    yield _folded(name), number


def _folded(text: str) -> str:
    """Return a text without case, accents and the dot of an abbreviation."""
    return unaccented(text).strip(". ")


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day of the clinic begins."""
    return datetime.combine(day, time.min, tzinfo=zone)
