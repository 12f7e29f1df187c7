"""Measure how close the daemon comes to keeping all of its lines busy, and how many calls it can place at most."""

import time
from pathlib import Path
from typing import Final

from bench.figure import Bar, Figure
from bench.h11_client import requests_a_second
from bench.program import PATIENCE, daemon, server
from bench.rows import add_due
from reminderd.clock import SystemClock
from reminderd.databases import PostgresServer
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, transaction

DIALERS: Final = 50
LATENCY: Final = 0.2
"""Seconds that the provider takes for each request."""
SHORT_LATENCY: Final = 0.005
"""Seconds that a fast provider takes for each request: the lines are never all busy, so the processor is the limit."""


def measure(folder: Path, *, rounds: int = 5, due: int = 2_000, database: PostgresServer | None = None) -> list[Figure]:
    return [
        *_lines_kept_busy(folder / "busy", rounds, due, database),
        *_calls_at_most(folder / "at-most", rounds, due, database),
    ]


def _lines_kept_busy(folder: Path, rounds: int, due: int, database: PostgresServer | None) -> list[Figure]:
    ideal = due / DIALERS * LATENCY
    with (
        server("bench.raw_provider", str(LATENCY)) as provider,
        daemon(folder, provider_url=provider, worker={"dialers": DIALERS}, database=database) as ours,
        open_sync(ours.database) as connection,
    ):
        seconds = [dial_all(connection, due, first_phone=n * due) for n in range(rounds)]
    return [
        Figure.of_rounds(
            [one / ideal for one in seconds],
            name="dialing",
            unit="",
            bar=Bar("at most", 1.1),
            meaning=f"commit of {due:,} due rows until all are accepted ÷ {ideal:g} s: {DIALERS} lines never idle",
        ),
        Figure.of_rounds(
            [due / one for one in seconds],
            name="dialing, rate",
            unit="/s",
            better="more",
            meaning=f"calls placed with {DIALERS} lines at a provider that takes {LATENCY * 1000:g} ms for each",
        ),
    ]


def _calls_at_most(folder: Path, rounds: int, due: int, database: PostgresServer | None) -> list[Figure]:
    with (
        server("bench.raw_provider", str(SHORT_LATENCY)) as provider,
        daemon(folder, provider_url=provider, worker={"dialers": DIALERS}, database=database) as ours,
        open_sync(ours.database) as connection,
    ):
        dial_all(connection, DIALERS, first_phone=rounds * due)  # to warm up
        pairs = [
            (
                due / dial_all(connection, due, first_phone=DIALERS + (rounds + n) * due),
                requests_a_second(provider, requests=due, tasks=DIALERS),
            )
            for n in range(rounds)
        ]
    return [
        Figure.of_rounds(
            [calls / requests for calls, requests in pairs],
            name="dialing, fast provider",
            unit="",
            bar=Bar("at least", 0.12),
            meaning=f"calls placed a second ÷ the same requests by h11 on Trio, without a database, in {DIALERS}"
            f" tasks; the provider takes {SHORT_LATENCY * 1000:g} ms for each",
        ),
        Figure.of_rounds(
            [calls for calls, _ in pairs],
            name="dialing, fast provider, rate",
            unit="/s",
            better="more",
            meaning=f"calls placed with {DIALERS} lines, from the commit of {due:,} due rows",
        ),
        Figure.of_rounds(
            [requests for _, requests in pairs],
            name="dialing, h11",
            unit="/s",
            meaning="the same requests by h11 on Trio",
        ),
    ]


def dial_all(connection: Connection, due: int, *, first_phone: int) -> float:
    """Add due rows; return how many seconds pass from their commit until the provider's answer to each is recorded."""
    now = SystemClock().now()
    transaction(connection, lambda c, _: add_due(c, [now] * due, first_phone=first_phone), now)
    began = time.perf_counter()
    while (waiting := _waiting(connection)) > 0:
        assert time.perf_counter() - began < PATIENCE, f"{waiting} of {due} are not dialed"
        time.sleep(0.01)
    return time.perf_counter() - began


def _waiting(connection: Connection) -> int:
    found = connection.execute("SELECT count(*) FROM reminders WHERE status <> 'processing'").fetchone()
    return int(found[0])
