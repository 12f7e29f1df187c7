"""Compare reminderd with the ordinary design in Node.js on PostgreSQL: webhooks a second, and how long they wait.

bench/peer/ has that design twice: with its database through Prisma, and through bare pg, which is harder to beat. Its
README describes it. All sides take turns in one run, with the same load client.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, Literal
from uuid import uuid4

from attrs import frozen

from bench.figure import Bar, Figure
from bench.postgres import not_measured, postgres
from bench.program import PATIENCE, SECRET, daemon, free_port, server, until_healthy
from bench.rows import MESSAGE, phone
from bench.webhooks import TRANSCRIPT, add_accepted, report, signed
from bench.wire import Drive, drive
from reminderd.clock import SystemClock
from reminderd.databases import PostgresServer
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, transaction
from tests.support.postgres import USER, PostgresDatabase

if TYPE_CHECKING:
    import psycopg

CONNECTIONS: Final = (32, 128)
ROUNDS: Final = 7
A_ROUND: Final = 1_500
"""The number of webhooks for each side in a round, each for another call."""
NODE: Final = (20, 19)
"""The oldest Node.js version that runs the peer, as Prisma 7 requires it."""

_PEER: Final = Path(__file__).with_name("peer")

Calls = Sequence[tuple[str, str]]
"""The ids of reminders, each with the id of the call that the provider has accepted for it."""


@frozen
class _Side:
    """One of the compared programs."""

    name: str
    url: str
    """The URL to which its webhooks are sent."""
    add: Callable[[Calls, int], None]
    """Writes these reminders and calls into its database; the first gets this phone number, the others those after
    it."""
    recorded: Callable[[], int]
    """Counts the reminders in its database that are `called` and whose call has its transcript."""


def measure(folder: Path) -> list[Figure]:
    with ExitStack() as stack:
        found = stack.enter_context(postgres())
        if found is None:
            return [not_measured("peer")]
        missing = _what_node_lacks()
        if missing is not None:
            return [Figure(name="peer", value=0, unit="", meaning=f"not measured: {missing}")]
        provider = stack.enter_context(server("bench.raw_provider", "0"))
        on_postgres = PostgresServer(found.create().url)
        sides = (
            stack.enter_context(_ours("reminderd on SQLite", None, folder / "ours", provider)),
            stack.enter_context(_peer("prisma", found.create(), folder, provider)),
            stack.enter_context(_peer("pg", found.create(), folder, provider)),
            stack.enter_context(_ours("reminderd on PostgreSQL", on_postgres, folder / "ours-too", provider)),
        )
        return _compared(sides)


def _compared(sides: Sequence[_Side]) -> list[Figure]:
    figures = []
    for connections in CONNECTIONS:
        rounds = [[_round(side, connections) for side in sides] for _ in range(ROUNDS + 1)][1:]  # to warm up
        name = f"peer, {connections} connections"
        ours, prisma, pg, _ = zip(*rounds, strict=True)
        figures += _ratios(f"{name}: ", ours, prisma, against=sides[1].name, bars=True)
        figures += _ratios(f"{name}, pg: ", ours, pg, against=sides[2].name, bars=False)
        figures += [
            Figure.of_rounds(
                [one.a_second for one in drives],
                name=f"{name}: {side.name}",
                unit="/s",
                meaning=f"p99 {median(one.p99 for one in drives) * 1000:,.0f} ms; medians of {ROUNDS} rounds",
            )
            for side, drives in zip(sides, zip(*rounds, strict=True), strict=True)
        ]
    return figures


def _ratios(name: str, ours: Sequence[Drive], theirs: Sequence[Drive], *, against: str, bars: bool) -> list[Figure]:
    """Compare the rounds of reminderd on SQLite with those of a peer, in the order in which they took turns."""
    pairs = list(zip(ours, theirs, strict=True))
    return [
        Figure.of_rounds(
            [one.a_second / other.a_second for one, other in pairs],
            name=f"{name}rate",
            unit="",
            bar=Bar("at least", 1.4) if bars else None,
            better="more",
            meaning=f"signed webhooks recorded a second, reminderd on SQLite ÷ {against}",
        ),
        Figure.of_rounds(
            [one.p99 / other.p99 for one, other in pairs],
            name=f"{name}p99",
            unit="",
            bar=Bar("at most", 0.4) if bars else None,
            better="less",
            meaning="the time until 99 of 100 are answered, the same",
        ),
    ]


def _round(side: _Side, connections: int) -> Drive:
    """Have a side record the ends of new calls, and check that it recorded all of them."""
    calls = [(str(uuid4()), str(uuid4())) for _ in range(A_ROUND)]
    before = side.recorded()
    side.add(calls, before)
    requests = signed(side.url, [report(*call) for call in calls], SystemClock().now())
    result = drive(side.url, requests, connections=connections)
    recorded = side.recorded() - before
    assert recorded == A_ROUND, f"{side.name} has recorded {recorded} of the {A_ROUND} webhooks that it answered"
    return result


@contextmanager
def _ours(name: str, database: PostgresServer | None, folder: Path, provider: str) -> Iterator[_Side]:
    """Run the daemon."""
    with daemon(folder, provider_url=provider, database=database) as running, open_sync(running.database) as connection:
        yield _Side(
            name,
            f"{running.url}/webhooks/call-status",
            add=partial(_add_ours, connection),
            recorded=partial(_recorded_by_us, connection),
        )


def _add_ours(connection: Connection, calls: Calls, first_phone: int) -> None:
    transaction(connection, partial(add_accepted, calls=calls, first_phone=first_phone), SystemClock().now())
    connection.refresh_statistics()


def _recorded_by_us(connection: Connection) -> int:
    (count,) = connection.execute(
        "SELECT count(*) FROM reminders JOIN call_logs ON call_logs.reminder_id = reminders.id"
        " WHERE reminders.status = 'called' AND transcript = :transcript",
        {"transcript": TRANSCRIPT},
    ).fetchone()
    return int(count)


def _what_node_lacks() -> str | None:
    """Install the peer's missing packages, and generate its client; return why it can't run, or None if it can."""
    oldest = ".".join(map(str, NODE))
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return f"Node.js {oldest} or newer, or npm, is not installed"
    version = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    if tuple(map(int, version.removeprefix("v").split(".")[:2])) < NODE:
        return f"Node.js {version} is older than {oldest}"
    options = [
        "--no-package-lock",
        "--ignore-scripts",
        "--include=dev",
        "--no-audit",
        "--no-fund",
        "--prefer-offline",
        "--silent",
    ]
    if subprocess.run([npm, "install", *options], cwd=_PEER, check=False).returncode:
        return f"`npm install` failed in {_PEER}"
    if subprocess.run([npm, "run", "generate", "--silent"], cwd=_PEER, capture_output=True, check=False).returncode:
        return f"`npm run generate` failed in {_PEER}"
    return None


@contextmanager
def _peer(library: Literal["prisma", "pg"], database: PostgresDatabase, folder: Path, provider: str) -> Iterator[_Side]:
    """Run the peer's worker until the end of the block, with its database through that library."""
    node = shutil.which("node")
    assert node is not None
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "NODE_ENV": "production",
        "DATABASE_URL": database.url,
        "DATABASE_LIBRARY": library,
        "VOICE_PROVIDER_API_URL": provider,
        "VOICE_PROVIDER_API_KEY": "bench",
        "WEBHOOK_SECRET": SECRET,
        "WEBHOOK_PORT": str(port),
    }
    log = folder / f"{library}.log"
    with database.server.connect(database.name, USER) as connection, log.open("wb") as output:
        connection.execute((_PEER / "schema.sql").read_bytes())
        process = subprocess.Popen(
            [node, "worker.js"], cwd=_PEER, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            until_healthy(url, process, log)
            yield _Side(
                f"Node.js with {library}",
                f"{url}/webhooks/call-status",
                add=partial(_add_to_peer, connection),
                recorded=partial(_recorded_by_peer, connection),
            )
            process.terminate()
            assert process.wait(PATIENCE) == 0, log.read_text(encoding="utf-8")
        finally:
            process.kill()
            process.wait()


def _add_to_peer(connection: "psycopg.Connection", calls: Calls, first_phone: int) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at, status)"
            " VALUES (%s, %s, %s, now(), 'processing')",
            [(reminder_id, phone(n), MESSAGE) for n, (reminder_id, _) in enumerate(calls, first_phone)],
        )
        cursor.executemany(
            "INSERT INTO call_logs (id, reminder_id, external_call_id, status) VALUES (%s, %s, %s, 'queued')",
            [(call_id, reminder_id, f"at-{call_id}") for reminder_id, call_id in calls],
        )
    connection.execute("ANALYZE")


def _recorded_by_peer(connection: "psycopg.Connection") -> int:
    row = connection.execute(
        "SELECT count(*) FROM reminders JOIN call_logs ON call_logs.reminder_id = reminders.id"
        " WHERE reminders.status = 'called' AND transcript = %s AND received_at IS NOT NULL",
        (TRANSCRIPT,),
    ).fetchone()
    assert row is not None
    return int(row[0])
