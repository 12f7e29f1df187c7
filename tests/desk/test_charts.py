"""What is drawn of a day, and the geometry of the plot."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from reminderd.core.outcomes import Figure, Figures, Group
from reminderd.desk.charts import BOTTOM, COLUMN, HEIGHT, LEAST, LEFT, TOP, WIDTH, Bar, Timeline, plot_of, timeline_of
from reminderd.store.day import Day, Slot
from tests.support.builders import DAY, HOUR, MINUTE

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
TODAY = Day(since=MIDNIGHT, until=MIDNIGHT + DAY, is_today=True)
TEN = 10 * 6
"""The slot at ten o'clock."""


def drawn(*slots: Slot, day: Day = TODAY, now: datetime = MIDNIGHT + 10 * HOUR) -> Timeline:
    found = timeline_of(slots, day=day, now=now)
    assert found is not None
    return found


def test_a_day_without_reminders_is_not_drawn() -> None:
    assert timeline_of((), day=TODAY, now=MIDNIGHT) is None


def test_the_axis_has_the_usual_hours_and_those_of_early_and_late_reminders() -> None:
    def hours(timeline: Timeline) -> tuple[int, int]:
        return timeline.ticks[0].at.hour, timeline.ticks[-1].at.hour

    assert hours(drawn(Slot(TEN, Group.DONE, 1))) == (8, 17)
    assert hours(drawn(Slot(7 * 6 + 5, Group.DONE, 1), Slot(20 * 6, Group.WAITING, 1))) == (7, 20)
    assert hours(drawn(Slot(TEN, Group.DONE, 1), now=MIDNIGHT + 5 * HOUR)) == (5, 17)
    assert hours(drawn(Slot(0, Group.DONE, 1), Slot(143, Group.DONE, 1))) == (0, 23)


def test_a_reminder_is_drawn_at_its_time() -> None:
    (bar,) = drawn(Slot(TEN, Group.WAITING, 1)).bars
    assert bar.x == 20
    assert bar.width == pytest.approx(100 / 60, abs=0.01)


def test_a_column_shows_what_needs_a_human_on_top_and_what_is_done_below() -> None:
    bars = drawn(
        Slot(TEN, Group.NEEDS_HUMAN, 2),
        Slot(TEN, Group.DONE, 6),
        Slot(TEN, Group.IN_CALL, 1),
        Slot(TEN, Group.WAITING, 3),
    ).bars
    assert [bar.group for bar in bars] == [Group.DONE, Group.WAITING, Group.IN_CALL, Group.NEEDS_HUMAN]
    assert bars[0].y + bars[0].height == COLUMN
    for below, above in pairwise(bars):
        assert above.y + above.height == below.y
    assert bars[-1].y == 0, "the highest column has the whole height"


def test_a_column_for_few_is_low() -> None:
    (bar,) = drawn(Slot(TEN, Group.DONE, 3)).bars
    assert bar.height == COLUMN / 2


def test_one_that_needs_a_human_is_seen_among_many_others() -> None:
    many, one = drawn(Slot(TEN, Group.DONE, 200), Slot(TEN, Group.NEEDS_HUMAN, 1)).bars
    assert isinstance(many, Bar)
    assert one.height == LEAST


@pytest.mark.parametrize(
    ("day", "now", "expected"),
    [
        (TODAY, MIDNIGHT + 13 * HOUR, 50),
        (TODAY, MIDNIGHT - MINUTE, None),
        (TODAY, MIDNIGHT + DAY, None),
        (Day(since=MIDNIGHT, until=MIDNIGHT + DAY, is_today=False), MIDNIGHT + 13 * HOUR, None),
    ],
)
def test_the_present_is_drawn_only_in_todays_day(day: Day, now: datetime, expected: float | None) -> None:
    assert drawn(Slot(TEN, Group.DONE, 1), day=day, now=now).now == expected


def test_at_most_twelve_hours_are_labelled_so_that_they_fit_on_a_phone() -> None:
    usual = drawn(Slot(TEN, Group.DONE, 1))
    whole = drawn(Slot(0, Group.DONE, 1), Slot(143, Group.DONE, 1))
    assert [tick.is_labeled for tick in usual.ticks] == [True] * 10
    assert [tick.at.hour for tick in whole.ticks if tick.is_labeled] == list(range(0, 24, 2))


def test_the_table_has_the_same_numbers_by_the_hour() -> None:
    found = drawn(Slot(TEN, Group.DONE, 1), Slot(TEN + 5, Group.DONE, 2), Slot(TEN + 6, Group.WAITING, 4))
    assert [(hour.at.hour, dict(hour.reminders)) for hour in found.hours] == [
        (10, {Group.DONE: 3}),
        (11, {Group.WAITING: 4}),
    ]


@pytest.mark.parametrize(("date", "hours", "label"), [((2026, 3, 29), 23, 3), ((2026, 10, 25), 25, 2)])
def test_a_day_on_which_the_clocks_are_changed_has_the_hours_that_it_has(
    date: tuple[int, int, int], hours: int, label: int
) -> None:
    zone = ZoneInfo("Europe/Berlin")
    since = datetime(*date, tzinfo=zone)
    day = Day(since=since, until=since + timedelta(days=1), is_today=True)
    last = Slot((hours - 1) * 6, Group.DONE, 1)
    found = drawn(Slot(0, Group.DONE, 1), last, day=day, now=since.astimezone(UTC) + 12 * HOUR)
    assert len(found.ticks) == hours
    third = found.ticks[3 if hours == 25 else 2].at.astimezone(zone)
    assert third.hour == label
    assert max(bar.x + bar.width for bar in found.bars) <= 100


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
