"""Measure whether the time to claim the due rows depends on the number of all other rows."""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

from bench.figure import Bar, Figure
from bench.postgres import not_measured, postgres, settle
from bench.rows import MESSAGE
from reminderd.clock import SystemClock
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.core.lifecycle.transition import ActionKind
from reminderd.core.rules import Rules
from reminderd.databases import PostgresServer, SqliteFile, Target
from reminderd.store.any_engine import open_sync
from reminderd.store.claims import Capacity, claim
from reminderd.store.connection import Connection, transaction
from reminderd.store.rows import to_ms

DUE: Final = 100
FEW: Final = 1_000
ROUNDS: Final = 15
A_STATEMENT: Final = 100_000
"""The rows that one statement writes: a server is given half a minute for each statement."""

# Half of the rows that are not due will be due later; the other half have ended.
_FILL: Final = """
WITH RECURSIVE number (n) AS (
    SELECT CAST(:first AS BIGINT) UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :first + :rows
)
INSERT INTO reminders (id, phone_number, message, status, scheduled_at, wake_at)
SELECT :name || n, '+4930' || (10000000 + n), :message,
       CASE WHEN n % :every = 0 OR n % 2 = 1 THEN 'scheduled' ELSE 'called' END,
       CASE WHEN n % :every = 0 THEN CAST(:due AS BIGINT) ELSE :later + n END,
       CASE WHEN n % :every = 0 THEN CAST(:due AS BIGINT) WHEN n % 2 = 1 THEN :later + n END
  FROM number
"""


def measure(folder: Path, *, rows: int = 1_000_000) -> list[Figure]:
    figures = quick(folder, rows=rows)
    with postgres() as found:
        if found is None:
            return [*figures, not_measured("claim, PostgreSQL")]
        many, few = (PostgresServer(found.create().url) for _ in range(2))
        return [*figures, *_figures("claim, PostgreSQL", many, few, rows)]


def quick(folder: Path, *, rows: int) -> list[Figure]:
    """Measure only SQLite."""
    return _figures("claim", SqliteFile(folder / "many.db"), SqliteFile(folder / "few.db"), rows)


def _figures(name: str, of_many: Target, of_few: Target, rows: int) -> list[Figure]:
    with open_sync(of_many) as many, open_sync(of_few) as few:
        fill(many, rows)
        fill(few, FEW)
        seconds = [(claim_all_due(many), claim_all_due(few)) for _ in range(ROUNDS)]
    return [
        Figure.of_rounds(
            [among_many / among_few for among_many, among_few in seconds],
            name=name,
            unit="",
            bar=Bar("at most", 1.3),
            meaning=f"time to claim {DUE} due rows among {rows:,} ÷ among {FEW:,}",
        ),
        Figure.of_rounds(
            [among_many * 1000 for among_many, _ in seconds],
            name=f"{name}, time",
            unit="ms",
            better="less",
            meaning=f"for {DUE} due rows among {rows:,}, with the commit",
        ),
    ]


def fill(connection: Connection, rows: int) -> None:
    """Write this number of reminders, a few of which are due."""
    now = SystemClock().now()
    values = {
        "name": uuid4().hex,
        "message": MESSAGE,
        "every": rows // DUE,
        "due": to_ms(now - timedelta(minutes=1)),
        "later": to_ms(now + timedelta(days=1)),
    }
    for first in range(0, rows, A_STATEMENT):
        some = {**values, "first": first, "rows": min(A_STATEMENT, rows)}
        transaction(connection, partial(_write, values=some), now)
    settle(connection)


def _write(connection: Connection, _now: datetime, *, values: Mapping[str, object]) -> None:
    connection.execute(_FILL, values)


def claim_all_due(connection: Connection) -> float:
    """Claim all due reminders, and make them due again; return how many seconds the claim took."""
    now = SystemClock().now()
    capacity = Capacity(requests=DUE, checks=8, request_in=timedelta(0))
    fn = partial(claim, capacity=capacity, rules=Rules(), witness=Witness(), mint=lambda: str(uuid4()))
    began = time.perf_counter()
    transitions = transaction(connection, fn, now)
    took = time.perf_counter() - began
    kinds = [one.action.kind for one in transitions if one.action is not None]
    assert kinds == [ActionKind.PLACE] * DUE, "not every due row was claimed"
    transaction(connection, _put_back, now)
    return took


def _put_back(connection: Connection, now: datetime) -> None:
    connection.execute("DELETE FROM call_reminders")
    connection.execute("DELETE FROM call_logs")
    connection.execute(
        "UPDATE reminders SET status = 'scheduled', attempts = 0, revision = revision + 1, wake_at = :now"
        " WHERE status = 'dialing'",
        {"now": to_ms(now)},
    )
