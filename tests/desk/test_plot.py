"""The geometry of the plot."""

import pytest

from reminderd.core.outcomes import Figure, Figures
from reminderd.desk.plot import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, plot_of

QUIET = Figures()
BUSY = Figures({Figure.CONFIRMED: 30, Figure.NOT_REACHED: 10})


def test_the_parts_of_a_bar_stand_on_each_other_and_add_up() -> None:
    plot = plot_of([QUIET, BUSY])
    empty, bar = plot.bars
    assert empty.segments == ()
    lower, upper = bar.segments
    assert (lower.figure, upper.figure) == (Figure.CONFIRMED, Figure.NOT_REACHED)
    assert lower.y + lower.height == pytest.approx(HEIGHT - BOTTOM, abs=0.2)
    assert upper.y + upper.height == pytest.approx(lower.y, abs=0.2)
    assert lower.height == pytest.approx(3 * upper.height, abs=0.3)


@pytest.mark.parametrize(
    ("most", "values"),
    [
        (0, [0, 1]),
        (1, [0, 1]),
        (5, [0, 1, 2, 3, 4, 5]),
        (6, [0, 2, 4, 6]),
        (40, [0, 10, 20, 30, 40]),
        (401, [0, 100, 200, 300, 400, 500]),
        (12_345, [0, 5_000, 10_000, 15_000]),
    ],
)
def test_the_lines_across_have_round_numbers(most: int, values: list[int]) -> None:
    plot = plot_of([Figures({Figure.REACHED: most})])
    assert [tick.value for tick in plot.ticks] == values
    assert plot.ticks[0].y == HEIGHT - BOTTOM
    assert plot.ticks[-1].y == pytest.approx(TOP, abs=0.1)


@pytest.mark.parametrize(("bars", "labeled"), [(1, 1), (7, 7), (31, 11), (366, 11)])
def test_everything_is_inside_and_labels_have_room(bars: int, labeled: int) -> None:
    plot = plot_of([BUSY] * bars)
    segments = [segment for bar in plot.bars for segment in bar.segments]
    assert all(one.x >= LEFT and one.x + one.width <= WIDTH and one.y >= TOP - 0.1 for one in segments)
    assert sum(bar.is_labeled for bar in plot.bars) == labeled
