from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from reminderd.core.expected_files import Expected, missing_words
from reminderd.core.schedule.time_zones import Daily
from tests.support.builders import HOUR, NO_HOURS, hours

BERLIN = ZoneInfo("Europe/Berlin")
BY = Expected(
    by=Daily(at=time(6, 30), zone=BERLIN),
    hours=evolve(hours(9 * HOUR, 17 * HOUR, zone="Europe/Berlin", days=range(5)), holidays=frozenset({"05-01"})),
)
"""On weekdays; the first of May 2026 is a Friday."""


def at(day: int, hour: int, minute: int = 0, month: int = 4) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("last", "now", "missing"),
    [
        (None, at(28, 6, 30), at(28, 6, 30)),
        (at(27, 23), at(28, 12), None),
        (at(28, 5), at(28, 12), None),
        (at(27, 5), at(28, 6, 29), None),
        (at(27, 5), at(28, 6, 30), at(28, 6, 30)),
        (at(27, 5), at(29, 3), at(28, 6, 30)),
        # late, and still the file of its own day
        (at(27, 8), at(27, 9), None),
        (at(27, 8), at(28, 6, 30), at(28, 6, 30)),
        # Friday night's is for Monday
        (at(24, 22), at(25, 12), None),
        (at(24, 22), at(27, 6, 30), None),
        (at(24, 5), at(27, 6, 30), at(27, 6, 30)),
        # nobody is called on the first of May: Thursday's is the last one before Monday's
        (at(29, 22), at(1, 12, month=5), None),
        (at(30, 5), at(4, 6, 30, month=5), at(4, 6, 30, month=5)),
        (at(1, 5, month=5), at(4, 6, 30, month=5), None),
    ],
)
def test_a_file_is_missing_from_its_time_on(last: datetime | None, now: datetime, missing: datetime | None) -> None:
    assert BY.missing(last, now) == missing


def test_where_nobody_is_ever_called_no_file_is_missing() -> None:
    assert evolve(BY, hours=NO_HOURS).missing(None, at(28, 12)) is None


def test_a_missing_file_is_named_by_its_time_at_the_clinic() -> None:
    assert missing_words(at(28, 6, 30), BERLIN) == (
        "no file has come to [import].folder: one was expected by 2026-04-28 06:30"
    )
