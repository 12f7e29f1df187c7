"""How often a trip waits for the server: each time takes as long as the network does, and often under the write lock.

A trip is the claim of a due reminder, the last look, the provider's answer, and its report. libpq itself keeps the
record: the server ends its answer to each message with ReadyForQuery.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from attrs import define, evolve, field

from reminderd.clock import SystemClock
from reminderd.core.answers import Accepted
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.core.model import Status
from reminderd.core.rules import Limits, Rules
from reminderd.databases import PostgresServer
from reminderd.store.claims import Capacity, claim
from reminderd.store.connection import Connection
from reminderd.store.database import Database, open_database
from reminderd.store.rows import to_ms
from reminderd.store.settle import read_for_last_look, settle_answer, settle_report
from reminderd.store.stats import next_wakes
from tests.support.builders import RULES, a_report
from tests.support.postgres import PostgresDatabase
from tests.support.rows import insert_row

psycopg = pytest.importorskip("psycopg")

from reminderd.store.postgres import on_trio, sessions  # noqa: E402 - only with psycopg
from reminderd.store.postgres.statements import Raw  # noqa: E402

T = TypeVar("T")

WARM: Final = 8
"""Trips after which psycopg has prepared each statement."""


@define
class Trips:
    """Makes trips, and counts the messages of their parts."""

    database: Database
    trace: Path
    rules: Rules
    messages: dict[str, int] = field(factory=dict)
    _number: int = 0

    async def make(self, *, appointment: bool) -> None:
        self._number += 1
        name, phone = f"r{self._number}", f"+1202555{self._number:04}"
        row = {"id": name, "phone_number": phone, "message": "At nine.", "scheduled_at": to_ms(SystemClock().now())}
        if appointment:
            at = to_ms(SystemClock().now() + timedelta(days=1))
            visit = {"id": f"a-{name}", "phone_number": phone, "at": at, "planned_at": at, "revision": 1}
            await self._insert("appointments", visit)
            row |= {"appointment_id": visit["id"], "planned_at": at}
        await self._insert("reminders", row)
        await self._read("next wakes", partial(next_wakes, now=SystemClock().now()))
        capacity = Capacity(requests=1, checks=8, request_in=timedelta(seconds=1))
        ids = iter([f"call-{name}", f"token-{name}"])
        claimed = partial(claim, capacity=capacity, rules=self.rules, witness=Witness(), mint=lambda: next(ids))
        [transition] = await self._write("claim", claimed)
        action = transition.action
        assert action is not None
        seen = await self._read(
            "last look", partial(read_for_last_look, action=action, rules=self.rules, now=SystemClock().now())
        )
        assert not seen.paused
        answer = partial(settle_answer, answer=Accepted(f"at-{name}"), counts=True, rules=self.rules, draw=0.5)
        await self._write("answer", partial(answer, action=action))
        report = a_report(external_call_id=f"at-{name}", attempt_id=action.call.id, reminder_id=name)
        settled = await self._write("report", partial(settle_report, report=report, rules=self.rules, mint=str))
        assert settled.ledger.reminders[name].status is Status.CALLED

    async def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        await self.database.write(lambda connection, _now: insert_row(connection, table, row))

    async def _write(self, part: str, fn: Callable[[Connection, datetime], T]) -> T:
        return await self._counted(part, partial(self.database.write, fn))

    async def _read(self, part: str, fn: Callable[[Connection], T]) -> T:
        return await self._counted(part, partial(self.database.read, fn))

    async def _counted(self, part: str, act: Callable[[], Awaitable[T]]) -> T:
        before = self._answers()
        result = await act()
        self.messages[part] = self._answers() - before
        return result

    def _answers(self) -> int:
        return self.trace.read_text().count("ReadyForQuery")


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have libpq record every message of a database's connections in a file."""
    connect = sessions.connect
    monkeypatch.setattr(on_trio, "connect", connect)  # the listener is not counted
    with (tmp_path / "trace").open("ab") as file:

        def traced(server: PostgresServer) -> Raw:
            raw = connect(server)
            raw.pgconn.trace(file.fileno())
            return raw

        monkeypatch.setattr(sessions, "connect", traced)
        yield tmp_path / "trace"


async def of_a_trip(
    made: PostgresDatabase, trace: Path, rules: Rules = RULES, *, appointment: bool = False
) -> dict[str, int]:
    """Return the messages of each part of a trip, once psycopg has prepared all statements."""
    async with open_database(PostgresServer(made.url), SystemClock()) as database:
        trips = Trips(database, trace, rules)
        for _ in range(WARM):
            await trips.make(appointment=appointment)
    return trips.messages


async def test_a_trip_takes_at_most_15_messages(made: PostgresDatabase, trace: Path) -> None:
    messages = await of_a_trip(made, trace)
    assert messages == {"next wakes": 2, "claim": 5, "last look": 2, "answer": 3, "report": 4}
    assert sum_of(messages) <= 15


@pytest.mark.parametrize(
    ("rules", "appointment", "most"),
    [
        (evolve(RULES, group_within=timedelta(minutes=10)), False, 15),
        (evolve(RULES, limits=Limits(per_day=1)), False, 17),
        (RULES, True, 21),
    ],
    ids=["bundles", "limits", "appointments"],
)
async def test_bundles_limits_and_appointments_take_some_more(
    made: PostgresDatabase, trace: Path, rules: Rules, appointment: bool, most: int
) -> None:
    assert sum_of(await of_a_trip(made, trace, rules, appointment=appointment)) == most


def sum_of(messages: dict[str, int]) -> int:
    """Return the messages of the parts of which a trip consists."""
    return sum(messages[part] for part in ("claim", "last look", "answer", "report"))
