from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.pacing import MANY, Pace
from tests.support.builders import HOUR, NOW, SECOND

ONE_A_SECOND = Pace(SECOND)
HALF = timedelta(seconds=0.5)


def test_without_a_spacing_nothing_limits_requests() -> None:
    pace = Pace(timedelta(0)).after(1_000, NOW)
    assert (pace.available(NOW), pace.ready_at(NOW)) == (MANY, NOW)


def test_requests_are_spaced_evenly() -> None:
    assert ONE_A_SECOND.available(NOW) == 1
    pace = ONE_A_SECOND.after(1, NOW)
    assert (pace.available(NOW + HALF), pace.ready_at(NOW + HALF)) == (0, NOW + SECOND)
    assert (pace.available(NOW + SECOND), pace.ready_at(NOW + SECOND)) == (1, NOW + SECOND)


def test_unused_requests_do_not_accumulate() -> None:
    later = NOW + HOUR
    pace = ONE_A_SECOND.after(1, NOW)
    assert pace.available(later) == 1
    assert pace.after(1, later).available(later + HALF) == 0


def test_without_a_request_the_pace_stays_the_same() -> None:
    assert ONE_A_SECOND.after(0, NOW) == ONE_A_SECOND


def test_a_request_under_a_longer_spacing_delays_the_next_one_by_at_most_one_of_ours() -> None:
    slow = Pace(timedelta(seconds=100)).after(1, NOW)
    assert Pace(2 * SECOND, slow.used_until).ready_at(NOW) == NOW + 2 * SECOND


def test_a_request_under_a_shorter_spacing_still_counts() -> None:
    quick = Pace(HALF).after(1, NOW)
    assert Pace(SECOND, quick.used_until).ready_at(NOW) == NOW + HALF


def test_after_the_clock_was_set_back_the_next_request_waits_for_one_spacing_at_most() -> None:
    pace = ONE_A_SECOND.after(1, NOW)
    assert pace.ready_at(NOW - HOUR) == NOW - HOUR + SECOND


@given(st.lists(st.integers(0, 40), min_size=1), st.sampled_from([1, 2, 4]))
def test_the_rate_is_never_exceeded(quarters: list[int], per_second: int) -> None:
    pace, now, sent = Pace(SECOND / per_second), NOW, []
    for pause in quarters:
        now += pause * SECOND / 4
        if pace.available(now):
            pace = pace.after(1, now)
            sent.append(now)
    assert all(later - earlier >= SECOND / per_second for earlier, later in pairwise(sent))
