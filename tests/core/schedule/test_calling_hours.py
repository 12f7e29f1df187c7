from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from reminderd.core.schedule.calling_hours import CallingHours, Span
from tests.support.builders import DAY, HOUR, MINUTE, NO_HOURS, hours
from tests.support.clock import may_ring

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
OFFICE = hours(9 * HOUR, 19 * HOUR, zone="Europe/Berlin", days=range(5))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-02 08:00", "2026-03-02 08:00"),  # Monday 09:00 in Berlin: open
        ("2026-03-02 07:59", "2026-03-02 08:00"),  # a minute early
        ("2026-03-02 18:00", "2026-03-03 08:00"),  # 19:00 is already closed
        ("2026-03-06 18:00", "2026-03-09 08:00"),  # Friday evening: Monday
        ("2026-03-27 20:00", "2026-03-30 07:00"),  # over the weekend on which the clock goes forward
    ],
)
def test_the_hours_open_at_once_or_at_their_next_start(now: str, opens: str) -> None:
    assert OFFICE.next_open(utc(now), BERLIN) == utc(opens)


def test_a_day_may_have_a_break() -> None:
    week = ((Span(9 * 60, 12 * 60), Span(14 * 60, 18 * 60)), *((),) * 6)
    monday = CallingHours(BERLIN, week)
    assert monday.next_open(utc("2026-03-02 11:00"), BERLIN) == utc("2026-03-02 13:00")
    assert monday.next_open(utc("2026-03-02 17:00"), BERLIN) == utc("2026-03-09 08:00")


def test_hours_past_midnight_belong_to_the_day_they_start_on() -> None:
    night = hours(22 * HOUR, 2 * HOUR, days={4})
    assert night.is_open(utc("2026-03-07 00:30"), BERLIN)  # Saturday 01:30, still in Friday's calling hours
    assert not night.is_open(utc("2026-03-06 00:30"), BERLIN)
    assert night.next_open(utc("2026-03-07 01:00"), BERLIN) == utc("2026-03-13 21:00")


@pytest.mark.parametrize("holiday", ["2026-12-25", "12-25"])
def test_no_hours_start_on_a_holiday(holiday: str) -> None:
    calling_hours = evolve(OFFICE, holidays=frozenset({holiday}))
    assert calling_hours.next_open(utc("2026-12-24 18:00"), BERLIN) == utc(
        "2026-12-28 08:00"
    )  # Friday the 25th: Monday


def test_a_holiday_with_a_year_does_not_apply_to_the_next_year() -> None:
    calling_hours = evolve(OFFICE, holidays=frozenset({"2026-12-25", "02-29"}))
    assert calling_hours.is_open(utc("2028-12-25 12:00"), BERLIN)
    assert calling_hours.is_open(utc("2027-03-01 12:00"), BERLIN)
    assert not calling_hours.is_open(utc("2028-02-29 12:00"), BERLIN)


def test_hours_that_began_before_a_holiday_run_to_their_end() -> None:
    night = evolve(hours(22 * HOUR, 2 * HOUR), holidays=frozenset({"12-25"}))
    assert night.is_open(utc("2026-12-25 00:30"), BERLIN)
    assert not night.is_open(utc("2026-12-25 22:00"), BERLIN)
    assert not night.is_open(utc("2026-12-26 00:30"), BERLIN)  # would be the holiday's
    assert night.next_open(utc("2026-12-25 12:00"), BERLIN) == utc("2026-12-26 21:00")


def test_a_holiday_is_a_date_in_the_patients_own_zone() -> None:
    calling_hours = evolve(hours(0 * HOUR, 24 * HOUR), holidays=frozenset({"12-25"}))
    moment = utc("2026-12-25 02:00")
    assert not calling_hours.is_open(moment, BERLIN)
    assert calling_hours.is_open(moment, NEW_YORK)


def test_a_start_skipped_by_a_clock_change_opens_right_after_it() -> None:
    early = hours(2 * HOUR + 30 * MINUTE, 5 * HOUR)
    assert early.next_open(utc("2026-03-08 06:00"), NEW_YORK) == utc("2026-03-08 07:00")  # 03:00 EDT


def test_hours_skipped_by_a_clock_change_open_on_the_next_day() -> None:
    early = hours(2 * HOUR, 3 * HOUR)
    assert early.next_open(utc("2026-03-08 06:00"), NEW_YORK) == utc("2026-03-09 06:00")


def test_an_hour_repeated_by_a_clock_change_opens_twice() -> None:
    early = hours(1 * HOUR, 1 * HOUR + 30 * MINUTE)
    assert early.next_open(utc("2026-11-01 05:30"), NEW_YORK) == utc("2026-11-01 06:00")


def test_a_clock_set_back_over_midnight_opens_the_evening_again() -> None:
    st_johns = ZoneInfo("America/St_Johns")  # until 2011 its clock went from 00:01 back to 23:01
    evening = hours(23 * HOUR + 30 * MINUTE, 23 * HOUR + 45 * MINUTE, days={5})
    midnight = utc("2010-11-07 02:30")
    assert evening.next_open(midnight, st_johns) == utc("2010-11-07 03:00")


def test_a_reminders_own_zone_decides() -> None:
    assert OFFICE.is_open(utc("2026-03-02 08:00"), BERLIN)
    assert not OFFICE.is_open(utc("2026-03-02 08:00"), NEW_YORK)


def test_without_open_days_it_never_opens() -> None:
    assert NO_HOURS.next_open(utc("2026-03-02 08:00"), BERLIN) is None


def test_an_opening_is_found_after_weeks_of_holidays_but_not_after_a_year() -> None:
    mondays = hours(9 * HOUR, 19 * HOUR, days={0})
    closed = evolve(mondays, holidays=frozenset({"12-21", "12-28", "2027-01-04"}))
    assert closed.next_open(utc("2026-12-15 12:00"), BERLIN) == utc("2027-01-11 08:00")
    all_year = frozenset(f"{utc('2024-01-01 00:00') + n * DAY:%m-%d}" for n in range(366))
    assert evolve(mondays, holidays=all_year).next_open(utc("2026-12-15 12:00"), BERLIN) is None


def test_without_hours_it_is_always_open() -> None:
    assert CallingHours(BERLIN).is_open(utc("2026-03-01 03:00"), BERLIN)


# The arithmetic against an oracle that knows none: it walks the minutes and asks the wall clock.

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",  # half an hour off
    "Australia/Lord_Howe",  # changes by half an hour
    "Pacific/Chatham",  # 45 minutes off
    "Asia/Kathmandu",  # the same, never changes
    "Africa/Cairo",  # changes at midnight
    "America/Santiago",  # the same
    "America/Havana",  # comes back to the day before
    "America/Nuuk",
    "Asia/Beirut",
    "Asia/Gaza",  # changes around Ramadan, too
    "Africa/Casablanca",  # the other way round
    "Antarctica/Troll",  # changes by two hours
    "Pacific/Apia",  # has crossed the date line
    "Pacific/Kiritimati",
    "America/Sao_Paulo",  # gave daylight saving up
)
FIRST, LAST = utc("2024-01-01 00:00"), utc("2031-01-01 00:00")


@cache
def clock_changes(zone: ZoneInfo) -> tuple[datetime, ...]:
    """The first minute of each new offset, found by looking at every day, and in some at every minute."""

    def offset(moment: datetime) -> timedelta | None:
        return moment.astimezone(zone).utcoffset()

    found = []
    day = FIRST
    while day < LAST:
        if offset(day) != offset(day + DAY):
            minutes = (day + n * MINUTE for n in range(1, 24 * 60 + 1))
            found.append(next(minute for minute in minutes if offset(minute) != offset(day)))
        day += DAY
    return tuple(found)


def first_ring(calling_hours: CallingHours, moment: datetime, zone: ZoneInfo, last: datetime) -> datetime | None:
    """Return the first minute from `moment` to `last` at which the phone may ring."""
    whole = moment.replace(second=0)
    if may_ring(calling_hours, whole, zone):
        return moment
    while (whole := whole + MINUTE) <= last:
        if may_ring(calling_hours, whole, zone):
            return whole
    return None


def test_there_are_clock_changes_of_all_kinds() -> None:
    assert len(clock_changes(BERLIN)) == 14
    assert sum(len(clock_changes(ZoneInfo(zone))) for zone in ZONES) > 150
    assert not clock_changes(ZoneInfo("Asia/Kathmandu"))


def around(wall: int) -> Iterator[tuple[Span, ...]]:
    """Yield hours around the minute at which the clock is changed: across it, after it, with a break, from it on."""
    for spans in (
        [(wall - 45, wall + 10)],
        [(wall + 10, wall + 20)],
        [(wall + 15, wall + 75)],
        [(wall - 60, wall - 50), (wall - 20, wall + 5), (wall + 25, wall + 40)],
        [(wall, wall + 24 * 60 - 1)],
    ):
        starts = ((start % (24 * 60), end - start) for start, end in spans)
        yield tuple(Span(start, start + length) for start, length in starts)


@pytest.mark.parametrize("zone", [name for name in ZONES if clock_changes(ZoneInfo(name))])
def test_around_every_clock_change_openings_match_a_minute_by_minute_search(zone: str) -> None:
    there = ZoneInfo(zone)
    for change in clock_changes(there):
        before = (change - MINUTE).astimezone(there) + MINUTE  # as the clock would show it, were it not changed
        first, last = change - 90 * MINUTE, change + 150 * MINUTE
        for spans in around(before.hour * 60 + before.minute):
            calling_hours = CallingHours(BERLIN, (spans,) * 7)
            moment, next_ring = last, None
            while moment >= first:  # backwards, so that each step knows the answer of the one after it
                is_open = may_ring(calling_hours, moment, there)
                assert calling_hours.is_open(moment, there) == is_open, (zone, moment, spans)
                next_ring = moment if is_open else next_ring
                if moment.minute % 10 in {0, 9}:
                    found = calling_hours.next_open(moment, there)
                    assert found == next_ring or (next_ring is None and found > last), (zone, moment, spans)  # type: ignore[operator]
                moment -= MINUTE


@st.composite
def days_spans(draw: Any) -> tuple[Span, ...]:
    """At most two spans, apart from each other, the last of which may end on the next day."""
    edges = sorted(draw(st.sets(st.integers(0, 24 * 60 - 1), max_size=4)))
    spans = [Span(start, end) for start, end in zip(edges[::2], edges[1::2], strict=False)]
    if len(edges) % 2:
        first = edges[0]
        spans.append(Span(edges[-1], 24 * 60 + draw(st.integers(0, first))))
    return tuple(spans)


@st.composite
def moments(draw: Any, zone: ZoneInfo) -> datetime:
    """Any of these years, or one near a change of the clock."""
    changes = clock_changes(zone)
    if changes and draw(st.booleans()):
        near: datetime = draw(st.sampled_from(changes)) + timedelta(seconds=draw(st.integers(-90_000, 20_000)))
        return near
    return FIRST + timedelta(seconds=draw(st.integers(0, int((LAST - FIRST).total_seconds()))))


@settings(max_examples=150)
@given(data=st.data(), zone=st.sampled_from(ZONES).map(ZoneInfo), week=st.tuples(*[days_spans() for _ in range(7)]))
def test_the_next_opening_matches_a_minute_by_minute_search(
    data: st.DataObject, zone: ZoneInfo, week: tuple[tuple[Span, ...], ...]
) -> None:
    moment = data.draw(moments(zone))
    near = [moment + days * DAY for days in range(-1, 5)]
    holidays = data.draw(
        st.frozensets(st.sampled_from([f"{day:%Y-%m-%d}" for day in near] + [f"{day:%m-%d}" for day in near]))
    )
    calling_hours = CallingHours(BERLIN, week, holidays)
    last = moment + 9 * DAY
    found, walked = calling_hours.next_open(moment, zone), first_ring(calling_hours, moment, zone, last)
    assert found == walked or (walked is None and (found is None or found > last))
