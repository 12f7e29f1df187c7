"""A measured figure, the bar that it must clear, and how both are shown."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Literal, Self

from attrs import asdict, frozen
from rich.console import Console
from rich.table import Table

Better = Literal["more", "less"]
"""Which of two values of a figure is the better one."""


@frozen
class Bar:
    """What a figure must reach, or must stay below."""

    kind: Literal["at least", "at most", "below"]
    limit: float

    @property
    def better(self) -> Better:
        """Which of two values is the better one."""
        return "more" if self.kind == "at least" else "less"

    def cleared(self, value: float) -> bool:
        """Whether a figure is good enough."""
        match self.kind:
            case "at least":
                return value >= self.limit
            case "at most":
                return value <= self.limit
            case "below":
                return value < self.limit


@frozen(kw_only=True)
class Figure:
    """One number of one run."""

    name: str
    value: float
    low: float | None = None
    """The lowest of the rounds whose median `value` is; None: there was one reading."""
    high: float | None = None
    """The highest of them."""
    unit: str
    """Empty for a ratio."""
    bar: Bar | None = None
    """None: it is there to be read, not to be judged."""
    better: Better | None = None
    """None: as the bar says; without a bar, the figure says nothing of reminderd, such as that of a yardstick."""
    meaning: str
    """What was measured, and against what."""

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
        """Make the median of some rounds a figure, with its noise: the lowest and the highest round."""
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
        """Which of two values is the better one; None: neither."""
        return self.better if self.bar is None else self.bar.better

    @property
    def missed(self) -> bool:
        """Whether there is a bar and the figure does not clear it."""
        return self.bar is not None and not self.bar.cleared(self.value)


def measured(figure: Figure) -> str:
    """Return a figure as people read it, with its lowest and highest round: `0.58 (0.55–0.61)`."""
    noise = "" if figure.low is None or figure.high is None else f"({number(figure.low)}–{number(figure.high)})"
    return " ".join(part for part in (number(figure.value), noise, figure.unit) if part)


def show(figures: Sequence[Figure], console: Console) -> None:
    """Print a table, a row a figure."""
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
    """Write the figures, and on what machine they were measured, as JSON."""
    rows = [asdict(figure) | {"better": figure.direction, "missed": figure.missed} for figure in figures]
    file.write_text(json.dumps({"machine": machine, "figures": rows}, indent=2) + "\n", encoding="utf-8")


def number(value: float) -> str:
    """Return a number with three digits, or all before its point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
