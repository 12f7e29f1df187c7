"""The geometry of a plot: a bar for each day, week or month, with a part for each figure, on top of each other."""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from reminderd.core.outcomes import Figure, Figures

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
"""How much of its place a bar takes."""


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

    place: int
    """Which of the values it shows, from 0."""
    center: float
    is_labeled: bool
    """Not every bar has room for a label."""
    segments: tuple[Segment, ...]


@frozen(kw_only=True)
class PlotTick:
    """A line across, with its number."""

    y: float
    value: int


@frozen(kw_only=True)
class Plot:
    """Everything that is drawn, in the units of a picture that is `WIDTH` wide and `HEIGHT` high."""

    bars: tuple[PlotBar, ...]
    ticks: tuple[PlotTick, ...]


def plot_of(values: Sequence[Figures]) -> Plot:
    """Return the plot of at least one value, in the order of time."""
    step = _step(max(each.total for each in values))
    top = step * max(-(-max(each.total for each in values) // step), 1)
    unit = (HEIGHT - TOP - BOTTOM) / top
    room = (WIDTH - LEFT - RIGHT) / len(values)
    width = min(room * _SHARE, _WIDEST_BAR)
    each_labeled = -(-_LABEL_WIDTH // max(int(room), 1))
    bars = []
    for place, figures in enumerate(values):
        center, base, segments = LEFT + room * (place + 0.5), float(HEIGHT - BOTTOM), []
        for figure in Figure:
            if figures[figure]:
                height = figures[figure] * unit
                base -= height
                segments.append(
                    Segment(
                        figure=figure,
                        count=figures[figure],
                        x=round(center - width / 2, 1),
                        y=round(base, 1),
                        width=round(width, 1),
                        height=round(height, 1),
                    )
                )
        is_labeled = place % each_labeled == 0
        bars.append(PlotBar(place=place, center=round(center, 1), is_labeled=is_labeled, segments=tuple(segments)))
    ticks = [PlotTick(y=round(HEIGHT - BOTTOM - value * unit, 1), value=value) for value in range(0, top + 1, step)]
    return Plot(bars=tuple(bars), ticks=tuple(ticks))


def _step(most: int) -> int:
    """Return a round number, so that a few of them reach the highest bar."""
    step = 1
    while most > step * _MOST_TICKS:
        step = step * 5 // 2 if str(step)[0] == "2" else step * 2
    return step
