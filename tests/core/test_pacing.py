from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.pacing import MANY, Pace
from tests.support.builders import HOUR, NOW, SECOND

HALF = timedelta(seconds=0.5)


def test_without_a_spacing_nothing_limits_requests() -> None:
    pace = Pace(timedelta(0), NOW)
    assert (pace.available(NOW), pace.ready_at(NOW)) == (MANY, NOW)


def test_the_first_request_waits_for_nothing() -> None:
    assert (Pace(SECOND).available(NOW), Pace(SECOND).ready_at(NOW)) == (1, NOW)


def test_requests_are_spaced_evenly() -> None:
    pace = Pace(SECOND, NOW)
    assert (pace.available(NOW + HALF), pace.ready_at(NOW + HALF)) == (0, NOW + SECOND)
    assert (pace.available(NOW + SECOND), pace.ready_at(NOW + SECOND)) == (1, NOW + SECOND)


def test_unused_requests_do_not_accumulate() -> None:
    assert Pace(SECOND, NOW).available(NOW + HOUR) == 1


def test_after_the_clock_was_set_back_the_next_request_does_not_wait_for_the_old_time() -> None:
    assert Pace(SECOND, NOW).available(NOW - HOUR) == 1


def test_after_the_clock_was_set_back_a_little_the_spacing_is_kept() -> None:
    assert Pace(SECOND, NOW).ready_at(NOW - HALF) == NOW + SECOND


@given(st.lists(st.integers(0, 40), min_size=1), st.sampled_from([1, 2, 4]))
def test_the_rate_is_never_exceeded(quarters: list[int], per_second: int) -> None:
    pace, now, sent = Pace(SECOND / per_second), NOW, []
    for pause in quarters:
        now += pause * SECOND / 4
        if pace.available(now):
            pace = Pace(pace.spacing, now)
            sent.append(now)
    assert all(later - earlier >= SECOND / per_second for earlier, later in pairwise(sent))
