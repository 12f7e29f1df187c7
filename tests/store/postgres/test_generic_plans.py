"""psycopg prepares a statement at its sixth use, and the server may then have one plan for any values: it must do, too.

Partial indexes are lost if their condition depends on a value, and a LIMIT is taken for a tenth of the table.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Final

import pytest

from reminderd.core.answers import Accepted
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.databases import Target
from reminderd.store.appointments import plan_due
from reminderd.store.claims import Capacity, claim
from reminderd.store.connection import Connection, transaction
from reminderd.store.rows import to_ms
from reminderd.store.settle import read_for_last_look, settle_answer, settle_report
from reminderd.store.stats import next_wakes
from tests.support.builders import NOW, RULES, a_report
from tests.support.plans import Plan, Recording, postgres_plan
from tests.support.rows import insert_row
from tests.support.store import Store, a_store

pytest.importorskip("psycopg")

from reminderd.store.postgres.statements import with_placeholders

SOON: Final = NOW + timedelta(hours=1)
DUE: Final = {"id": "due", "phone_number": "+12025550147", "message": "At nine.", "scheduled_at": to_ms(SOON)}
CAPACITY: Final = Capacity(requests=5, checks=5, request_in=timedelta(seconds=1), held=frozenset({"token"}))


class UndoneError(Exception):
    """Ends a transaction of which nothing may remain."""


@pytest.fixture
def store(large_target: Target) -> Iterator[Store]:
    with a_store(large_target) as store:
        yield store


def statements(store: Store, act: Callable[[Connection, datetime], object]) -> list[str]:
    """Return what a transaction executes, and undo it."""
    recording: Any = Recording(store.connection)

    def undone(connection: Connection, now: datetime) -> None:
        insert_row(store.connection, "reminders", DUE)
        act(connection, now)
        raise UndoneError

    with pytest.raises(UndoneError):
        transaction(recording, undone, SOON)
    return [sql for sql, _ in recording.statements if sql.split()[0] in {"SELECT", "UPDATE", "DELETE", "INSERT"}]


def generic_plan(store: Store, sql: str) -> Plan:
    """Return the plan of a statement for any values."""
    numbers: dict[str, int] = {}
    text = re.sub(
        r"%\((\w+)\)s", lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", with_placeholders(sql)
    ).replace("%%", "%")
    values = f"({', '.join('NULL' for _ in numbers)})" if numbers else ""
    run = store.connection.execute
    run("SET plan_cache_mode = force_generic_plan")
    run(f"PREPARE asked AS {text}")
    [(explained,)] = run(f"EXPLAIN (FORMAT JSON) EXECUTE asked {values}").fetchall()
    run("DEALLOCATE asked")
    return postgres_plan(explained[0]["Plan"])


def trip(connection: Connection, now: datetime) -> None:
    """Do once all that a daemon does for each reminder, and a few times each minute."""
    ids = count(1)
    next_wakes(connection, now)
    transitions = claim(
        connection, now, capacity=CAPACITY, rules=RULES, witness=Witness(), mint=lambda: f"new-{next(ids)}"
    )
    actions = [one.action for one in transitions if one.action is not None]
    assert len(actions) == 1
    for action in actions:
        read_for_last_look(connection, action=action, rules=RULES, now=now)
        answer = partial(settle_answer, connection, now, action=action, counts=True, rules=RULES, draw=0.5)
        answer(answer=Accepted(f"at-{action.call.id}"))
        report = a_report("busy", external_call_id=f"at-{action.call.id}", attempt_id=action.call.id)
        settle_report(connection, now, report=report, rules=RULES, mint=lambda: f"new-{next(ids)}")


@pytest.mark.parametrize(
    "act", [trip, partial(plan_due, rules=RULES, mint=lambda: "new")], ids=["a trip", "plans of appointments"]
)
def test_no_plan_for_any_values_reads_a_whole_table(store: Store, act: Callable[..., object]) -> None:
    asked = set(statements(store, act))
    assert asked
    for sql in asked:
        plan = generic_plan(store, sql)
        assert not plan.whole_tables, f"{sql}\n{plan.text}"
