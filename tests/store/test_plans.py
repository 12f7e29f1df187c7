"""The lists of staff are read by an index, however many reminders there are: the engine says how it reads them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from reminderd.core.model import Status
from reminderd.databases import Target
from reminderd.store import personal_data
from reminderd.store.appointments import appointments_between
from reminderd.store.opt_outs import page_of_opt_outs
from reminderd.store.personal_data import Place, purge_batch
from reminderd.store.queries import (
    NEEDS_HUMAN,
    ListPlace,
    ReminderFilter,
    ids_named,
    list_reminders,
    reminders_to_alert,
)
from reminderd.store.reminders import waiting_between
from tests.support.builders import NOW
from tests.support.plans import plans
from tests.support.store import Store, a_store

DAY = {"since": NOW, "until": NOW}


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


@pytest.mark.sqlite_only("PostgreSQL keeps the condition in words of its own")
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
    large: Store, asked: dict[str, Any], index: str, after: ListPlace | None, *, newest_first: bool
) -> None:
    def read() -> object:
        more: Any = {"after": after, "newest_first": newest_first}
        return list_reminders(large.connection, wanted=ReminderFilter(**asked), limit=50, **more)

    for plan in plans(large, read):
        assert plan.uses(index), plan
        assert not plan.whole_tables, plan
    first = plans(large, read)[0]
    assert first.is_by_size or not first.is_sorted


def test_alerts_look_only_at_those_that_need_a_human(large: Store) -> None:
    finals, held = plans(large, lambda: reminders_to_alert(large.connection, now=NOW))
    for plan, index in ((finals, "reminders_that_need_a_human"), (held, "reminders_held")):
        assert plan.uses(index), plan
        assert not plan.whole_tables | plan.whole_indexes, plan


@pytest.mark.parametrize("more", [{}, {"status": Status.CALLED}, {"phone_ending": "0147", "response": "confirmed"}])
def test_a_list_of_some_reminders_reads_no_others(large: Store, more: dict[str, Any]) -> None:
    wanted = ReminderFilter(ids=["r1", "r2"], **more)
    for plan in plans(large, lambda: list_reminders(large.connection, wanted=wanted, limit=50)):
        read = {step.index for step in plan.steps if step.table == "reminders"}
        assert read == {"reminders_pkey"}, plan


@pytest.mark.parametrize("between", [waiting_between, appointments_between])
def test_what_a_snapshot_may_cancel_is_looked_up_by_its_ids(large: Store, between: Callable[..., object]) -> None:
    def read() -> object:
        return between(
            large.connection, "nightly", NOW - timedelta(days=1), NOW + timedelta(days=9), among=["r1", "r2"]
        )

    [plan] = plans(large, read)
    assert plan.is_by_size or {step.index for step in plan.steps} <= {"reminders_pkey", "appointments_pkey"}, plan


def test_a_name_is_looked_up_in_the_indexes_of_all_names(large: Store) -> None:
    for plan in plans(large, lambda: ids_named(large.connection, "visit 7")):
        assert not plan.whole_tables & {"reminders", "appointments"}, plan


@pytest.mark.parametrize("after", [None, ListPlace(NOW, "+12025550147")])
@pytest.mark.parametrize(("ending", "index"), [(None, "opt_outs_by_time"), ("2025550147", "opt_outs_by_last_digits")])
def test_a_page_of_opt_outs_is_read_from_an_index_in_its_order(
    large: Store, ending: str | None, index: str, after: ListPlace | None
) -> None:
    [plan] = plans(large, lambda: page_of_opt_outs(large.connection, limit=50, after=after, ending=ending))
    assert plan.uses(index), plan
    assert not plan.whole_tables, plan
    assert plan.is_by_size or not plan.is_sorted


def test_a_purge_reads_a_few_calls_at_a_time(large: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data, "BATCH", 20)  # as few among these as 200 are among a million

    def purge() -> object:
        before = NOW - timedelta(days=10_000)
        return purge_batch(large.connection, NOW, before=before, place=Place(seq=0), actor="daemon", cleaned=str)

    calls, _ = plans(large, purge)
    assert not calls.whole_tables, calls
    assert calls.whole_indexes <= {"call_logs_pkey"}, calls
