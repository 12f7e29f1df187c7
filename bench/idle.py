"""Idle: what the daemon costs while nobody is to be rung, and how soon it is there after a start."""

import time
from pathlib import Path
from statistics import median
from typing import Final

from bench.figure import Bar, Figure
from bench.program import cpu_seconds, daemon, resident_megabytes, server

STARTS: Final = 3
IDLE_SECONDS: Final = 15


def measure(folder: Path) -> list[Figure]:
    starts = []
    with server("bench.raw_provider", "0") as provider:
        for number in range(STARTS - 1):
            with daemon(folder / f"start-{number}", provider_url=provider) as ours:
                starts.append(ours.start_seconds)
        with daemon(folder / "idle", provider_url=provider) as ours:
            starts.append(ours.start_seconds)
            before, began = cpu_seconds(ours.pid), time.perf_counter()
            time.sleep(IDLE_SECONDS)
            share = (cpu_seconds(ours.pid) - before) / (time.perf_counter() - began)
            memory = resident_megabytes(ours.pid)
    return [
        Figure(
            name="idle, CPU",
            value=share * 100,
            unit="%",
            bar=Bar("below", 1),
            meaning=f"of one core, over {IDLE_SECONDS} s without work",
        ),
        Figure(name="idle, memory", value=memory, unit="MB", bar=Bar("below", 100), meaning="resident, after that"),
        Figure(
            name="start",
            value=median(starts),
            unit="s",
            bar=Bar("below", 1.5),
            meaning=f"from exec until /health answers 200, database made; median of {STARTS}",
        ),
    ]
