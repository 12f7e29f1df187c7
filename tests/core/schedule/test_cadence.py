from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.schedule.cadence import Cadence, Unit, cadence_in_words, read_cadence
from reminderd.core.sentences import text_of

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "cadence"),
    [
        ("3 days", Cadence(3, Unit.DAY)),
        ("1 day at 10:00", Cadence(1, Unit.DAY, time(10))),
        ("  2  Weeks  AT 9:05 ", Cadence(2, Unit.WEEK, time(9, 5))),
        ("1 hours", Cadence(1, Unit.HOUR)),
        ("365 days", Cadence(365, Unit.DAY)),
    ],
)
def test_these_entries_are_read(text: str, cadence: Cadence) -> None:
    assert read_cadence(text) == cadence
    assert read_cadence(cadence.name) == cadence


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "not a time before"),
        ("0 days", "not a time before"),
        ("-1 day", "not a time before"),
        ("3", "not a time before"),
        ("3 months", "not a time before"),
        ("1.5 days", "not a time before"),
        ("1 day at 10", "not a time before"),
        ("\u0663 days", "not a time before"),
        ("366 days", "more than a year"),
        ("9000 hours", "more than a year"),
        ("2 hours at 10:00", "hours together with a time of day"),
        ("1 day at 24:00", "no such time of day"),
        ("1 day at 10:60", "no such time of day"),
    ],
)
def test_these_entries_are_refused(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        read_cadence(text)


@pytest.mark.parametrize(
    ("entry", "appointment", "wanted"),
    [
        ("1 day", "2026-03-30 09:00", "2026-03-29 09:00+02:00"),  # 23 hours before: the clock went forward
        ("24 hours", "2026-03-30 09:00", "2026-03-29 09:00+02:00"),
        ("1 week", "2026-04-01 09:00", "2026-03-25 09:00+01:00"),
        ("168 hours", "2026-04-01 09:00", "2026-03-25 08:00+01:00"),
        ("1 day at 02:30", "2026-03-30 09:00", "2026-03-29 03:30+02:00"),  # the clock leaves it out
        ("1 day at 02:30", "2026-10-26 09:00", "2026-10-25 02:30+02:00"),  # it comes twice
        ("2 days at 10:00", "2026-03-03 00:15", "2026-03-01 10:00+01:00"),
        ("1 day", "2028-03-01 08:00", "2028-02-29 08:00+01:00"),
    ],
)
def test_days_count_by_calendar_and_hours_by_elapsed_time(entry: str, appointment: str, wanted: str) -> None:
    at = datetime.fromisoformat(appointment).replace(tzinfo=BERLIN)
    assert read_cadence(entry).moment(at, BERLIN) == datetime.fromisoformat(wanted)


@given(at=st.datetimes(timezones=st.just(BERLIN), min_value=datetime(2024, 1, 1), max_value=datetime(2030, 1, 1)))  # noqa: DTZ001 - the zone is the strategy's
def test_every_call_is_wanted_before_its_appointment(at: datetime) -> None:
    for entry in ("1 hour", "1 day", "1 day at 23:59", "1 week at 00:00"):
        assert read_cadence(entry).moment(at, BERLIN) < at


@pytest.mark.parametrize("name", ["1 week", "2 weeks", "1 day at 10:00", "3 days", "1 hour", "12 hours", "soon"])
def test_an_entry_in_words_is_its_name_in_english(name: str) -> None:
    assert text_of(cadence_in_words(name), str) == name
