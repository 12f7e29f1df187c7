"""Takes the chunks of a table to the database: writes them, or only looks what writing would do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final
from uuid import uuid4

from reminderd.cli.common import actor, database, database_to_look_at
from reminderd.cli.import_chunks import Chunk, Judge
from reminderd.clock import SystemClock
from reminderd.config import Config, rules_of
from reminderd.core.imported import Decision, decide
from reminderd.logs import without_numbers
from reminderd.store import reminders
from reminderd.store.reminders import Source
from reminderd.store.sqlite.housekeeping import make_room
from reminderd.store.sqlite.transaction import snapshot, transaction

_PAUSE: Final = 0.02
"""Seconds after each transaction in which others can write, too; the next rows are being read meanwhile."""


@contextmanager
def writing(config: Config, name: str) -> Iterator[Judge]:
    """Chunks are written, each with its audit line; `name` is the file's."""
    rules = rules_of(config)
    source = Source(actor=actor(), detail=f"import of {without_numbers(name)}")

    def judge(chunk: Chunk) -> list[Decision]:
        if not chunk.good:
            return []
        fn = partial(
            reminders.put,
            requests=[row.wanted for row in chunk.good],
            rules=rules,
            mint=lambda: str(uuid4()),
            source=source,
        )
        decided = transaction(connection, fn, SystemClock().now())
        time.sleep(_PAUSE)
        return decided

    with database(config) as connection:
        make_room(connection)
        yield judge


@contextmanager
def only_looking(config: Config) -> Iterator[Judge]:
    """Chunks are compared with what is stored; where there is no database, none is made."""
    rules = rules_of(config)

    def alone(chunk: Chunk) -> list[Decision]:
        now = SystemClock().now()
        return [decide(row.wanted, None, rules, now, opted_out=False) for row in chunk.good]

    def beside(chunk: Chunk) -> list[Decision]:
        requests = [row.wanted for row in chunk.good]
        fn = partial(reminders.decisions, now=SystemClock().now(), requests=requests, rules=rules)
        return [decision for _, decision in snapshot(connection, fn)]

    if not config.database.path.exists():
        yield alone
        return
    with database_to_look_at(config) as connection:
        yield beside
