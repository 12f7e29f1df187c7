"""A measured figure, the bar that it must clear, and how both are shown."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from attrs import asdict, frozen
from rich.console import Console
from rich.table import Table


@frozen
class Bar:
    """What a figure must reach, or must stay below."""

    kind: Literal["at least", "at most", "below"]
    limit: float

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
    unit: str
    """Empty for a ratio."""
    bar: Bar | None = None
    """None: it is there to be read, not to be judged."""
    meaning: str
    """What was measured, and against what."""

    @property
    def missed(self) -> bool:
        """Whether there is a bar and the figure does not clear it."""
        return self.bar is not None and not self.bar.cleared(self.value)


def show(figures: Sequence[Figure], console: Console) -> None:
    """Print a table, a row a figure."""
    table = Table(header_style="bold")
    for column, justify in (("figure", "left"), ("measured", "right"), ("bar", "right"), ("", "left")):
        table.add_column(column, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for figure in figures:
        bar = "" if figure.bar is None else f"{figure.bar.kind} {_number(figure.bar.limit)}"
        verdict = "" if figure.bar is None else "[red]missed[/]" if figure.missed else "[green]ok[/]"
        table.add_row(figure.name, f"{_number(figure.value)} {figure.unit}".strip(), bar, verdict, figure.meaning)
    console.print(table)


def keep(figures: Sequence[Figure], machine: dict[str, str | int], file: Path) -> None:
    """Write the figures, and on what machine they were measured, as JSON."""
    rows = [asdict(figure) | {"missed": figure.missed} for figure in figures]
    file.write_text(json.dumps({"machine": machine, "figures": rows}, indent=2) + "\n", encoding="utf-8")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
