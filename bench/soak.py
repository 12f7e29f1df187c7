"""Play years of a clinic's calls through the sandbox at speed: memory, open files and latency must not grow."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

from bench.figure import Bar, Figure
from bench.postgres import not_measured, postgres
from bench.program import SECRET, Daemon, cpu_seconds, daemon, environment, free_port, resident_megabytes
from bench.rows import add_due
from reminderd.clock import SystemClock
from reminderd.databases import PostgresServer, SqliteFile
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, transaction
from tests.support.waiting import until_in_thread

REMINDERS: Final = int(os.environ.get("REMINDERD_SOAK", "100000"))
"""The calls of a clinic with 40 appointments a day in ten years; `REMINDERD_SOAK` sets another number."""
PARTS: Final = 10
"""The number of parts. The last is compared with the second, as the first fills caches and pools."""
AT_ONCE: Final = 250
"""Reminders that are due at the same time: with thousands of webhooks to send, the sandbox would give up on some."""

LINES: Final = 50
PACE: Final = 0.1
"""Seconds that the sandbox takes for each step of a call."""

CLOSED: Final = 2.0
"""Seconds in which the daemon notices that the sandbox has ended and closed the connections of its webhooks."""

PATIENCE: Final = 120.0
"""The longest time until all reminders that were due at the same time have ended, in seconds."""

_BUSY: Final = "SELECT count(*) FROM reminders WHERE wake_at IS NOT NULL OR status = 'processing'"


@frozen
class _Sample:
    """The state of the daemon after a part, and what the part cost."""

    seconds: float
    """Seconds that the part took."""
    cost: float
    """CPU time of the daemon for each reminder, in ms."""
    memory: float
    """Resident memory, in MB."""
    wal: float
    """The size of SQLite's write-ahead log, in MB; 0 on a server."""


def measure(folder: Path) -> list[Figure]:
    figures = _soaked("SQLite", folder, None)
    with postgres() as found:
        if found is None:
            return [*figures, not_measured("soak, PostgreSQL")]
        return [*figures, *_soaked("PostgreSQL", folder, PostgresServer(found.create().url))]


def _soaked(name: str, folder: Path, target: PostgresServer | None) -> list[Figure]:
    port = free_port()
    with daemon(
        folder / name,
        provider_url=f"http://127.0.0.1:{port}",
        worker={"dialers": LINES},
        database=target,
    ) as ours:
        before = _open_files(ours.pid)
        with (
            _sandbox(port, ours),
            open_sync(ours.database) as connection,
        ):
            samples = [_part(connection, ours, number) for number in range(PARTS)]
            (called,) = connection.execute("SELECT count(*) FROM reminders WHERE status = 'called'").fetchone()
            (calls,) = connection.execute("SELECT count(*) FROM call_logs").fetchone()
        time.sleep(CLOSED)
        left = _open_files(ours.pid) - before
    assert called == calls == REMINDERS, f"{called} reminders of {REMINDERS} are called, by {calls} calls"
    return [
        _growth(f"soak, {name}: memory", [sample.memory for sample in samples], 1.1, "resident MB"),
        _growth(f"soak, {name}: cost", [sample.cost for sample in samples], 1.1, "ms of processor time a reminder"),
        _growth(f"soak, {name}: latency", [sample.seconds for sample in samples], 1.2, "seconds for a part"),
        Figure(
            name=f"soak, {name}: files",
            value=left,
            unit="",
            bar=Bar("at most", LINES),
            meaning="more open files and sockets at the end than before the first call; each line may keep one",
        ),
        Figure(
            name=f"soak, {name}: rate",
            value=REMINDERS / sum(sample.seconds for sample in samples),
            unit="/s",
            better="more",
            meaning=f"of {REMINDERS:,} reminders, each heard by its patient, in one call; log at most"
            f" {max(sample.wal for sample in samples):.0f} MB",
        ),
    ]


def _part(connection: Connection, ours: Daemon, number: int) -> _Sample:
    """Have one part of the reminders called, some of them at a time."""
    size = REMINDERS // PARTS
    began, spent = time.perf_counter(), cpu_seconds(ours.pid)
    for first in range(number * size, (number + 1) * size, AT_ONCE):
        _call(connection, first, min(AT_ONCE, (number + 1) * size - first))
    took = time.perf_counter() - began
    wal = Path(f"{ours.database.path}-wal") if isinstance(ours.database, SqliteFile) else None
    return _Sample(
        seconds=took,
        cost=(cpu_seconds(ours.pid) - spent) / size * 1000,
        memory=resident_megabytes(ours.pid),
        wal=wal.stat().st_size / 1e6 if wal is not None and wal.exists() else 0,
    )


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _call(connection: Connection, first_phone: int, size: int) -> None:
    """Add reminders that are due now, and wait until all have ended."""
    now = SystemClock().now()
    transaction(connection, lambda c, _: add_due(c, [now] * size, first_phone=first_phone), now)
    began = time.perf_counter()
    while (busy := connection.execute(_BUSY).fetchone()[0]) > 0:
        assert time.perf_counter() - began < PATIENCE, f"{busy} of {size} have not ended"
        time.sleep(0.1)


def _growth(name: str, values: list[float], limit: float, what: str) -> Figure:
    return Figure(
        name=name,
        value=values[-1] / values[1],
        unit="",
        bar=Bar("at most", limit),
        meaning=f"last ÷ second of {PARTS} parts; {what}: {', '.join(f'{value:.0f}' for value in values)}",
    )


@contextmanager
def _sandbox(port: int, ours: Daemon) -> Iterator[None]:
    """Run the simulated provider, which reports to the daemon, until the end of the block."""
    options = {
        "--port": str(port),
        "--pace": str(PACE),
        "--webhook-url": f"{ours.url}/webhooks/call-status",
        "--webhook-secret": SECRET,
        "--api-key": "bench",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "reminderd", "sandbox", *(word for option in options.items() for word in option)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_in_thread(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, "the sandbox has ended"
        yield
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
