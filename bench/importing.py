"""Measure how many rows a second are imported, compared with reading and inserting the same rows without any check."""

import csv
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import uuid4

from bench.figure import Bar, Figure
from bench.program import environment
from bench.rows import MESSAGE
from reminderd.clock import SystemClock
from reminderd.store.connection import Connection, transaction
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync

A_TRANSACTION: Final = 2_000
"""The rows that the yardstick inserts at once: nobody else waits for it."""
PATIENTS: Final = 100_000
"""The number of patients; each occurs about twice in the table."""

_INSERT: Final = (
    "INSERT INTO reminders (id, ref, phone_number, message, scheduled_at, wake_at) VALUES (?, ?, ?, ?, ?, ?)"
)
_HEADER: Final = ("ref", "phone", "message", "at", "expires", "timezone", "name")
_TWO_CALLS: Final = """
[calling]
timezone = "Europe/Berlin"
start = "09:00"
end = "19:00"
[messages.templates]
visit = "Your appointment is on {date} at {time}."
[reminders]
before = ["3 days", "1 day at 10:00"]
template = "visit"
"""


def measure(folder: Path, *, rows: int = 200_000, rounds: int = 3) -> list[Figure]:
    booked = rows // 10  # the number of appointments, and of the reminders in the other table
    table, half = folder / "table.csv", folder / "half.csv"
    _write(table, rows)
    _write(half, rows // 2)
    times = [(_imported(table, folder / f"ours-{n}"), _inserted(table, folder / f"bare-{n}")) for n in range(rounds)]
    ours = [seconds for (seconds, _), _ in times]
    again, _ = _imported(table, folder / "ours-0")
    _, peak_half = _imported(half, folder / "half")
    peak = max(peak for (_, peak), _ in times)
    return [
        Figure.of_rounds(
            [bare / mine for (mine, _), bare in times],
            name="import",
            unit="",
            bar=Bar("at least", 0.4),
            meaning=f"rows/s of the whole program ÷ rows/s of csv.reader and INSERT without a check; {rows:,} rows, "
            "1 % of every kind of bad line",
        ),
        Figure.of_rounds(
            [rows / seconds for seconds in ours],
            name="import, rows",
            unit="/s",
            better="more",
            meaning="by the program, from start to end",
        ),
        Figure(
            name="import, again",
            value=rows / again,
            unit="/s",
            better="more",
            meaning="the same table once more: nothing changes",
        ),
        Figure(
            name="import, memory",
            value=peak / peak_half,
            unit="",
            bar=Bar("at most", 1.25),
            meaning=f"most memory used for {rows:,} rows ÷ for {rows // 2:,}",
        ),
        Figure.of_rounds(
            [_booked(folder / f"booked-{n}", booked) for n in range(rounds)],
            name="import, appointments",
            unit="",
            better="more",
            meaning=f"rows/s of {booked:,} new appointments with two planned calls each ÷ of as many reminders",
        ),
        Figure(name="import, most memory", value=peak / 1024, unit="MiB", better="less", meaning=f"for {rows:,} rows"),
    ]


def _write(path: Path, rows: int) -> None:
    """Write a table like a clinic's; for each kind of mistake, one row in a hundred has it."""
    chance = random.Random(4711)  # noqa: S311 - the same table every time
    first = SystemClock().now().replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEADER)
        for number in range(rows):
            at = first + timedelta(minutes=5 * chance.randrange(50_000))
            phone = f"+4930{10_000_000 + 431 * chance.randrange(PATIENTS)}"
            row = [f"A-{number}", phone, f"{MESSAGE} ({number})", f"{at:%Y-%m-%d %H:%M}Z", "", "", "Erika"]
            kind = chance.randrange(100)
            if kind < len(_WRONG):
                place, wrong = _WRONG[kind]
                row[place:] = [wrong, *row[place + 1 :]]
            elif kind == len(_WRONG):
                row[0] = "A-0"
            elif kind == len(_WRONG) + 1:
                row.append("more than the header has")
            writer.writerow(row)


_WRONG: Final[Sequence[tuple[int, str]]] = (
    (0, "two\nlines"),
    (1, "030 123456"),
    (1, "4.93E+10"),
    (2, ""),
    (2, "x" * 4001),
    (3, "soon"),
    (3, "46447.6667"),
    (3, "2020-01-01 10:00"),
    (4, "2020-01-01 10:00"),
    (5, "Europe/Nowhere"),
)
"""The mistakes: a column, and the wrong text in it."""


def _booked(folder: Path, rows: int) -> float:
    """Return the seconds that a table of reminders took ÷ the seconds that a table of new appointments took."""
    folder.mkdir()
    plain, booked = folder / "plain.csv", folder / "booked.csv"
    _write(plain, rows)
    with plain.open(encoding="utf-8", newline="") as file, booked.open("w", encoding="utf-8", newline="") as other:
        writer = csv.writer(other)
        writer.writerow(("ref", "phone", "appointment at", "name"))
        for ref, phone, _, at, *_, name in islice(csv.reader(file), 1, None):
            writer.writerow((ref, phone, at, name))
    reminders, _ = _imported(plain, folder / "reminders")
    (folder / "appointments").mkdir()
    (folder / "appointments" / "config.toml").write_text(_TWO_CALLS, encoding="utf-8")
    appointments, _ = _imported(booked, folder / "appointments")
    return reminders / appointments


def _imported(table: Path, folder: Path) -> tuple[float, int]:
    """Import a table with the program; return how many seconds that took, and the most memory that it used, in KiB."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "reminderd", "import", str(table)]
    began = time.perf_counter()
    program = subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(program.pid, 0)
    took = time.perf_counter() - began
    program.returncode = os.waitstatus_to_exitcode(status)
    assert program.returncode == 1, "lines were to be rejected"
    return took, used.ru_maxrss


def _inserted(table: Path, folder: Path) -> float:
    """Insert every row as if it were valid, in large transactions; return how many seconds that took."""
    folder.mkdir()
    now = SystemClock().now()
    began = time.perf_counter()
    with table.open(encoding="utf-8", newline="") as file, open_sync(folder / "bare.db") as connection:
        connection.make_room()
        rows = csv.reader(file)
        next(rows)
        values = _values(rows, to_ms(now + timedelta(days=2)))
        while some := list(islice(values, A_TRANSACTION)):
            transaction(connection, partial(_insert, some=some), now)
    return time.perf_counter() - began


def _values(rows: Iterator[list[str]], due: int) -> Iterator[tuple[str, str, str, str, int, int]]:
    for number, row in enumerate(rows):
        at = due + number
        yield str(uuid4()), f"{row[0]} {number}", row[1], row[2], at, at


def _insert(connection: Connection, _now: datetime, *, some: Sequence[tuple[str, str, str, str, int, int]]) -> None:
    connection.executemany(_INSERT, some)
