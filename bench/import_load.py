"""Measure a large import next to a busy daemon: how much later webhooks are answered, and how much longer it takes."""

import csv
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

from attrs import frozen

from bench.figure import Bar, Figure
from bench.program import Daemon, daemon, environment, server, url_of
from bench.rows import MESSAGE, add_due
from bench.webhooks import add_accepted, report, signed
from bench.wire import Drive, paced
from reminderd.clock import SystemClock
from reminderd.databases import PostgresServer, SqliteFile, Target
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, transaction

ROWS: Final = 100_000
DIALERS: Final = 50
LATENCY: Final = 2.5
"""Seconds that the provider takes for each request."""
CALLS: Final = DIALERS / LATENCY
"""Reminders that become due in a second: just enough to keep all dialers busy."""
CONNECTIONS: Final = 16
WEBHOOKS: Final = 40
"""Webhooks in a second: two for each call."""
LONGEST: Final = 120
"""The seconds for which there are enough webhooks and due reminders; a round ends with its import."""

_NO_MORE: Final = "DELETE FROM reminders WHERE ref IS NULL AND status = 'scheduled'"


@frozen
class _Round:
    """Values that were measured one after another, under the same conditions."""

    quiet: float
    """The seconds within which 99 of 100 webhooks were answered, without an import."""
    loaded: float
    """The same during an import."""
    alone: float
    """How many seconds the import took without a daemon."""
    together: float
    """How many seconds it took next to a daemon."""


def measure(
    folder: Path,
    *,
    rounds: int = 3,
    databases: tuple[PostgresServer, PostgresServer] | None = None,
) -> list[Figure]:
    """Measure with `databases`: the daemon's, and one for the import that runs alone; None for SQLite files."""
    database, elsewhere = (None, SqliteFile(folder / "alone.db")) if databases is None else databases
    with (
        server("bench.raw_provider", str(LATENCY)) as provider,
        daemon(folder / "loaded", provider_url=provider, worker={"dialers": DIALERS}, database=database) as ours,
        open_sync(ours.database) as connection,
    ):
        measured = [_round(number, folder, ours, connection, elsewhere) for number in range(rounds)]
    return [
        Figure.of_rounds(
            [one.loaded / one.quiet for one in measured],
            name="import load, webhooks",
            unit="",
            bar=Bar("at most", 2),
            meaning=f"p99 of {WEBHOOKS} webhooks a second with {DIALERS} dialers at work, during an import of {ROWS:,}"
            " rows ÷ without it",
        ),
        Figure.of_rounds(
            [one.alone / one.together for one in measured],
            name="import load, import",
            unit="",
            bar=Bar("at least", 0.8),
            meaning="rows/s of that import ÷ rows/s of it alone",
        ),
        Figure.of_rounds(
            [1000 * one.loaded for one in measured],
            name="import load, p99",
            unit="ms",
            better="less",
            meaning="of the webhooks during the import",
        ),
        Figure.of_rounds(
            [1000 * one.quiet for one in measured],
            name="import load, p99 before",
            unit="ms",
            better="less",
            meaning="of the webhooks without it",
        ),
        Figure.of_rounds(
            [ROWS / one.together for one in measured],
            name="import load, rows",
            unit="/s",
            better="more",
            meaning="by the import next to the daemon",
        ),
    ]


def _round(number: int, folder: Path, ours: Daemon, connection: Connection, elsewhere: Target) -> _Round:
    table, together = folder / "table.csv", list[float]()
    _write(table, number)
    alone = _seconds_of(partial(_import, table, folder, elsewhere))
    import_it = partial(_import, table, folder / "loaded", ours.database)
    quiet = _answered(ours, connection, 2 * number, partial(time.sleep, alone))
    loaded = _answered(ours, connection, 2 * number + 1, lambda: together.append(_seconds_of(import_it)))
    return _Round(quiet.p99, loaded.p99, alone, together[0])


def _seconds_of(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _write(table: Path, number: int) -> None:
    """Write a table of appointments that no other round has."""
    first = SystemClock().now().replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("ref", "phone", "message", "at"))
        for row in range(number * ROWS, (number + 1) * ROWS):
            at = first + timedelta(minutes=5 * (row * 7919 % 50_000))
            phone = f"+4930{10_000_000 + 431 * (row % 100_000)}"
            writer.writerow((f"A-{row}", phone, MESSAGE, f"{at:%Y-%m-%d %H:%M}Z"))


def _import(table: Path, folder: Path, database: Target) -> None:
    url = {"DATABASE_URL": url_of(database)}
    command = [sys.executable, "-m", "reminderd", "import", str(table)]
    subprocess.run(command, cwd=folder, env=environment() | url, check=True, capture_output=True)


def _answered(ours: Daemon, connection: Connection, number: int, meanwhile: Callable[[], object]) -> Drive:
    """Return how fast webhooks were answered, with all dialers busy, until `meanwhile` returned."""
    now = SystemClock().now()
    calls = [(str(uuid4()), str(uuid4())) for _ in range(WEBHOOKS * LONGEST)]
    due = [now + timedelta(seconds=n / CALLS) for n in range(int(CALLS * LONGEST))]
    transaction(connection, partial(add_accepted, calls=calls, first_phone=number * len(calls)), now)
    transaction(connection, lambda c, _: add_due(c, due, first_phone=1_000_000 + number * len(due)), now)
    url = f"{ours.url}/webhooks/call-status"
    requests = signed(url, [report(*call) for call in calls], now)
    took = paced(url, requests, a_second=WEBHOOKS, connections=CONNECTIONS, meanwhile=meanwhile)
    transaction(connection, lambda c, _: c.execute(_NO_MORE), now)
    return took
