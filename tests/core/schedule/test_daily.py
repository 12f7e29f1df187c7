from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from reminderd.core.schedule.time_zones import Daily

BERLIN = ZoneInfo("Europe/Berlin")
AT = Daily(at=time(2, 30), zone=BERLIN)


def local(day: int, hour: int, minute: int = 0, month: int = 3) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("last", "now", "due"),
    [
        (None, local(2, 12), local(2, 12)),  # never done: at once
        (local(2, 2, 30), local(2, 12), local(3, 2, 30)),
        (local(1, 2, 30), local(2, 2), local(2, 2, 30)),
        (local(1, 2, 30), local(2, 2, 30), local(2, 2, 30)),
        (local(1, 2, 30), local(2, 12), local(2, 2, 30)),  # missed tonight: due since then
        (local(1, 2, 29), local(2, 1), local(1, 2, 30)),  # missed yesterday: due since then
        (local(2, 15), local(2, 16), local(3, 2, 30)),  # a catch-up counts for the day
        (local(5, 2, 30), local(2, 16), local(3, 2, 30)),  # the clock was put back
    ],
)
def test_a_daily_job_is_due_at_its_time_or_since_a_missed_time(
    last: datetime | None, now: datetime, due: datetime
) -> None:
    assert AT.due(last, now) == due
    assert AT.due(None if last is None else last.astimezone(UTC), now.astimezone(UTC)) == due


def test_a_daily_time_skipped_by_a_clock_change_is_due_an_hour_later() -> None:
    assert AT.due(local(28, 2, 30), local(28, 12)).astimezone(UTC) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_a_daily_time_repeated_by_a_clock_change_is_due_once() -> None:
    first = AT.due(local(24, 2, 30, month=10), local(24, 12, month=10))
    assert first.astimezone(UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert AT.due(first, first + timedelta(hours=1)) == local(26, 2, 30, month=10)
