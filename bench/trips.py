"""Measure whole reminders a second (claim, last look, answer, report), on SQLite, and on PostgreSQL near and far."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import IO, Final

import trio
from attrs import frozen

from bench.figure import Bar, Figure
from bench.postgres import not_measured, postgres
from bench.program import PATIENCE, server
from bench.rows import MESSAGE, add_due, phone
from bench.trip_worker import claimed, finished
from reminderd.clock import SystemClock
from reminderd.databases import PostgresServer, SqliteFile, Target
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import transaction
from reminderd.store.database import Database, open_database
from reminderd.store.rows import to_ms
from tests.support.postgres import PostgresDatabase, Server

DUE: Final = 400
ROUNDS: Final = 3

NEAR: Final = 0.001
"""Seconds to a server in the same building and back."""
FAR: Final = 0.1
"""Seconds to a server so far away that everything else in a trip hardly counts."""
FAR_TRIPS: Final = 12
"""The number of trips to the far server; psycopg prepares a statement at its sixth use, so only the later trips
count."""

NEEDED: Final = 28
"""Trips a second; they make 100,000 an hour."""

WAKES: Final = 300


_INSERT: Final = "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (%s, %s, %s, %s)"


@frozen
class _Place:
    """A database, and how many processes make trips on it."""

    name: str
    target: Target
    daemons: int
    bar: Bar | None = None


def measure(folder: Path) -> list[Figure]:
    places = [_Place("SQLite, 1 daemon", SqliteFile(folder / "bench.db"), 1)]
    with ExitStack() as stack:
        found = stack.enter_context(postgres())
        if found is None:
            return [*_rates(places), not_measured("trips, PostgreSQL")]
        near = stack.enter_context(server("bench.slow_line", str(found.port), str(NEAR / 2)))
        far = stack.enter_context(server("bench.slow_line", str(found.port), str(FAR / 2)))
        for daemons, name in ((1, "1 daemon"), (2, "2 daemons"), (4, "4 daemons")):
            places.append(_Place(f"PostgreSQL, {name}", _database(found), daemons))
        places.append(_Place("1 ms away, 1 daemon", _database(found, near), 1))
        places.append(_Place("1 ms away, 2 daemons", _database(found, near), 2, Bar("at least", NEEDED)))
        return [*_rates(places), trio.run(_messages, _database(found, far)), *trio.run(_wakes, found.create())]


def _database(found: Server, port: str | None = None) -> PostgresServer:
    """Create an empty database; `port` is that of a slow line to the server."""
    url = found.create().url
    return PostgresServer(url if port is None else url.replace(f":{found.port}/", f":{port}/"))


def _rates(places: list[_Place]) -> list[Figure]:
    """Return how many trips a second are made at each place. The places take turns, as other programs are busy, too."""
    rounds = [[_rate(place, number) for place in places] for number in range(ROUNDS)]
    return [
        Figure.of_rounds(
            rates,
            name=f"trips, {place.name}",
            unit="/s",
            bar=place.bar,
            better="more",
            meaning=f"claim, last look, answer and report; median of {ROUNDS} rounds",
        )
        for place, rates in zip(places, zip(*rounds, strict=True), strict=True)
    ]


def _rate(place: _Place, number: int) -> float:
    """Have all daemons of a place make the trips of due reminders together; return how many a second."""
    now = SystemClock().now()
    with open_sync(place.target) as connection:
        transaction(connection, lambda c, _: add_due(c, [now] * DUE, first_phone=number * DUE), now)
        connection.refresh_statistics()
        with ExitStack() as stack:
            workers = [stack.enter_context(_worker(place.target)) for _ in range(place.daemons)]
            began = time.perf_counter()
            for one in workers:
                one.begin()
            trips = sum(one.trips() for one in workers)
            took = time.perf_counter() - began
        (called,) = connection.execute("SELECT count(*) FROM reminders WHERE status = 'called'").fetchone()
    assert trips == DUE, f"{trips} trips instead of {DUE}"
    assert called == (number + 1) * DUE, f"{called} reminders are called instead of {(number + 1) * DUE}"
    return DUE / took


@frozen
class _Worker:
    """A process that is ready to make trips."""

    _input: IO[str]
    _output: IO[str]

    def begin(self) -> None:
        self._input.write("\n")
        self._input.flush()

    def trips(self) -> int:
        """Wait until nothing is due anymore; return how many trips it has made."""
        return int(self._output.readline())


@contextmanager
def _worker(target: Target) -> Iterator[_Worker]:
    place = target.url if isinstance(target, PostgresServer) else str(target.path)
    command = [sys.executable, "-m", "bench.trip_worker", place]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", "a worker did not start"
            yield _Worker(process.stdin, process.stdout)
            assert process.wait(PATIENCE) == 0, "a worker failed"
        finally:
            process.kill()


async def _messages(target: PostgresServer) -> Figure:
    """Return how often a trip waits for the server: its time on a line that takes so long that nothing else counts."""
    taken = []
    async with open_database(target, SystemClock()) as database:
        for number in range(FAR_TRIPS):
            await _add_one(database, number)
            began = time.perf_counter()
            (action,) = await claimed(database, 1)
            await finished(database, action)
            taken.append(time.perf_counter() - began)
    return Figure(
        name="trip, messages",
        value=int(min(taken) / FAR),
        unit="",
        bar=Bar("at most", 15),
        meaning=f"each waits for the one before it: {min(taken):.2f} s on a line that takes {FAR:g} s for each",
    )


async def _add_one(database: Database, number: int) -> None:
    now = SystemClock().now()
    await database.write(lambda connection, _: add_due(connection, [now], first_phone=number))


async def _wakes(database: PostgresDatabase) -> list[Figure]:
    """Return how soon after another program's INSERT a daemon on an idle server wakes up."""
    taken = []
    async with open_database(PostgresServer(database.url), SystemClock()) as opened:
        with database.connect() as program:
            for number in range(WAKES):
                await trio.sleep(0.01)
                version = await opened.commits.version()
                row = (f"r{number}", phone(number), MESSAGE, to_ms(SystemClock().now()) + 86_400_000)
                began = time.perf_counter()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.to_thread.run_sync, partial(program.execute, _INSERT, row))
                    while not await opened.commits.another(version):
                        pass
                    taken.append((time.perf_counter() - began) * 1000)
    found = quantiles(taken, n=100)
    meaning = f"another program's INSERT is sent → the daemon is awake, by NOTIFY, {WAKES} times"
    return [
        Figure(name="wake-up, p99", value=found[98], unit="ms", bar=Bar("at most", 20), meaning=meaning),
        Figure(name="wake-up, p50", value=found[49], unit="ms", better="less", meaning="the same"),
    ]
