"""How often a number may be reached in a day and in a week, by the patient's calendar."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.rules import Limits
from tests.support.builders import NOW

BERLIN = ZoneInfo("Europe/Berlin")
ONE_A_DAY = Limits(per_day=1)
ONE_AND_THREE = Limits(per_day=1, per_week=3)
ZONES = [
    ZoneInfo(name)
    for name in ("UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "Asia/Kathmandu", "Pacific/Apia")
]


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def test_without_a_limit_a_number_is_always_free() -> None:
    assert not Limits().is_set
    assert Limits().free_from([NOW] * 9, NOW, BERLIN) is None


def test_a_limit_of_one_a_day_waits_for_the_patients_midnight() -> None:
    reached = [at("2026-03-02 09:00")]
    assert ONE_A_DAY.free_from(reached, at("2026-03-02 23:59"), BERLIN) == at("2026-03-03 00:00")
    assert ONE_A_DAY.free_from(reached, at("2026-03-03 00:00"), BERLIN) is None


def test_a_day_is_a_calendar_day_in_the_patients_zone() -> None:
    reached = [at("2026-03-02 00:30")]  # in New York it is still the day before
    assert ONE_A_DAY.free_from(reached, at("2026-03-02 12:00"), BERLIN) is not None
    assert ONE_A_DAY.free_from(reached, at("2026-03-02 12:00"), ZoneInfo("America/New_York")) is None


def test_a_limit_of_three_a_week_waits_until_the_first_is_a_week_old() -> None:
    reached = [at("2026-03-02 09:00"), at("2026-03-03 09:00"), at("2026-03-04 09:00")]
    assert ONE_AND_THREE.free_from(reached, at("2026-03-05 09:00"), BERLIN) == at("2026-03-09 00:00")
    assert ONE_AND_THREE.free_from(reached, at("2026-03-09 00:00"), BERLIN) is None


def test_a_day_without_midnight_begins_after_the_clock_change() -> None:
    cairo = ZoneInfo("Africa/Cairo")  # 2026-04-24 begins at one o'clock
    free = ONE_A_DAY.free_from([at("2026-04-23 12:00", cairo)], at("2026-04-23 13:00", cairo), cairo)
    assert free is not None
    assert free.astimezone(cairo).isoformat() == "2026-04-24T01:00:00+03:00"


@given(
    offsets=st.lists(st.integers(-12 * 24 * 60, 12 * 24 * 60), max_size=12),
    zone=st.sampled_from(ZONES),
    per_day=st.integers(0, 3),
    per_week=st.integers(0, 5),
    start=st.datetimes(datetime(2024, 1, 1), datetime(2030, 12, 31)),  # noqa: DTZ001 - made aware below
)
def test_calling_whenever_a_number_is_free_never_exceeds_the_limits(
    offsets: list[int], zone: ZoneInfo, per_day: int, per_week: int, start: datetime
) -> None:
    """An oracle that only counts dates: at the moment that is named both counts leave room, and on no day before."""
    now = start.replace(tzinfo=UTC)
    reached = [now + timedelta(minutes=offset) for offset in offsets]
    dates = [moment.astimezone(zone).date() for moment in reached]

    def has_room(day: date) -> bool:
        on_it = sum(other == day for other in dates)
        in_week = sum(timedelta(0) <= day - other <= timedelta(days=6) for other in dates)
        return (per_day == 0 or on_it < per_day) and (per_week == 0 or in_week < per_week)

    free = Limits(per_day=per_day, per_week=per_week).free_from(reached, now, zone)
    today = now.astimezone(zone).date()
    if free is None:
        assert has_room(today)
        return
    day = free.astimezone(zone).date()
    assert has_room(day)
    assert free > now
    assert (free.astimezone(UTC) - timedelta(minutes=1)).astimezone(zone).date() < day  # not by the clock on the wall
    between = [today + timedelta(days=days) for days in range((day - today).days)]
    assert not any(map(has_room, between))


def test_after_a_clock_was_set_back_future_calls_count_on_their_own_days() -> None:
    ahead = [NOW, NOW + timedelta(days=3), NOW + timedelta(days=9)]
    free = Limits(per_week=1).free_from(ahead, NOW, ZoneInfo("UTC"))
    assert free is not None
    assert free.date() == (NOW + timedelta(days=16)).date()


@pytest.mark.parametrize("limits", [Limits(per_day=2), Limits(per_week=2)])
def test_a_number_that_was_reached_less_often_is_free(limits: Limits) -> None:
    assert limits.is_set
    assert limits.free_from([NOW], NOW, BERLIN) is None
