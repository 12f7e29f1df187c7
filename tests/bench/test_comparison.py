import math

import pytest

from bench.comparison import Comparison, Reading, compared
from bench.figure import Better


def _compare(old: list[float], new: list[float], better: Better) -> Comparison:
    (one,) = compared(
        [{"figure": Reading(value, better)} for value in old], [{"figure": Reading(value, better)} for value in new]
    )
    return one


def test_a_rate_that_is_lower_by_more_than_a_tenth_in_every_round_is_slower() -> None:
    one = _compare(old=[100, 110, 90], new=[80, 90, 75], better="more")

    assert one.ratios == pytest.approx((0.8, 9 / 11, 5 / 6))
    assert (one.old, one.new) == (100, 80)
    assert one.is_slower


def test_a_time_that_is_longer_by_more_than_a_tenth_in_every_round_is_slower() -> None:
    one = _compare(old=[1.0, 1.1], new=[1.25, 2.2], better="less")

    assert one.ratios == pytest.approx((0.8, 0.5))
    assert one.is_slower


def test_one_round_that_is_as_good_clears_a_commit() -> None:
    assert not _compare(old=[100, 100, 100], new=[50, 95, 50], better="more").is_slower
    assert not _compare(old=[1, 1, 1], new=[2, 1, 2], better="less").is_slower


def test_a_tenth_is_not_slower_yet() -> None:
    assert not _compare(old=[100, 100], new=[90, 90], better="more").is_slower


def test_what_has_become_better_is_not_slower() -> None:
    assert not _compare(old=[100], new=[200], better="more").is_slower
    assert not _compare(old=[2], new=[1], better="less").is_slower


def test_the_rounds_are_compared_in_pairs_as_the_machine_changes_meanwhile() -> None:
    assert _compare(old=[100, 10], new=[100, 10], better="more").ratios == (1, 1)


def test_a_figure_that_is_nothing_in_both_is_equal_and_anything_is_worse_than_nothing() -> None:
    assert _compare(old=[0], new=[0], better="less").ratios == (1,)
    assert _compare(old=[0], new=[3], better="less").ratios == (0,)
    assert _compare(old=[3], new=[0], better="less").ratios == (math.inf,)
    assert _compare(old=[0], new=[3], better="more").ratios == (math.inf,)


def test_only_figures_of_all_runs_are_compared() -> None:
    both, one = Reading(1, "more"), Reading(2, "less")

    found = compared([{"both": both, "old": one}], [{"new": one, "both": both}])

    assert [comparison.name for comparison in found] == ["both"]
