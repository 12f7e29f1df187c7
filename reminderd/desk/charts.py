"""Compute what pages draw: the timeline of a day, and the plot of a report, both from bars in parts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from attrs import frozen

from reminderd.core.outcomes import Figure, Figures, Group
from reminderd.store.day import SLOT, Day, Slot

# The timeline: the number of reminders in each ten minutes, to be drawn, and as a table to be read

COLUMN: Final = 96
"""The height of the highest column, in pixels. Widths are percentages, so that the drawing fits every screen and its
text stays readable."""

LEAST: Final = 3
"""The least height of a part of a column, in pixels: one reminder that needs a human must be seen among sixty."""

_FEWEST: Final = 6
"""The fewest reminders for which a column has the full height, so that a quiet day looks quiet."""

_OPENS, _CLOSES = timedelta(hours=8), timedelta(hours=18)
"""The hours that are always drawn, so that days can be compared."""

_MOST_LABELS: Final = 12
_HOUR: Final = timedelta(hours=1)
_FROM_BELOW: Final = (Group.DONE, Group.WAITING, Group.IN_CALL, Group.NEEDS_HUMAN)


@frozen(kw_only=True)
class Bar:
    """A part of a column: the reminders of one group."""

    group: Group
    x: float
    """The position in percent of the width."""
    width: float
    y: int
    """Pixels from the upper end of the highest column; less than 0 where many parts are drawn higher than they are."""
    height: int


@frozen(kw_only=True)
class Tick:
    """A line for an hour."""

    at: datetime
    x: float
    is_labeled: bool


@frozen(kw_only=True)
class Hour:
    """A line of the table that has the same data as the drawing."""

    at: datetime
    reminders: Mapping[Group, int]


@frozen(kw_only=True)
class Timeline:
    """What is drawn of a day."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    hours: tuple[Hour, ...]
    """The hours that have reminders."""
    now: float | None
    """Where the line for the present is, in percent of the width; None on another day."""


def timeline_of(slots: Sequence[Slot], *, day: Day, now: datetime) -> Timeline | None:
    """Return the drawing of a day; None if it has no reminders.

    Args:
        slots: how many reminders the parts of the day have.
        day: the day. It has 23 or 25 hours if the clocks are changed.
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
    scale = COLUMN / max(_FEWEST, *(column.total() for column in columns.values()))
    return Timeline(
        bars=tuple(
            Bar(group=group, x=place(number * SLOT), width=percent(SLOT), y=y, height=height)
            for number, column in columns.items()
            for group, y, height in _stacked(column, scale)
        ),
        ticks=tuple(
            Tick(at=since + hour * _HOUR, x=place(hour * _HOUR), is_labeled=(hour - begin) % every == 0)
            for hour in range(begin, end)
        ),
        hours=tuple(Hour(at=since + hour * _HOUR, reminders=counted) for hour, counted in sorted(hours.items())),
        now=place(now - since) if is_now else None,
    )


def _stacked(column: Mapping[Group, int], scale: float) -> Iterator[tuple[Group, int, int]]:
    """Yield, for each group in a column, the upper end of its part, and its height."""
    top = COLUMN
    for group in _FROM_BELOW:
        if column[group]:
            height = max(round(column[group] * scale), LEAST)
            top -= height
            yield group, top, height


# The plot: a bar for each day, week or month, with a part for each figure, on top of each other

WIDTH: Final = 480
HEIGHT: Final = 220
LEFT: Final = 40
"""The room for the numbers of the lines."""
RIGHT: Final = 6
TOP: Final = 10
BOTTOM: Final = 26
"""The room for the labels below them."""

_MOST_TICKS: Final = 5
_LABEL_WIDTH: Final = 34
_WIDEST_BAR: Final = 36.0
_SHARE: Final = 0.72
"""The share of its place that a bar takes."""


@frozen(kw_only=True)
class Segment:
    """The part of a bar for one figure."""

    figure: Figure
    count: int
    x: float
    y: float
    width: float
    height: float


@frozen(kw_only=True)
class PlotBar:
    """One bar."""

    center: float
    is_labeled: bool
    """Whether it has a label: there is not room for all."""
    segments: tuple[Segment, ...]


@frozen(kw_only=True)
class PlotTick:
    """A line across, with its number."""

    y: float
    value: int


@frozen(kw_only=True)
class Plot:
    """A plot, in the units of a picture that is `WIDTH` wide and `HEIGHT` high."""

    bars: tuple[PlotBar, ...]
    """One for each value."""
    ticks: tuple[PlotTick, ...]


def plot_of(values: Sequence[Figures]) -> Plot:
    """Return the plot of at least one value, in the order of time."""
    most = max(each.total for each in values)
    step = _step(most)
    top = step * max(-(-most // step), 1)
    unit = (HEIGHT - TOP - BOTTOM) / top
    room = (WIDTH - LEFT - RIGHT) / len(values)
    each_labeled = -(-_LABEL_WIDTH // max(int(room), 1))
    bars = []
    for place, figures in enumerate(values):
        center = LEFT + room * (place + 0.5)
        segments = tuple(_segments(figures, unit, center, width=min(room * _SHARE, _WIDEST_BAR)))
        bars.append(PlotBar(center=round(center, 1), is_labeled=place % each_labeled == 0, segments=segments))
    ticks = [PlotTick(y=round(HEIGHT - BOTTOM - value * unit, 1), value=value) for value in range(0, top + 1, step)]
    return Plot(bars=tuple(bars), ticks=tuple(ticks))


def _segments(figures: Figures, unit: float, center: float, *, width: float) -> Iterator[Segment]:
    """Yield the parts of a bar from below; one reminder is `unit` high."""
    y = float(HEIGHT - BOTTOM)
    for figure in Figure:
        if count := figures[figure]:
            y -= count * unit
            shape = {"x": center - width / 2, "y": y, "width": width, "height": count * unit}
            yield Segment(figure=figure, count=count, **{name: round(size, 1) for name, size in shape.items()})


def _step(most: int) -> int:
    """Return a round distance between the lines, so that a few lines reach the highest bar."""
    step = 1
    while most > step * _MOST_TICKS:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return step
