"""A database for tests, and short ways to put rows in and to read them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field

from reminderd.core.answers import Answer, Candidates, Finding, Report
from reminderd.core.conversation import Question
from reminderd.core.lifecycle import Claimed, Key, Step
from reminderd.core.reminder import Call, Reminder
from reminderd.core.rules import Rules
from reminderd.store.claims import claim
from reminderd.store.conversations import Spoken, settle_key, settle_pick_up
from reminderd.store.driver import Connection
from reminderd.store.opening import open_sync
from reminderd.store.reports import settle_report
from reminderd.store.rows import load_calls, load_reminder, to_ms
from reminderd.store.settles import settle_answer, settle_finding, settle_not_sent
from reminderd.store.transaction import transaction
from tests.support.nouns import NOW, RULES

T = TypeVar("T")


def contents(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    return {
        table["name"]: [tuple(row) for row in connection.execute(f"SELECT * FROM {table['name']}")] for table in tables
    }


@define
class Desk:
    """One connection, a clock that stands still until it is moved, and every transaction as a verb."""

    connection: Connection
    rules: Rules = RULES
    now: datetime = NOW
    _ids: "count[int]" = field(factory=lambda: count(1))

    def mint(self) -> str:
        return f"id-{next(self._ids)}"

    def later(self, by: timedelta) -> None:
        self.now += by

    def write(self, fn: Callable[[Connection, datetime], T]) -> T:
        return transaction(self.connection, fn, self.now)

    def insert(self, reminder_id: str = "r1", phone: str = "+15550100001", **columns: Any) -> None:
        """A row as another program writes it."""
        row = {
            "id": reminder_id,
            "phone_number": phone,
            "message": "Tomorrow at nine.",
            "scheduled_at": to_ms(self.now),
        }
        row |= columns
        marks = ", ".join("?" for _ in row)
        self.connection.execute(f"INSERT INTO reminders ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))

    def reminder(self, reminder_id: str = "r1") -> Reminder:
        found = load_reminder(self.connection, reminder_id)
        assert found is not None
        return found

    def calls(self, reminder_id: str = "r1") -> tuple[Call, ...]:
        return load_calls(self.connection, reminder_id)

    def claim(self, dials: int = 10, checks: int = 10, held: frozenset[str] = frozenset()) -> list[Claimed]:
        steps = self.steps(dials, checks, held)
        return [claimed for step in steps if (claimed := step.claimed) is not None]

    def steps(self, dials: int = 10, checks: int = 10, held: frozenset[str] = frozenset()) -> list[Step]:
        dial_in = timedelta(seconds=7)
        return self.write(
            partial(claim, dials=dials, checks=checks, dial_in=dial_in, held=held, rules=self.rules, mint=self.mint)
        )

    def answer(self, claimed: Claimed, answer: Answer, *, burns_try: bool = True) -> Step | None:
        return self.write(
            partial(settle_answer, claimed=claimed, answer=answer, burns_try=burns_try, rules=self.rules, draw=0.5)
        )

    def not_sent(self, claimed: Claimed, reason: str = "stopping") -> Step | None:
        return self.write(partial(settle_not_sent, claimed=claimed, reason=reason))

    def found(self, claimed: Claimed, finding: Finding | Candidates) -> Step | None:
        return self.write(
            partial(settle_finding, claimed=claimed, finding=finding, rules=self.rules, new_call_id=self.mint())
        )

    def report(self, report: Report) -> Step:
        return self.write(partial(settle_report, report=report, rules=self.rules, new_call_id=self.mint()))

    def pick_up(self, report: Report) -> Spoken:
        return self.write(partial(settle_pick_up, report=report, rules=self.rules, new_call_id=self.mint()))

    def press(
        self,
        report: Report,
        digits: str,
        question: Question = Question.MENU,
        repeats: int = 0,
        *,
        others_only: bool = False,
    ) -> Spoken:
        key = Key(digits=digits, question=question, repeats=repeats, others_only=others_only)
        return self.write(partial(settle_key, report=report, key=key, rules=self.rules, new_call_id=self.mint()))

    def count(self, table: str) -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@contextmanager
def a_desk(path: Path, rules: Rules = RULES) -> Iterator[Desk]:
    with open_sync(path) as connection:
        yield Desk(connection, rules)
