"""The lists of staff are read by an index, however many reminders there are: SQLite says how it reads them."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from reminderd.core.model import Status
from reminderd.store.opt_outs import page_of_opt_outs
from reminderd.store.queries import NEEDS_HUMAN, ListPlace, Wanted, ids_named, list_reminders, news
from tests.support.builders import NOW
from tests.support.rows import sqlite
from tests.support.store import Store, a_store

DAY = {"since": NOW, "until": NOW}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with a_store(tmp_path / "clinic.db") as store:
        yield store


def plans(store: Store, read: Callable[[], object]) -> list[list[str]]:
    """Return SQLite's plan for each statement that a function executes."""
    asked: list[str] = []
    sqlite(store.connection).set_trace_callback(asked.append)
    read()
    sqlite(store.connection).set_trace_callback(None)
    explained = [store.connection.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall() for sql in asked]
    return [[row["detail"] for row in rows] for rows in explained]


def test_the_index_of_those_that_need_a_human_has_the_cores_condition(store: Store) -> None:
    sql = "SELECT sql FROM sqlite_master WHERE name = 'reminders_that_need_a_human'"
    (index,) = store.connection.execute(sql).fetchone()
    assert " ".join(index.split()).partition(" WHERE ")[2] == NEEDS_HUMAN


@pytest.mark.parametrize("after", [None, ListPlace(NOW, "r")])
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, "reminders_by_scheduled_at"),
        (DAY, "reminders_by_scheduled_at"),
        ({"needs_human": True}, "reminders_that_need_a_human"),
        ({"needs_human": True, **DAY}, "reminders_that_need_a_human"),
        ({"status": Status.EXPIRED}, "reminders_by_status"),
        ({"status": Status.EXPIRED, **DAY}, "reminders_by_status"),
        ({"status": Status.CALLED}, "reminders_by_scheduled_at"),
        ({"response": "confirmed"}, "reminders_by_response"),
        ({"response": "confirmed", **DAY}, "reminders_by_response"),
        ({"phone_ending": "0147"}, "reminders_by_last_digits"),
        ({"phone_ending": "2025550147", **DAY}, "reminders_by_last_digits"),
        ({"phone_ending": "47"}, "reminders_by_scheduled_at"),
        ({"phone_ending": "0147", "status": Status.CALLED}, "reminders_by_last_digits"),
        ({"phone_ending": "0147", "status": Status.CALLED, "response": "confirmed"}, "reminders_by_last_digits"),
        ({"status": Status.CALLED, "response": "confirmed", **DAY}, "reminders_by_response"),
        ({"status": Status.FAILED, "response": "confirmed"}, "reminders_answered_otherwise"),
    ],
)
def test_a_page_of_a_list_is_read_from_an_index_in_its_order(
    store: Store, asked: dict[str, Any], index: str, after: ListPlace | None, *, newest_first: bool
) -> None:
    def read() -> object:
        more: Any = {"after": after, "newest_first": newest_first}
        return list_reminders(store.connection, wanted=Wanted(**asked), limit=50, **more)

    for plan in plans(store, read):
        assert any(index in step for step in plan), plan
        assert not any(re.match(r"SCAN \w+( AS \w+)?$", step) for step in plan), plan
    assert "USE TEMP B-TREE FOR ORDER BY" not in plans(store, read)[0]


def test_alerts_look_only_at_those_that_need_a_human(store: Store) -> None:
    finals, held = plans(store, lambda: news(store.connection, now=NOW))
    assert any("INDEX reminders_that_need_a_human (scheduled_at>? AND scheduled_at<?)" in step for step in finals)
    assert any("INDEX reminders_held (wake_at>?)" in step for step in held)


@pytest.mark.parametrize("more", [{}, {"status": Status.CALLED}, {"phone_ending": "0147", "response": "confirmed"}])
def test_a_list_of_some_reminders_reads_no_others(store: Store, more: dict[str, Any]) -> None:
    wanted = Wanted(ids=["r1", "r2"], **more)
    for plan in plans(store, lambda: list_reminders(store.connection, wanted=wanted, limit=50)):
        read = [step for step in plan if " reminders " in step]
        assert any("sqlite_autoindex_reminders_1 (id=?)" in step for step in read), plan
        assert all("reminders_by" not in step for step in read), plan


def test_a_name_is_looked_up_in_the_indexes_of_all_names(store: Store) -> None:
    for plan in plans(store, lambda: ids_named(store.connection, "visit 7")):
        assert not any(re.match(r"SCAN (reminders|appointments)$", step) for step in plan), plan


@pytest.mark.parametrize("after", [None, (NOW, "+12025550147")])
@pytest.mark.parametrize(("ending", "index"), [(None, "opt_outs_by_time"), ("2025550147", "opt_outs_by_last_digits")])
def test_a_page_of_opt_outs_is_read_from_an_index_in_its_order(
    store: Store, ending: str | None, index: str, after: tuple[datetime, str] | None
) -> None:
    [plan] = plans(store, lambda: page_of_opt_outs(store.connection, limit=50, after=after, ending=ending))
    assert any(index in step for step in plan), plan
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan
