"""Measure how long after its time a reminder's request reaches the provider, although the poll interval is long."""

import json
import time
from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Final

from bench.figure import Bar, Figure
from bench.program import PATIENCE, daemon, fetched, server
from bench.rows import add_due
from reminderd.clock import SystemClock
from reminderd.databases import PostgresServer
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import transaction

FROM: Final = 0.5
"""Seconds from now until the first row is due."""

POLL_SECONDS: Final = 60
LATENCY: Final = 0.05


def measure(
    folder: Path, *, rows: int = 200, until: float = 10.0, database: PostgresServer | None = None
) -> list[Figure]:
    late = quantiles(_milliseconds_late(folder, rows, until, database), n=100)
    meaning = f"due → request at the provider, {rows} rows of another program, poll_interval_seconds = {POLL_SECONDS}"
    return [
        Figure(name="lateness, p99", value=late[98], unit="ms", bar=Bar("at most", 10), meaning=meaning),
        Figure(name="lateness, p50", value=late[49], unit="ms", better="less", meaning="the same"),
    ]


def _milliseconds_late(folder: Path, rows: int, until: float, database: PostgresServer | None) -> list[int]:
    random = Random(1)  # noqa: S311 - the same moments in every run
    with (
        server("bench.raw_provider", str(LATENCY)) as provider,
        daemon(
            folder / "lateness",
            provider_url=provider,
            worker={"poll_interval_seconds": POLL_SECONDS},
            database=database,
        ) as ours,
        open_sync(ours.database) as connection,
    ):
        now = SystemClock().now()
        moments = [now + timedelta(seconds=random.uniform(FROM, until)) for _ in range(rows)]
        due = transaction(connection, lambda c, _: add_due(c, moments), now)
        time.sleep(until)
        deadline = time.perf_counter() + PATIENCE
        while len(arrivals := _arrivals(provider)) < rows:
            assert time.perf_counter() < deadline, f"only {len(arrivals)} of {rows} requests came"
            time.sleep(0.1)
    return [arrivals[reminder_id] - at for reminder_id, at in due.items()]


def _arrivals(provider: str) -> dict[str, int]:
    _, body = fetched(provider)
    found: dict[str, int] = json.loads(body)
    return found
