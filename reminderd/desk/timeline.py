"""The shape of a day: how many reminders each ten minutes have, as figures to draw and as a table to read."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import frozen

from reminderd.core.outcomes import Group
from reminderd.store.day import SLOT, Day, Slot

HEIGHT: Final = 96
"""Pixels of the highest column. Widths are percentages, so that the drawing fits every screen and its text stays
readable."""

LEAST: Final = 3
"""Pixels of a part of a column, however small its share: one that needs a human must be seen among sixty others."""

_FEWEST: Final = 6
"""A column for fewer reminders is not the highest one, so that a quiet day looks quiet."""

_OPENS, _CLOSES = timedelta(hours=8), timedelta(hours=18)
"""These hours are always drawn, so that one day compares with another."""

_MOST_LABELS: Final = 12
_HOUR: Final = timedelta(hours=1)
_FROM_BELOW: Final = (Group.DONE, Group.WAITING, Group.IN_CALL, Group.NEEDS_HUMAN)


@frozen(kw_only=True)
class Bar:
    """A part of a column: the reminders of one group."""

    group: Group
    x: float
    """Percent of the width."""
    width: float
    y: int
    """Pixels from the upper end of the highest column; less than 0 where many parts are drawn higher than they are."""
    height: int


@frozen(kw_only=True)
class Tick:
    """A line for an hour."""

    at: datetime
    x: float
    is_labelled: bool


@frozen(kw_only=True)
class Hour:
    """A line of the table that says the same as the drawing."""

    at: datetime
    reminders: Mapping[Group, int]


@frozen(kw_only=True)
class Timeline:
    """What is drawn of a day."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    hours: tuple[Hour, ...]
    """Those that have reminders."""
    now: float | None
    """Where the line for the present is, in percent of the width; None: this is another day."""


def timeline_of(slots: Sequence[Slot], *, day: Day, now: datetime) -> Timeline | None:
    """Return the drawing of a day; None if it has no reminders.

    Args:
        slots: how many reminders its parts have.
        day: which. It has 23 or 25 hours where the clocks are changed.
        now: the time.
    """
    if not slots:
        return None
    # In UTC: within one zone, a difference of times would not know that an hour is missing.
    since, until = day.since.astimezone(UTC), day.until.astimezone(UTC)
    is_now = day.is_today and since <= now < until
    times = [slot.number * SLOT for slot in slots] + ([now - since] if is_now else [])
    begin = min(*times, _OPENS) // _HOUR
    end = min(max(max(times) // _HOUR + 1, _CLOSES // _HOUR), -((since - until) // _HOUR))
    every = -(-(end - begin) // _MOST_LABELS)

    def percent(time: timedelta) -> float:
        return round(100 * time / ((end - begin) * _HOUR), 2)

    def place(time: timedelta) -> float:
        return percent(time - begin * _HOUR)

    columns: dict[int, Counter[Group]] = {}
    hours: dict[int, Counter[Group]] = {}
    for slot in slots:
        columns.setdefault(slot.number, Counter())[slot.group] += slot.reminders
        hours.setdefault(slot.number * SLOT // _HOUR, Counter())[slot.group] += slot.reminders
    scale = HEIGHT / max(_FEWEST, *(column.total() for column in columns.values()))
    return Timeline(
        bars=tuple(
            Bar(group=group, x=place(number * SLOT), width=percent(SLOT), y=y, height=height)
            for number, column in columns.items()
            for group, y, height in _stacked(column, scale)
        ),
        ticks=tuple(
            Tick(at=since + hour * _HOUR, x=place(hour * _HOUR), is_labelled=(hour - begin) % every == 0)
            for hour in range(begin, end)
        ),
        hours=tuple(Hour(at=since + hour * _HOUR, reminders=counted) for hour, counted in sorted(hours.items())),
        now=place(now - since) if is_now else None,
    )


def _stacked(column: Mapping[Group, int], scale: float) -> Iterator[tuple[Group, int, int]]:
    """Yield, for each group that a column has, where its part begins, seen from above, and how high it is."""
    top = HEIGHT
    for group in _FROM_BELOW:
        if column[group]:
            height = max(round(column[group] * scale), LEAST)
            top -= height
            yield group, top, height
