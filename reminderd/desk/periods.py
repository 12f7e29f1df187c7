"""The days of a report: one, a week, a month, or from one to another; and the parts in which they are plotted."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from attrs import frozen

from reminderd.core.outcomes import Figures
from reminderd.core.schedule.dates import FIRST_YEAR, LAST_YEAR
from reminderd.desk.catalog import N_

MOST_DAYS: Final = 366
"""Of a longer time, a page would take too long; `reminderd report` has no limit."""

_BY_DAY: Final = 45
_BY_WEEK: Final = 190
"""Up to so many days are plotted by day, by week; more by month."""

_DAY: Final = timedelta(days=1)

NO_DATE: Final = N_("This is not a date. Write it like 2027-03-01.")
NO_YEAR: Final = N_("This year can't be shown.")
WRONG_ORDER: Final = N_("The last day is before the first one.")
TOO_LONG: Final = N_("At most 366 days can be shown at once.")


class Kind(StrEnum):
    """How a period is chosen. What it is called is a part of addresses."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    RANGE = "range"


@frozen(kw_only=True)
class Period:
    """Some days, both ends included."""

    kind: Kind
    first: date
    last: date

    @property
    def days(self) -> int:
        """Return how many days it has."""
        return (self.last - self.first).days + 1

    @property
    def before(self) -> date:
        """Return a day of the period before."""
        return self.first - _DAY

    @property
    def after(self) -> date:
        """Return a day of the period after."""
        return self.last + _DAY

    @property
    def parts(self) -> Kind:
        """Return what a bar of its plot is."""
        return Kind.DAY if self.days <= _BY_DAY else Kind.WEEK if self.days <= _BY_WEEK else Kind.MONTH


class PeriodError(Exception):
    """It can't be read; with the field of the form, and a text that the pages translate."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field
        self.words = words


def read_period(asked: Mapping[str, str], *, today: date, first_weekday: int) -> Period:
    """Return the period that an address asks for.

    Args:
        asked: `of`, `date` and, of a range, `to`; all may be missing.
        today: the clinic's.
        first_weekday: on which day of the week a week begins, 0 for Monday.

    Raises:
        PeriodError: a date can't be read, or the period can't be shown.
    """
    kind = Kind(asked["of"]) if asked.get("of") in set(Kind) else Kind.DAY
    day = _date("date", asked.get("date", ""), today)
    match kind:
        case Kind.WEEK:
            first = day - _DAY * ((day.weekday() - first_weekday) % 7)
            return Period(kind=kind, first=first, last=first + 6 * _DAY)
        case Kind.MONTH:
            first = day.replace(day=1)
            return Period(kind=kind, first=first, last=(first + 31 * _DAY).replace(day=1) - _DAY)
        case Kind.RANGE:
            return _range(day, _date("to", asked.get("to", ""), day))
        case _:
            return Period(kind=kind, first=day, last=day)


def _range(first: date, last: date) -> Period:
    if last < first:
        raise PeriodError("to", WRONG_ORDER)
    found = Period(kind=Kind.RANGE, first=first, last=last)
    if found.days > MOST_DAYS:
        raise PeriodError("to", TOO_LONG)
    return found


def _date(field: str, text: str, default: date) -> date:
    if not text.strip():
        return default
    try:
        found = date.fromisoformat(text.strip())
    except ValueError:
        raise PeriodError(field, NO_DATE) from None
    # A week or a month may begin in the year before, and end in the one after.
    if not FIRST_YEAR < found.year < LAST_YEAR:
        raise PeriodError(field, NO_YEAR)
    return found


@frozen(kw_only=True)
class Part:
    """One bar of a plot, and one row of its table."""

    first: date
    last: date
    figures: Figures


def parts_of(days: Sequence[tuple[date, Figures]], kind: Kind, *, first_weekday: int) -> list[Part]:
    """Return the days, added up by week or by month; the first and the last part may be cut off."""
    found: list[Part] = []
    for day, figures in days:
        begins = kind is Kind.DAY or (day.day == 1 if kind is Kind.MONTH else day.weekday() == first_weekday)
        if begins or not found:
            found.append(Part(first=day, last=day, figures=figures))
        else:
            found[-1] = Part(first=found[-1].first, last=day, figures=found[-1].figures + figures)
    return found
