"""Measure what the daemon costs while nobody is to be called, and how soon it is ready after a start."""

import time
from pathlib import Path
from typing import Final

from bench.figure import Bar, Figure
from bench.program import cpu_seconds, daemon, resident_megabytes, server
from reminderd.databases import PostgresServer

STARTING: Final = 3
"""Seconds for which the daemon is still busy with its start."""


def measure(
    folder: Path, *, idle_seconds: int = 60, starts: int = 3, database: PostgresServer | None = None
) -> list[Figure]:
    seconds = []
    with server("bench.raw_provider", "0") as provider:
        for number in range(starts - 1):
            with daemon(folder / f"start-{number}", provider_url=provider, database=database) as ours:
                seconds.append(ours.start_seconds)
        with daemon(folder / "idle", provider_url=provider, database=database) as ours:
            seconds.append(ours.start_seconds)
            time.sleep(STARTING)
            before, began = cpu_seconds(ours.pid), time.perf_counter()
            time.sleep(idle_seconds)
            share = (cpu_seconds(ours.pid) - before) / (time.perf_counter() - began)
            memory = resident_megabytes(ours.pid)
    return [
        Figure(
            name="idle, CPU",
            value=share * 100,
            unit="%",
            bar=Bar("at most", 0.15),
            meaning=f"of one core, over {idle_seconds} s without work",
        ),
        Figure(name="idle, memory", value=memory, unit="MB", bar=Bar("at most", 58), meaning="resident, after that"),
        Figure.of_rounds(
            seconds,
            name="start",
            unit="s",
            bar=Bar("below", 1.5),
            meaning=f"from exec until /health answers 200, database made; median of {starts}",
        ),
    ]
