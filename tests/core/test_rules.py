from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.rules import Backoff, CallPlan, Planning
from reminderd.core.schedule.cadence import read_cadence

BACKOFF = Backoff(timedelta(seconds=1), timedelta(seconds=300))


def test_the_ceiling_doubles_up_to_its_maximum() -> None:
    assert [BACKOFF.ceiling(n).total_seconds() for n in (1, 2, 3, 9, 10, 1_000)] == [1, 2, 4, 256, 300, 300]


def test_no_failure_counts_like_the_first() -> None:
    assert BACKOFF.ceiling(0) == BACKOFF.ceiling(1)


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_full_jitter_lies_between_nothing_and_the_ceiling(failures: int, draw: float) -> None:
    assert timedelta(0) <= BACKOFF.full_jitter(failures, draw) <= BACKOFF.ceiling(failures)


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_half_jitter_never_lies_under_half_the_ceiling(failures: int, draw: float) -> None:
    assert BACKOFF.ceiling(failures) / 2 <= BACKOFF.half_jitter(failures, draw) <= BACKOFF.ceiling(failures)


@pytest.mark.parametrize(
    ("planning", "is_used"),
    [
        (Planning(), False),
        (Planning(by_type={"lab": CallPlan()}), False),
        (Planning(default=CallPlan(before=(read_cadence("1 day"),))), True),
        (Planning(by_type={"lab": CallPlan(before=(read_cadence("1 day"),))}), True),
    ],
)
def test_calls_are_planned_if_there_is_a_cadence_for_any_appointment(planning: Planning, is_used: bool) -> None:
    assert planning.is_used is is_used
