"""Which days an address asks for, and in which parts they are plotted."""

from datetime import date, timedelta
from itertools import pairwise

import pytest

from reminderd.core.outcomes import Figure, Figures
from reminderd.desk.periods import (
    NO_DATE,
    NO_YEAR,
    TOO_LONG,
    WRONG_ORDER,
    Kind,
    PeriodError,
    parts_of,
    read_period,
)

TODAY = date(2026, 3, 4)  # a Wednesday
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("asked", "first_weekday", "first", "last"),
    [
        ({}, 0, TODAY, TODAY),
        ({"of": "year", "date": "2026-02-01"}, 0, date(2026, 2, 1), date(2026, 2, 1)),
        ({"of": "week"}, 0, date(2026, 3, 2), date(2026, 3, 8)),
        ({"of": "week"}, 6, date(2026, 3, 1), date(2026, 3, 7)),
        ({"of": "week", "date": "2026-03-01"}, 6, date(2026, 3, 1), date(2026, 3, 7)),
        ({"of": "month", "date": "2028-02-29"}, 0, date(2028, 2, 1), date(2028, 2, 29)),
        ({"of": "month", "date": "2026-12-31"}, 0, date(2026, 12, 1), date(2026, 12, 31)),
        ({"of": "range", "date": "2026-03-01", "to": "2026-03-09"}, 0, date(2026, 3, 1), date(2026, 3, 9)),
        ({"of": "range", "date": "2026-03-01"}, 0, date(2026, 3, 1), date(2026, 3, 1)),
        ({"of": "day", "date": " 2026-03-01 ", "to": "nonsense"}, 0, date(2026, 3, 1), date(2026, 3, 1)),
    ],
)
def test_a_period_has_whole_days(asked: dict[str, str], first_weekday: int, first: date, last: date) -> None:
    period = read_period(asked, today=TODAY, first_weekday=first_weekday)
    assert (period.first, period.last) == (first, last)
    assert (period.before, period.after) == (first - DAY, last + DAY)


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ({"date": "tomorrow"}, "date", NO_DATE),
        ({"date": "2026-02-30"}, "date", NO_DATE),
        ({"of": "month", "date": "9999-12-31"}, "date", NO_YEAR),
        ({"of": "week", "date": "0001-01-01"}, "date", NO_YEAR),
        ({"of": "range", "date": "2026-03-02", "to": "2026-03-01"}, "to", WRONG_ORDER),
        ({"of": "range", "date": "2026-03-02", "to": "2027-03-03"}, "to", TOO_LONG),
        ({"of": "range", "date": "2026-03-02", "to": "x"}, "to", NO_DATE),
    ],
)
def test_what_can_not_be_shown_is_refused_with_its_field(asked: dict[str, str], field: str, words: str) -> None:
    with pytest.raises(PeriodError) as refused:
        read_period(asked, today=TODAY, first_weekday=0)
    assert (refused.value.field, refused.value.words) == (field, words)


@pytest.mark.parametrize(
    ("to", "kind", "begins"),
    [
        ("2026-04-14", Kind.DAY, 42),
        ("2026-04-30", Kind.WEEK, 9),
        ("2026-12-31", Kind.MONTH, 10),
    ],
)
def test_a_long_time_is_plotted_in_weeks_and_months_that_add_up(to: str, kind: Kind, begins: int) -> None:
    period = read_period({"of": "range", "date": "2026-03-04", "to": to}, today=TODAY, first_weekday=0)
    days = [(period.first + place * DAY, Figures({Figure.REACHED: 1}, 1)) for place in range(period.days)]
    parts = parts_of(days, period.parts, first_weekday=0)
    assert (period.parts, len(parts)) == (kind, begins)
    assert (parts[0].first, parts[-1].last) == (period.first, period.last)
    assert all(one.last + DAY == other.first for one, other in pairwise(parts))
    assert sum(part.figures.total for part in parts) == period.days
