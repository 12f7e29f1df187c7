"""Decides which figures of one commit are worse than those of another, from runs of both in turn."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from attrs import frozen

from bench.figure import Better

SLOWER: Final = 0.9
"""What even the best pair of runs must stay below: a commit is not blamed for the noise of one run."""


@frozen
class Reading:
    """What one run measured for one figure."""

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
    """How the new commit does in each pair of runs: 1 as well as the old one, 0.5 half as well."""

    @property
    def is_slower(self) -> bool:
        """Whether the new commit is worse in every pair, and by more than a tenth."""
        return max(self.ratios) < SLOWER


def compared(old: Sequence[Run], new: Sequence[Run]) -> list[Comparison]:
    """Compare each figure that all runs have; the runs at the same place in `old` and `new` are a pair."""
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
        return 1.0  # also where both are 0, such as the requests that are refused
    return above / below if below else math.inf
