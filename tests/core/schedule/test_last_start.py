"""The planned moment of a call that is wanted outside the calling hours: earlier, never later."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from reminderd.core.schedule.calling_hours import CallingHours, Span
from tests.core.schedule.test_calling_hours import OFFICE, ZONES, days_spans, moments
from tests.support.builders import DAY, MINUTE, NO_HOURS
from tests.support.clock import may_ring

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("wanted", "planned"),
    [
        ("2026-03-02 18:59", "2026-03-02 18:59"),  # Monday: open
        ("2026-03-02 19:00", "2026-03-02 09:00"),
        ("2026-03-02 08:59", "2026-02-27 09:00"),  # Friday
        ("2026-03-01 12:00", "2026-02-27 09:00"),
        ("2026-03-29 12:00", "2026-03-27 09:00"),  # the clock goes forward
    ],
)
def test_a_call_outside_the_hours_is_moved_to_their_last_start_before_it(wanted: str, planned: str) -> None:
    moment = datetime.fromisoformat(wanted).replace(tzinfo=BERLIN)
    assert OFFICE.last_start(moment, BERLIN) == datetime.fromisoformat(planned).replace(tzinfo=BERLIN)


def test_hours_continue_over_midnight_and_are_not_needed_on_each_day() -> None:
    night = CallingHours(BERLIN, ((Span(22 * 60, 26 * 60),), *((),) * 6))  # Mondays

    def planned(wanted: str) -> str:
        found = night.last_start(datetime.fromisoformat(wanted).replace(tzinfo=BERLIN), BERLIN)
        assert found is not None
        return f"{found.astimezone(BERLIN):%Y-%m-%d %H:%M}"

    assert planned("2026-03-03 01:59") == "2026-03-03 01:59"
    assert planned("2026-03-03 02:00") == "2026-03-02 22:00"
    assert planned("2026-03-02 21:00") == "2026-02-23 22:00"


def test_days_that_are_open_without_a_break_have_a_start_each() -> None:
    weekdays = evolve(OFFICE, week=((Span(0, 24 * 60),),) * 5 + ((),) * 2)
    sunday = datetime(2026, 3, 1, 12, 0, tzinfo=BERLIN)
    assert weekdays.last_start(sunday, BERLIN) == datetime(2026, 2, 27, 0, 0, tzinfo=BERLIN)


def test_hours_whose_start_the_clock_leaves_out_start_when_it_has_changed() -> None:
    early = CallingHours(BERLIN, ((Span(150, 240),),) * 7)
    changed = datetime.fromisoformat("2026-03-29 01:00+00:00")
    assert early.last_start(changed + 300 * MINUTE, BERLIN) == changed


def test_without_calling_hours_there_is_no_start() -> None:
    assert NO_HOURS.last_start(datetime(2026, 3, 2, tzinfo=BERLIN), BERLIN) is None


def walked_back(calling_hours: CallingHours, moment: datetime, zone: ZoneInfo, first: datetime) -> datetime | None:
    """This moment, or else the last minute before it at which hours start by the wall clock."""
    if may_ring(calling_hours, moment, zone):
        return moment
    whole = moment.replace(second=0, microsecond=0)
    while whole >= first:
        if may_ring(calling_hours, whole, zone):
            wall = whole.astimezone(zone)
            midnight = wall.replace(tzinfo=None, hour=0, minute=0, second=0)
            is_holiday = {f"{midnight:%Y-%m-%d}", f"{midnight:%m-%d}"} & calling_hours.holidays
            starts = () if is_holiday else [span.start for span in calling_hours.week[wall.weekday()]]
            if wall.hour * 60 + wall.minute in starts or not may_ring(calling_hours, whole - MINUTE, zone):
                return whole
        whole -= MINUTE
    return None


@settings(max_examples=100)
@given(data=st.data(), zone=st.sampled_from(ZONES).map(ZoneInfo), week=st.tuples(*[days_spans() for _ in range(7)]))
def test_the_last_start_is_the_one_that_a_walk_back_through_the_minutes_finds(
    data: st.DataObject, zone: ZoneInfo, week: tuple[tuple[Span, ...], ...]
) -> None:
    moment = data.draw(moments(zone))
    near = [moment - days * DAY for days in range(5)]
    holidays = data.draw(
        st.frozensets(st.sampled_from([f"{day:%Y-%m-%d}" for day in near] + [f"{day:%m-%d}" for day in near]))
    )
    calling_hours = CallingHours(BERLIN, week, holidays)
    first = moment - 9 * DAY
    found, walked = calling_hours.last_start(moment, zone), walked_back(calling_hours, moment, zone, first)
    assert found == walked or (walked is None and (found is None or found < first))
    assert found is None or (found <= moment and may_ring(calling_hours, found, zone))
