"""Decide which figures of one commit are worse than those of another, from runs of both in turn."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from attrs import frozen

from bench.figure import Better

SLOWER: Final = 0.9
"""A commit is slower only if even its best pair of runs is below this ratio: it is not blamed for the noise of one
run."""


@frozen
class Reading:
    """The value that one run measured for a figure."""

    value: float
    better: Better


Run = Mapping[str, Reading]
"""The readings of one run, by the names of their figures."""


@frozen
class Comparison:
    """One figure of two commits, whose runs took turns."""

    name: str
    old: float
    """The median of the older commit's runs."""
    new: float
    ratios: tuple[float, ...]
    """The new commit's result relative to the old one's in each pair of runs: 1 if they are equal, 0.5 if it is half
    as good."""

    @property
    def is_slower(self) -> bool:
        """Return whether the new commit is worse in every pair, and by more than a tenth."""
        return max(self.ratios) < SLOWER


def compared(old: Sequence[Run], new: Sequence[Run]) -> list[Comparison]:
    """Compare each figure that all runs have; the n-th run in `old` and the n-th in `new` are a pair."""
    return [
        Comparison(
            name=name,
            old=median(run[name].value for run in old),
            new=median(run[name].value for run in new),
            ratios=tuple(_ratio(before[name], after[name]) for before, after in zip(old, new, strict=True)),
        )
        for name in new[0]
        if all(name in run for run in (*old, *new))
    ]


def _ratio(old: Reading, new: Reading) -> float:
    above, below = (new.value, old.value) if new.better == "more" else (old.value, new.value)
    if above == below:
        return 1.0  # also if both are 0, such as the number of refused requests
    return above / below if below else math.inf
