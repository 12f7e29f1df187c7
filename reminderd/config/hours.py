"""A day's calling hours and the holidays, as they are written: what is wrong with them, and what they mean.

As in `texts`, what is wrong is said in words that could follow the key's name; None means nothing is.
"""

import re
from datetime import date
from itertools import pairwise
from typing import Final

from reminderd.config import texts
from reminderd.core.schedule.calling_hours import DAY_MINUTES, Span, Spans

AS_ALWAYS: Final = ""
CLOSED: Final = "closed"

EXPECTED_HOURS: Final = '"" (as start, end and days say), "closed", or hours like "09:00-12:00, 14:00-19:00"'
EXPECTED_HOLIDAYS: Final = 'a list of dates like "2026-04-03", or "12-25" for each year\'s'

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EVERY_YEARS: Final = re.compile(r"[0-9]{2}-[0-9]{2}")
_ANY_LEAP_YEAR: Final = "2024"


def span_of(start: str, end: str) -> Span:
    """What two good times of day stand for; an end at or before the start lies on the next day."""
    first, last = _minutes(start), _minutes(end)
    return Span(first, last if last > first else last + DAY_MINUTES)


def spans_of(text: str) -> Spans:
    """What a day's good hours stand for, if they say more than `AS_ALWAYS`."""
    if text == CLOSED:
        return ()
    return tuple(sorted(span_of(start, end) for start, end in _written(text)))


def hours_trouble(text: str) -> str | None:
    """Of a day's hours."""
    if text in {AS_ALWAYS, CLOSED}:
        return None
    for place, (start, end) in enumerate(_written(text), start=1):
        span = f"has a span, number {place}, that"
        if not end or texts.start_trouble(start) or texts.end_trouble(end):
            return f"{span} is none from one time of day to another"
        if start == end:
            return f"{span} ends when it starts (the whole day is 00:00-24:00)"
    if any(before.end >= after.start for before, after in pairwise(spans_of(text))):
        return "has spans that overlap or touch"
    return None


def holidays_trouble(holidays: tuple[str, ...]) -> str | None:
    """Of the list of holidays; the place of every wrong one is named."""
    wrong = [str(place) for place, text in enumerate(holidays, start=1) if not _is_date(text)]
    if not wrong:
        return None
    numbers = f"number {wrong[0]}" if len(wrong) == 1 else f"numbers {', '.join(wrong)}"
    return f"has no date in {numbers} of the list"


def _written(text: str) -> list[tuple[str, str]]:
    """The start and the end of each span in a text; the end is empty where there is none."""
    halves = [span.partition("-") for span in text.split(",")]
    return [(start.strip(), end.strip()) for start, _, end in halves]


def _minutes(time_of_day: str) -> int:
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)


def _is_date(text: str) -> bool:
    if _EVERY_YEARS.fullmatch(text):
        text = f"{_ANY_LEAP_YEAR}-{text}"
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
