"""Run the benchmarks: `python -m bench [NAME …]`; without a name, most of them, which takes half an hour.

The result is a table and bench/results.json; the exit code is 1 if a bar is missed. A figure that was measured in
several rounds is shown as their median, then the lowest and the highest. Everything stays on this machine, with its own
PostgreSQL server; if none is installed, a row says so.

`--quick` takes less than a minute, and `--against REV` compares the files here with a commit: see bench/against.py.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console

from bench import (
    against_peer,
    claiming,
    dialing,
    growth,
    idle,
    import_load,
    importing,
    lateness,
    on_postgres,
    pages,
    soak,
    starting,
    trips,
    webhooks,
)
from bench.against import against
from bench.figure import Figure, keep, show
from reminderd.store.sqlite.driver import sqlite_version_info

Measures = Mapping[str, Callable[[Path], list[Figure]]]
"""Each benchmark by its name; it gets its own folder."""

MEASURES: Final[Measures] = {
    "webhooks": webhooks.measure,
    "dialing": dialing.measure,
    "lateness": lateness.measure,
    "claim": claiming.measure,
    "trips": trips.measure,
    "import": importing.measure,
    "import-load": import_load.measure,
    "idle": idle.measure,
    "start": starting.measure,
    "pages": pages.measure,
    "postgres": on_postgres.measure,
    "growth": growth.measure,
    "peer": against_peer.measure,
    "soak": soak.measure,
}
BY_NAME: Final = frozenset({"growth", "postgres", "soak"})
"""The benchmarks that run only if they are named: they have no bars, or take an hour."""
QUICK: Final[Measures] = {
    "webhooks": partial(webhooks.measure, rounds=3, connections=(webhooks.CONNECTIONS,)),
    "dialing": partial(dialing.measure, rounds=2, due=500),
    "lateness": partial(lateness.measure, rows=100, until=3.0),
    "claim": partial(claiming.quick, rows=50_000),
    "import": partial(importing.measure, rows=10_000, rounds=2),
    "idle": partial(idle.measure, idle_seconds=5, starts=2),
    "start": partial(starting.measure, rounds=2),
}
"""The quick suite: some benchmarks on SQLite, each with less work, to show soon whether something is much slower.

The bars are meant for the whole suite. An import of so few rows misses its bar more easily, as the start counts for
more.
"""
RESULTS: Final = Path(__file__).with_name("results.json")


def main() -> int:
    """Run the benchmarks, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure how fast reminderd is.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASURES))
    parser.add_argument("--quick", action="store_true", help=f"in less than a minute: {', '.join(QUICK)}")
    parser.add_argument("--against", metavar="REV", help="name what is slower than at this commit, by the quick suite")
    parser.add_argument("--rounds", type=int, default=5, help="how often --against measures each commit; default: 5")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="default: bench/results.json")
    given = parser.parse_args()
    measures = QUICK if given.quick or given.against else MEASURES
    names: list[str] = given.names or [name for name in measures if name not in BY_NAME]
    unknown = [name for name in names if name not in measures]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; expected {', '.join(measures)}")
    if given.rounds < 1:
        parser.error("--rounds must be at least 1")
    console = Console(width=None if sys.stdout.isatty() else 140)
    if given.against:
        return against(given.against, names, given.rounds, console)
    figures: list[Figure] = []
    for name in names:
        with console.status(name), TemporaryDirectory(prefix="reminderd-bench-") as folder:
            figures += measures[name](Path(folder))
    show(figures, console)
    keep(figures, _machine(), given.results)
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
