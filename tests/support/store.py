"""A database for tests, with short ways to write and read rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field

from reminderd.core.answers import Candidates, LookUpAnswer, PlacingAnswer, Report
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.core.lifecycle.transition import Action, Transition
from reminderd.core.model import Call, Reminder
from reminderd.core.rules import Rules
from reminderd.core.script.prompts import Question
from reminderd.databases import SqliteFile, Target
from reminderd.engine.context import Sightings
from reminderd.store.any_engine import open_sync
from reminderd.store.claims import Capacity, claim
from reminderd.store.connection import Connection, transaction
from reminderd.store.rows import CALLS, to_ms
from reminderd.store.settle import (
    Spoken,
    settle_answer,
    settle_finding,
    settle_key,
    settle_not_sent,
    settle_pick_up,
    settle_report,
    settle_unspoken,
)
from reminderd.store.sqlite.driver import SqliteConnection
from reminderd.store.stats import next_wakes
from tests.support.builders import NOW, RULES
from tests.support.engine import calls_of, reminder_of
from tests.support.rows import insert_row

T = TypeVar("T")


_TABLES = {
    True: "SELECT name FROM sqlite_schema WHERE type = 'table'",
    False: "SELECT tablename AS name FROM pg_tables"
    " WHERE schemaname = current_schema() AND tablename NOT IN ('schema_info', 'commit_marks')",
}
"""The queries for the names of SQLite's and PostgreSQL's tables."""


def contents(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table, in the order of its key, which engines would not keep by themselves."""
    tables = [row["name"] for row in connection.execute(_TABLES[isinstance(connection, SqliteConnection)])]
    return {
        table: [tuple(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in tables
    }


def column_names(connection: Connection, table: str) -> set[str]:
    """Return the names of the columns of a table."""
    if isinstance(connection, SqliteConnection):
        return {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}
    sql = "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = ?"
    return {row["column_name"] for row in connection.execute(sql, (table,))}


def setting_keys(connection: Connection) -> list[str]:
    """Return the keys of all settings but the database's id."""
    rows = connection.execute("SELECT key FROM settings WHERE key <> 'database_id' ORDER BY key")
    return [row["key"] for row in rows]


@define
class Store:
    """One connection, a clock that only the test moves, and a method for each transaction."""

    connection: Connection
    rules: Rules = RULES
    now: datetime = NOW
    monotonic: float = 0.0
    _sightings: Sightings = field(factory=Sightings)
    _quiet_until: float = 0.0
    """The time on the monotonic clock until which no call is placed after a restore."""
    _ids: "count[int]" = field(factory=lambda: count(1))

    def mint(self) -> str:
        return f"id-{next(self._ids)}"

    def later(self, by: timedelta) -> None:
        self.witness()  # a process sees its calls and the reports about them
        self.now += by
        self.monotonic += by.total_seconds()

    def witness(self) -> Witness:
        wakes = next_wakes(self.connection, self.now)
        if wakes.restored_at is not None:
            self._quiet_until = self._sightings.quiet_until(wakes.restored_at, self.rules, self.now, self.monotonic)
        self._sightings.see(wakes.alive or (), self.monotonic)
        return self._sightings.witness(self.monotonic)

    def write(self, fn: Callable[[Connection, datetime], T]) -> T:
        return transaction(self.connection, fn, self.now)

    def insert(self, reminder_id: str = "r1", phone: str = "+12025550001", **columns: Any) -> None:
        """Insert a row as another program does."""
        row = {
            "id": reminder_id,
            "phone_number": phone,
            "message": "Tomorrow at nine.",
            "scheduled_at": to_ms(self.now),
            "created_at": to_ms(self.now),
            "updated_at": to_ms(self.now),
        }
        row |= columns
        insert_row(self.connection, "reminders", row)

    @contextmanager
    def one_transaction(self) -> Iterator[None]:
        """Commit many inserts together, which is much faster than each by itself."""
        self.connection.begin()
        yield
        self.connection.commit()

    def reminder(self, reminder_id: str = "r1") -> Reminder:
        found = reminder_of(self.connection, reminder_id)
        assert found is not None
        return found

    def calls(self, reminder_id: str = "r1") -> tuple[Call, ...]:
        return calls_of(self.connection, reminder_id)

    def call(self, call_id: str) -> Call:
        found = [
            CALLS.read(row)
            for row in self.connection.execute(
                f"SELECT {CALLS.names} FROM call_logs WHERE id = :id", {"id": call_id}
            ).fetchall()
        ]
        assert found
        return found[0]

    def claim(self, requests: int = 10, checks: int = 10, **facts: frozenset[str]) -> list[Action]:
        transitions = self.claims(requests, checks, **facts)
        return [one.action for one in transitions if one.action is not None]

    def claims(self, requests: int = 10, checks: int = 10, **facts: frozenset[str]) -> list[Transition]:
        witness = self.witness()
        requests = 0 if self.monotonic < self._quiet_until else requests
        capacity = Capacity(requests=requests, checks=checks, request_in=timedelta(seconds=7), **facts)
        return self.write(partial(claim, capacity=capacity, rules=self.rules, witness=witness, mint=self.mint))

    def answer(self, action: Action, answer: PlacingAnswer, *, counts: bool = True) -> Transition | None:
        return self.write(
            partial(settle_answer, action=action, answer=answer, counts=counts, rules=self.rules, draw=0.5)
        )

    def not_sent(self, action: Action, reason: str = "stopping") -> Transition | None:
        return self.write(partial(settle_not_sent, action=action, reason=reason, rules=self.rules))

    def found(self, action: Action, finding: LookUpAnswer | Candidates) -> Transition | None:
        return self.write(partial(settle_finding, action=action, finding=finding, rules=self.rules))

    def report(self, report: Report) -> Transition:
        return self.write(partial(settle_report, report=report, rules=self.rules, mint=self.mint))

    def pick_up(self, report: Report) -> Spoken:
        return self.write(partial(settle_pick_up, report=report, rules=self.rules, mint=self.mint))

    def press(
        self,
        report: Report,
        digits: str,
        question: Question = Question.MENU,
        repeats: int = 0,
        *,
        is_over: bool = False,
    ) -> Spoken:
        key = Key(digits=digits, question=question, repeats=repeats, is_over=is_over)
        return self.write(partial(settle_key, report=report, key=key, rules=self.rules, mint=self.mint))

    def unspoken(self, call_id: str) -> Transition | None:
        return self.write(partial(settle_unspoken, call_id=call_id, rules=self.rules))

    def count(self, table: str) -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@contextmanager
def a_store(database: Target | Path, rules: Rules = RULES, *, first_id: int = 1) -> Iterator[Store]:
    with open_sync(SqliteFile(database) if isinstance(database, Path) else database) as connection:
        yield Store(connection, rules, ids=count(first_id))
