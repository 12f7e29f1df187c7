"""Describe a measured figure and the bar that it must clear, and show both."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Literal, Self

from attrs import asdict, frozen
from rich.console import Console
from rich.table import Table

Better = Literal["more", "less"]
"""Which of two values of a figure is better: the larger or the smaller one."""


@frozen
class Bar:
    """The limit of a figure: the value that it must reach, or must stay below."""

    kind: Literal["at least", "at most", "below"]
    limit: float

    @property
    def better(self) -> Better:
        """Return which of two values is better."""
        return "more" if self.kind == "at least" else "less"

    def cleared(self, value: float) -> bool:
        """Return whether a value clears the bar."""
        match self.kind:
            case "at least":
                return value >= self.limit
            case "at most":
                return value <= self.limit
            case "below":
                return value < self.limit


@frozen(kw_only=True)
class Figure:
    """One measured value of a run."""

    name: str
    value: float
    low: float | None = None
    """The lowest of the rounds whose median is `value`; None if there was only one round."""
    high: float | None = None
    """The highest of these rounds."""
    unit: str
    """The unit; empty for a ratio."""
    bar: Bar | None = None
    """The limit; None if the figure is only for information."""
    better: Better | None = None
    """Which value is better, if there is no bar; None if the figure does not describe reminderd, like that of a
    yardstick."""
    meaning: str
    """What was measured, and relative to what."""

    @classmethod
    def of_rounds(
        cls,
        rounds: Sequence[float],
        *,
        name: str,
        unit: str,
        bar: Bar | None = None,
        better: Better | None = None,
        meaning: str,
    ) -> Self:
        """Return a figure that is the median of some rounds, with its noise: the lowest and the highest round."""
        return cls(
            name=name,
            value=median(rounds),
            low=min(rounds),
            high=max(rounds),
            unit=unit,
            bar=bar,
            better=better,
            meaning=meaning,
        )

    @property
    def direction(self) -> Better | None:
        """Return which of two values is better; None if neither is."""
        return self.better if self.bar is None else self.bar.better

    @property
    def missed(self) -> bool:
        """Return whether there is a bar and the figure does not clear it."""
        return self.bar is not None and not self.bar.cleared(self.value)


def measured(figure: Figure) -> str:
    """Return a figure as people read it, with its lowest and highest round: `0.58 (0.55–0.61)`."""
    noise = "" if figure.low is None or figure.high is None else f"({number(figure.low)}–{number(figure.high)})"
    return " ".join(part for part in (number(figure.value), noise, figure.unit) if part)


def show(figures: Sequence[Figure], console: Console) -> None:
    """Print a table with a row for each figure."""
    table = Table(header_style="bold")
    for column, justify in (("figure", "left"), ("measured", "right"), ("bar", "right"), ("", "left")):
        table.add_column(column, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for figure in figures:
        bar = "" if figure.bar is None else f"{figure.bar.kind} {number(figure.bar.limit)}"
        verdict = "" if figure.bar is None else "[red]missed[/]" if figure.missed else "[green]ok[/]"
        table.add_row(figure.name, measured(figure), bar, verdict, figure.meaning)
    console.print(table)


def keep(figures: Sequence[Figure], machine: dict[str, str | int], file: Path) -> None:
    """Write the figures as JSON, with the machine on which they were measured."""
    rows = [asdict(figure) | {"better": figure.direction, "missed": figure.missed} for figure in figures]
    file.write_text(json.dumps({"machine": machine, "figures": rows}, indent=2) + "\n", encoding="utf-8")


def number(value: float) -> str:
    """Return a number with three significant digits, or with all digits before its decimal point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
