"""Takes the chunks of a table to the database: writes them, or only looks what writing would do."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Final
from uuid import uuid4

from reminderd.cli.common import actor, database, database_to_look_at
from reminderd.cli.import_chunks import Chunk, Judge
from reminderd.clock import SystemClock
from reminderd.config import Config, rules_of
from reminderd.core.masking import without_numbers
from reminderd.core.requests import ReminderRequest
from reminderd.core.upsert import Cancellation, Decision, decide, decide_cancellation
from reminderd.store import reminders
from reminderd.store.connection import Connection
from reminderd.store.reminders import Source
from reminderd.store.sqlite.housekeeping import make_room
from reminderd.store.sqlite.transaction import snapshot, transaction

Requests = Sequence[ReminderRequest]
Cancellations = Sequence[Cancellation]
Decisions = tuple[list[Decision], list[Decision]]
"""About requests, and about cancellations."""

_PAUSE: Final = 0.02
"""Seconds after each transaction in which others can write, too; the next rows are being read meanwhile."""


@contextmanager
def writing(config: Config, name: str) -> Iterator[Judge]:
    """Chunks are written, each with its audit line; `name` is the file's."""
    rules = rules_of(config)
    source = Source(actor=actor(), detail=f"import of {without_numbers(name)}")

    def write(connection: Connection, now: datetime, *, requests: Requests, asked: Cancellations) -> Decisions:
        added = reminders.put(connection, now, requests=requests, rules=rules, mint=lambda: str(uuid4()), source=source)
        return added, reminders.call_off(connection, now, asked=asked, rules=rules, source=source)

    def judge(chunk: Chunk) -> list[Decision]:
        if not chunk.good:
            return []
        requests, asked = _kinds(chunk)
        decided = transaction(connection, partial(write, requests=requests, asked=asked), SystemClock().now())
        time.sleep(_PAUSE)
        return _in_order(chunk, *decided)

    with database(config) as connection:
        make_room(connection)
        yield judge


@contextmanager
def only_looking(config: Config) -> Iterator[Judge]:
    """Chunks are compared with what is stored; where there is no database, none is made."""
    rules = rules_of(config)

    def alone(chunk: Chunk) -> list[Decision]:
        now = SystemClock().now()
        requests, asked = _kinds(chunk)
        return _in_order(
            chunk,
            [decide(one, None, rules, now, opted_out=False) for one in requests],
            [decide_cancellation(one, None) for one in asked],
        )

    def look(connection: Connection, *, now: datetime, requests: Requests, asked: Cancellations) -> Decisions:
        added = reminders.decisions(connection, now, requests=requests, rules=rules)
        over = reminders.cancellations(connection, asked)
        return [decision for _, decision in added], [decision for _, decision in over]

    def beside(chunk: Chunk) -> list[Decision]:
        requests, asked = _kinds(chunk)
        fn = partial(look, now=SystemClock().now(), requests=requests, asked=asked)
        return _in_order(chunk, *snapshot(connection, fn))

    if not config.database.path.exists():
        yield alone
        return
    with database_to_look_at(config, changes_nothing=True) as connection:
        yield beside


def _kinds(chunk: Chunk) -> tuple[Requests, Cancellations]:
    """Return the rows that ask for a reminder, and the rows that cancel one."""
    wanted = [row.wanted for row in chunk.good]
    return (
        [one for one in wanted if isinstance(one, ReminderRequest)],
        [one for one in wanted if isinstance(one, Cancellation)],
    )


def _in_order(chunk: Chunk, added: Sequence[Decision], over: Sequence[Decision]) -> list[Decision]:
    """The decisions about both kinds in the order of their rows."""
    of_requests, of_cancellations = iter(added), iter(over)
    return [next(of_cancellations if isinstance(row.wanted, Cancellation) else of_requests) for row in chunk.good]
