"""Measure the CPU time of commands, and how soon the daemon answers, compared with what its libraries alone take."""

import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench.figure import Bar, Figure
from bench.program import daemon, environment, server

_STACK: Final = "import aiosqlite, attrs, cattrs, httpx, hypercorn.trio, loguru, quart_trio, trio"


def measure(folder: Path, *, rounds: int = 5) -> list[Figure]:
    program = (sys.executable, "-m", "reminderd")
    words = ("add", "--phone", "+12025550100", "--at", "2100-01-01T10:00Z", "--message", "Hello from your clinic.")
    subprocess.run([*program, *words], cwd=folder, env=environment(), check=True, capture_output=True)
    used = [
        (_cpu(folder, sys.executable, "-c", "pass"), _cpu(folder, *program, "--help"), _cpu(folder, *program, "list"))
        for _ in range(rounds)
    ]
    with server("bench.raw_provider", "0") as provider:
        starts = [_start(folder / str(number), provider) for number in range(rounds)]
    return [
        Figure.of_rounds(
            [1000 * (of_help - nothing) for nothing, of_help, _ in used],
            name="--help",
            unit="ms",
            bar=Bar("at most", 60),
            meaning="processor time above that of `python -c pass`",
        ),
        Figure.of_rounds(
            [1000 * (of_list - nothing) for nothing, _, of_list in used],
            name="list",
            unit="ms",
            bar=Bar("at most", 200),
            meaning="processor time above that of `python -c pass`",
        ),
        Figure.of_rounds(
            [ours / libraries for ours, libraries in starts],
            name="start ÷ libraries",
            unit="",
            bar=Bar("at most", 1.25),
            meaning="from exec until /health answers 200 ÷ importing Trio, Hypercorn, Quart, httpx and the others",
        ),
    ]


def _cpu(folder: Path, *command: str) -> float:
    """Return the CPU seconds that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _start(folder: Path, provider: str) -> tuple[float, float]:
    """Return the seconds that the daemon takes to start, and that its libraries alone take."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", _STACK], env=environment(), check=True)
    libraries = time.perf_counter() - began
    with daemon(folder, provider_url=provider) as ours:
        return ours.start_seconds, libraries
