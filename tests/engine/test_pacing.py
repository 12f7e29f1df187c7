from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.engine.context import Pacing


@pytest.mark.parametrize("per_second", [0, -1])
def test_no_rate_sets_no_limit(per_second: float) -> None:
    pacing = Pacing(per_second)
    pacing.spend(1_000, now=5.0)
    assert pacing.available(5.0) >= 1_000
    assert pacing.next_at(5.0) == 5.0


def test_requests_are_spaced_evenly() -> None:
    pacing = Pacing(2)
    assert pacing.available(100.0) == 1
    pacing.spend(1, now=100.0)
    assert (pacing.available(100.4), pacing.next_at(100.4)) == (0, 100.5)
    assert (pacing.available(100.5), pacing.next_at(100.5)) == (1, 100.5)


def test_unused_requests_do_not_accumulate() -> None:
    pacing = Pacing(1)
    pacing.spend(1, now=0.0)
    assert pacing.available(1_000.0) == 1
    pacing.spend(1, now=1_000.0)
    assert pacing.available(1_000.5) == 0


def test_a_rate_may_be_less_than_one_a_second() -> None:
    pacing = Pacing(0.1)
    pacing.spend(1, now=0.0)
    assert pacing.next_at(1.0) == 10.0


def test_several_requests_at_once_are_followed_by_a_longer_wait() -> None:
    pacing = Pacing(1)
    pacing.spend(3, now=0.0)
    assert pacing.next_at(0.0) == 3.0


def test_spending_zero_changes_nothing() -> None:
    pacing = Pacing(1)
    pacing.spend(0, now=0.0)
    assert pacing.available(0.0) == 1


@given(st.lists(st.integers(0, 40), min_size=1), st.sampled_from([1, 2, 4]))
def test_the_rate_is_never_exceeded(quarters: list[int], per_second: int) -> None:
    pacing, now, sent = Pacing(per_second), 0.0, list[float]()
    for pause in quarters:
        now += pause / 4
        if pacing.available(now):
            pacing.spend(1, now)
            sent.append(now)
    assert all(later - earlier >= 1 / per_second for earlier, later in pairwise(sent))


def test_a_new_rate_waits_at_most_one_of_its_intervals() -> None:
    pacing = Pacing(0.01)
    pacing.spend(1, now=0.0)
    pacing.change(0.5, now=10.0)
    assert (pacing.available(11.9), pacing.available(12.0)) == (0, 1)
    pacing.change(0, now=11.0)
    assert (pacing.available(11.0), pacing.next_at(11.0)) == (1_000_000, 11.0)


def test_a_new_rate_remembers_what_was_spent() -> None:
    pacing = Pacing(2)
    pacing.spend(1, now=0.0)
    pacing.change(1, now=0.1)
    assert (pacing.available(0.4), pacing.available(0.5)) == (0, 1)
    pacing.spend(1, now=0.5)
    assert pacing.next_at(0.5) == 1.5
