from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.providers.http import LONGEST_WAIT, retry_after

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param("0", 0, id="at once"),
        pytest.param("120", 120, id="seconds"),
        pytest.param(" 120 ", 120, id="with spaces"),
        pytest.param("3601", 3600, id="more than an hour"),
        pytest.param("9" * 5000, 3600, id="more than an integer"),
        pytest.param("Mon, 02 Mar 2026 12:00:30 GMT", 30, id="date"),
        pytest.param("Mon, 02 Mar 2026 13:00:30 +0100", 30, id="date elsewhere"),
        pytest.param("Mon, 02 Mar 2026 12:00:30 -0000", 30, id="date nowhere"),
        pytest.param("Monday, 02-Mar-26 12:00:30 GMT", 30, id="obsolete date"),
        pytest.param("Sun, 01 Mar 2026 12:00:00 GMT", 0, id="past date"),
        pytest.param("Mon, 02 Mar 2099 12:00:00 GMT", 3600, id="far date"),
    ],
)
def test_a_retry_after_is_seconds_or_a_date_and_an_hour_at_most(header: str, expected: int) -> None:
    assert retry_after(header, NOW) == timedelta(seconds=expected)


@pytest.mark.parametrize("header", [None, "", "soon", "-5", "1.5", "5, 5", "²", "٣", "1e3", "Mon, 99 Foo 2026"])
def test_a_malformed_retry_after_counts_as_none(header: str | None) -> None:
    assert retry_after(header, NOW) is None


@given(st.one_of(st.text(), st.from_regex(r"[A-Z][a-z]{2}, \d+ (Jan|Dec) \d{1,5} \d+:\d+:\d+ [-+]?\w{1,6}")))
def test_any_retry_after_is_read_within_the_limit_without_raising(header: str) -> None:
    wait = retry_after(header, NOW)
    assert wait is None or timedelta(0) <= wait <= LONGEST_WAIT
