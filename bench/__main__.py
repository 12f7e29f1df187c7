"""Runs the benchmarks: `python -m bench [NAME …]`; all but the long ones without a name, in some five minutes.

Prints a table, writes bench/results.json, and exits with 1 if a bar is missed. Everything stays on this machine, with a
PostgreSQL of its own; where none is installed, a row says so.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from bench import (
    against_peer,
    beside,
    claiming,
    dialing,
    growth,
    idle,
    importing,
    lateness,
    pages,
    soak,
    starting,
    trips,
    webhooks,
)
from bench.figure import Figure, keep, show
from reminderd.store.sqlite.driver import sqlite_version_info

MEASURES: Final[Mapping[str, Callable[[Path], list[Figure]]]] = {
    "webhooks": webhooks.measure,
    "dialing": dialing.measure,
    "lateness": lateness.measure,
    "claim": claiming.measure,
    "trips": trips.measure,
    "import": importing.measure,
    "beside": beside.measure,
    "idle": idle.measure,
    "start": starting.measure,
    "pages": pages.measure,
    "growth": growth.measure,
    "peer": against_peer.measure,
    "soak": soak.measure,
}
LONG: Final = frozenset({"beside", "growth", "pages", "peer", "soak"})
"""Measured only by name: they take minutes."""
RESULTS: Final = Path(__file__).with_name("results.json")


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure how fast reminderd is.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASURES))
    names: list[str] = parser.parse_args().names or [name for name in MEASURES if name not in LONG]
    unknown = [name for name in names if name not in MEASURES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; expected {', '.join(MEASURES)}")
    console = Console(width=None if sys.stdout.isatty() else 140)
    figures: list[Figure] = []
    for name in names:
        with console.status(name), TemporaryDirectory(prefix="reminderd-bench-") as folder:
            figures += MEASURES[name](Path(folder))
    show(figures, console)
    keep(figures, _machine(), RESULTS)
    missed = [figure for figure in figures if figure.missed]
    for figure in missed:
        print(f"bar missed: {figure.name}", file=sys.stderr)
    return 1 if missed else 0


def _machine() -> dict[str, str | int]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "sqlite": ".".join(map(str, sqlite_version_info)),
    }


if __name__ == "__main__":
    sys.exit(main())
