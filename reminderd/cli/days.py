"""A day, or a range of days, as a person asks for it."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import click

from reminderd.clock import SystemClock
from reminderd.core.schedule.dates import FIRST_YEAR, LAST_YEAR

_DAY: Final = timedelta(days=1)


def of_days(command: Callable[..., None]) -> Callable[..., None]:
    """Options for a day, or a range of days."""
    for option in (
        click.option("--to", "last", metavar="DATE", help="The last day of a range."),
        click.option("--from", "first", metavar="DATE", help="The first day of a range."),
        click.option("--date", "day", metavar="DATE", help="One day: YYYY-MM-DD, today, tomorrow or yesterday."),
    ):
        command = option(command)
    return command


def span_of(
    day: str | None, first: str | None, last: str | None, zone: ZoneInfo, mistakes: list[str]
) -> tuple[datetime | None, datetime | None]:
    """From when on, and before when, by the clock of `zone`; None: for ever. What is wrong is added to `mistakes`."""
    if day is not None and (first is not None or last is not None):
        mistakes.append("--date: with --from or --to; expected the one or the other")
    begin = _date(first if day is None else day, "--from" if day is None else "--date", zone, mistakes)
    end = _date(last, "--to", zone, mistakes) if day is None else begin
    if begin is not None and end is not None and end < begin:
        mistakes.append("--to: before --from; expected the same day or a later one")
    return (
        None if begin is None else _midnight(begin, zone),
        None if end is None else _midnight(end + _DAY, zone),
    )


def _date(text: str | None, option: str, zone: ZoneInfo, mistakes: list[str]) -> date | None:
    if text is None:
        return None
    today = SystemClock().now().astimezone(zone).date()
    spoken = {"yesterday": today - _DAY, "today": today, "tomorrow": today + _DAY}
    if text in spoken:
        return spoken[text]
    try:
        asked = date.fromisoformat(text)
    except ValueError:
        mistakes.append(f"{option}: not a date; expected YYYY-MM-DD, today, tomorrow or yesterday")
        return None
    if not FIRST_YEAR <= asked.year <= LAST_YEAR:
        mistakes.append(f"{option}: the year {asked.year}; expected one from {FIRST_YEAR} to {LAST_YEAR}")
        return None
    return asked


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone)
