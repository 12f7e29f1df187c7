from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reminderd.core.window import Window, known_zone

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
MINUTE = timedelta(minutes=1)
OFFICE = Window(BERLIN, timedelta(hours=9), timedelta(hours=19), frozenset(range(5)))


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
def test_the_next_opening(now: str, opens: str) -> None:
    assert OFFICE.next_open(utc(now), BERLIN) == utc(opens)


def test_a_window_past_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    night = Window(BERLIN, timedelta(hours=22), timedelta(hours=2), frozenset({4}))
    assert night.is_open(utc("2026-03-07 00:30"), BERLIN)  # Saturday 01:30, Friday's window
    assert not night.is_open(utc("2026-03-06 00:30"), BERLIN)
    assert night.next_open(utc("2026-03-07 01:00"), BERLIN) == utc("2026-03-13 21:00")


def test_a_start_that_does_not_exist_opens_when_the_clock_has_jumped_past_it() -> None:
    early = Window(NEW_YORK, timedelta(hours=2, minutes=30), timedelta(hours=5))
    assert early.next_open(utc("2026-03-08 06:00"), NEW_YORK) == utc("2026-03-08 07:00")  # 03:00 EDT


def test_an_hour_that_comes_twice_opens_twice() -> None:
    early = Window(NEW_YORK, timedelta(hours=1), timedelta(hours=1, minutes=30))
    assert early.next_open(utc("2026-11-01 05:30"), NEW_YORK) == utc("2026-11-01 06:00")


def test_a_reminder_is_judged_by_its_own_zone() -> None:
    assert OFFICE.is_open(utc("2026-03-02 08:00"), BERLIN)
    assert not OFFICE.is_open(utc("2026-03-02 08:00"), NEW_YORK)


def test_no_day_at_all_never_opens() -> None:
    assert Window(BERLIN, days=frozenset()).next_open(utc("2026-03-02 08:00"), BERLIN) is None


@pytest.mark.parametrize("name", ["", "Mars/Base", "../etc/passwd", "Europe", "Europe/Ber\0lin", "x" * 300])
def test_garbage_names_no_zone(name: str) -> None:
    assert known_zone(name) is None


def by_minutes(window: Window, moment: datetime, zone: ZoneInfo) -> datetime:
    while not window.is_open(moment, zone):
        moment += MINUTE
    return moment


@settings(max_examples=150, deadline=None)
@given(
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Cairo"]),
    start=st.integers(0, 95),
    length=st.integers(1, 95),
    days=st.frozensets(st.integers(0, 6), min_size=3),
    moment=st.datetimes(datetime(2024, 1, 1), datetime(2031, 1, 1)),  # noqa: DTZ001 - made aware below
)
def test_the_next_opening_is_the_first_open_minute(
    zone: str, start: int, length: int, days: frozenset[int], moment: datetime
) -> None:
    begin, end = start * 15, (start + length) * 15 % 1440
    window = Window(BERLIN, timedelta(minutes=begin), timedelta(minutes=end or 1440), days)
    moment = moment.replace(tzinfo=UTC, second=0, microsecond=0)
    assert window.next_open(moment, ZoneInfo(zone)) == by_minutes(window, moment, ZoneInfo(zone))
