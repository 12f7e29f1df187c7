"""Measure how webhooks, calls and claims scale with connections, lines and rows; draw docs/plots/ again."""

from functools import partial
from pathlib import Path
from statistics import median
from typing import Final
from uuid import uuid4

from bench.claiming import claim_all_due, fill
from bench.dialing import dial_all
from bench.figure import Figure
from bench.plot import Axes, Point, draw
from bench.program import daemon, server
from bench.webhooks import add_accepted, report, signed
from bench.wire import Drive, drive
from reminderd.clock import SystemClock
from reminderd.databases import SqliteFile
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, transaction

CONNECTIONS: Final = (1, 4, 16, 64, 128, 256)
DUE: Final = 500
LINES: Final = (10, 25, 50, 100)
ROWS: Final = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS: Final = 3
A_ROUND: Final = 1_000
"""The number of webhooks in a round, each for another call."""
LATENCY: Final = 0.05
"""Seconds that the provider takes for each request."""

_PLOTS: Final = Path(__file__).parent.parent / "docs" / "plots"


def measure(folder: Path) -> list[Figure]:
    return [*_connections(folder), *_lines(folder), *_rows(folder)]


def _connections(folder: Path) -> list[Figure]:
    with (
        server("bench.raw_provider", "0") as provider,
        daemon(folder / "webhooks", provider_url=provider) as ours,
        open_sync(ours.database) as connection,
    ):
        url = f"{ours.url}/webhooks/call-status"
        _webhooks(connection, url, CONNECTIONS[-1])  # to warm up
        drives = {count: [_webhooks(connection, url, count) for _ in range(ROUNDS)] for count in CONNECTIONS}
    rates = {count: [one.a_second for one in found] for count, found in drives.items()}
    waits = {count: [one.p99 * 1000 for one in found] for count, found in drives.items()}
    draw(
        _PLOTS / "webhooks.svg",
        Axes("Webhooks recorded a second", "connections of the provider", "webhooks/s"),
        {"recorded": _medians(rates)},
    )
    draw(
        _PLOTS / "webhooks-wait.svg",
        Axes("How long a webhook waits for its answer", "connections of the provider", "ms"),
        {"99 of 100": _medians(waits)},
    )
    return [
        *_figures("growth, webhooks over {} connections", rates, "/s", "recorded"),
        *_figures("growth, webhooks over {} connections: p99", waits, "ms", "until 99 of 100 are answered"),
    ]


def _webhooks(connection: Connection, url: str, connections: int) -> Drive:
    now = SystemClock().now()
    calls = [(str(uuid4()), str(uuid4())) for _ in range(A_ROUND)]
    transaction(connection, partial(add_accepted, calls=calls), now)
    return drive(url, signed(url, [report(*call) for call in calls], now), connections=connections)


def _lines(folder: Path) -> list[Figure]:
    rates = {}
    with server("bench.raw_provider", str(LATENCY)) as provider:
        for lines in LINES:
            with (
                daemon(folder / f"lines-{lines}", provider_url=provider, worker={"dialers": lines}) as ours,
                open_sync(ours.database) as connection,
            ):
                rates[lines] = [DUE / dial_all(connection, DUE, first_phone=n * DUE) for n in range(ROUNDS)]
    draw(
        _PLOTS / "dialing.svg",
        Axes(f"Calls placed a second, a provider that takes {LATENCY * 1000:g} ms", "lines", "calls/s"),
        {"placed": _medians(rates), "no line ever idle": [(lines, lines / LATENCY) for lines in LINES]},
    )
    return _figures(
        "growth, dialing with {} lines", rates, "/s", f"calls placed, a provider that takes {LATENCY * 1000:g} ms"
    )


def _rows(folder: Path) -> list[Figure]:
    times = {}
    for rows in ROWS:
        with open_sync(SqliteFile(folder / f"rows-{rows}.db")) as connection:
            fill(connection, rows)
            times[rows] = [claim_all_due(connection) * 1000 for _ in range(5 * ROUNDS)]
    draw(
        _PLOTS / "claims.svg",
        Axes("A claim of 100 due reminders, with its commit", "reminders in the database", "ms"),
        {"claim": _medians(times)},
    )
    return _figures("growth, claim among {} rows", times, "ms", "for 100 due rows, with the commit")


def _medians(rounds: dict[int, list[float]]) -> list[Point]:
    return [(x, median(found)) for x, found in rounds.items()]


def _figures(name: str, rounds: dict[int, list[float]], unit: str, meaning: str) -> list[Figure]:
    return [
        Figure.of_rounds(found, name=name.format(f"{x:,}"), unit=unit, meaning=meaning) for x, found in rounds.items()
    ]
