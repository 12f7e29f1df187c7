"""Claiming: does the time to take what is due depend on all the rows that are not?"""

import time
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final
from uuid import uuid4

from bench.figure import Bar, Figure
from bench.rows import MESSAGE
from reminderd.clock import SystemClock
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.core.lifecycle.transition import ActionKind
from reminderd.core.rules import Rules
from reminderd.store.claims import Capacity, claim
from reminderd.store.connection import Connection, transaction
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync

DUE: Final = 100
MANY: Final = 1_000_000
FEW: Final = 1_000
ROUNDS: Final = 15

# Of the rows that are not due, half are yet to come and half are over.
_FILL: Final = """
WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < :rows)
INSERT INTO reminders (id, phone_number, message, status, scheduled_at, wake_at)
SELECT lower(hex(randomblob(16))), '+4930' || (10000000 + n), :message,
       CASE WHEN n % :every = 0 OR n % 2 THEN 'scheduled' ELSE 'called' END,
       iif(n % :every = 0, :due, :later + n),
       CASE WHEN n % :every = 0 THEN :due WHEN n % 2 THEN :later + n END
  FROM number
"""


def measure(folder: Path) -> list[Figure]:
    with open_sync(folder / "many.db") as many, open_sync(folder / "few.db") as few:
        _fill(many, MANY)
        _fill(few, FEW)
        seconds = [(_claim_all_due(many), _claim_all_due(few)) for _ in range(ROUNDS)]
    among_many = median(long for long, _ in seconds)
    among_few = median(short for _, short in seconds)
    return [
        Figure(
            name="claim",
            value=among_many / among_few,
            unit="",
            bar=Bar("at most", 3),
            meaning=f"time to claim {DUE} due rows among {MANY:,} ÷ among {FEW:,}",
        ),
        Figure(
            name="claim, time",
            value=among_many * 1000,
            unit="ms",
            meaning=f"for {DUE} due rows among {MANY:,}, with the commit",
        ),
    ]


def _fill(connection: Connection, rows: int) -> None:
    now = SystemClock().now()
    values = {
        "message": MESSAGE,
        "rows": rows,
        "every": rows // DUE,
        "due": to_ms(now - timedelta(minutes=1)),
        "later": to_ms(now + timedelta(days=1)),
    }
    transaction(connection, lambda c, _: c.execute(_FILL, values), now)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _claim_all_due(connection: Connection) -> float:
    """The seconds that one claim takes; the rows are due again afterwards."""
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
        "UPDATE reminders SET status = 'scheduled', attempts = 0, revision = revision + 1, wake_at = ?"
        " WHERE status = 'dialing'",
        (to_ms(now),),
    )
