"""The figures of days, from an index."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product

from reminderd.core.model import Response, Status
from reminderd.core.outcomes import Figure, figure_of
from reminderd.databases import Target
from reminderd.store.by_day import figures_by_day
from reminderd.store.rows import to_ms
from tests.support.builders import NOW
from tests.support.plans import plans
from tests.support.rows import insert_row
from tests.support.store import Store, a_store

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)


def insert(store: Store, name: str, at: datetime, **columns: object) -> None:
    row = {"id": name, "phone_number": "+4930123456", "message": "Hello", "scheduled_at": to_ms(at)}
    insert_row(store.connection, "reminders", row | columns)


def test_each_reminder_counts_on_the_day_of_its_time(target: Target) -> None:
    with a_store(target) as store:
        insert(store, "before", MONDAY - timedelta(milliseconds=1))
        insert(store, "first", MONDAY, status="called", response="confirmed")
        insert(store, "last", MONDAY + DAY - timedelta(milliseconds=1), status="failed", end_code="not_answered")
        insert(store, "done", MONDAY, status="failed", end_code="a newer version's", done_at=to_ms(NOW))
        insert(store, "next", MONDAY + DAY, hold_code="number_changed")
        monday, tuesday, wednesday = figures_by_day(
            store.connection, midnights=[MONDAY, MONDAY + DAY, MONDAY + 2 * DAY, MONDAY + 3 * DAY]
        )
    assert dict(monday.counts) == {Figure.CONFIRMED: 1, Figure.NOT_REACHED: 2}
    assert monday.need_human == 1
    assert (tuesday[Figure.OPEN], tuesday.need_human) == (1, 1)
    assert wednesday.total == 0


def test_every_status_with_every_response_counts_as_the_core_says(target: Target) -> None:
    expected = Counter[Figure]()
    with a_store(target) as store:
        for status, response in product(Status, [None, *Response, "by e-mail"]):
            insert(store, f"{status} {response}", MONDAY, status=status, response=response)
            expected[figure_of(status, response)] += 1
        [monday] = figures_by_day(store.connection, midnights=[MONDAY, MONDAY + DAY])
    assert monday.counts == expected


def test_days_are_counted_from_indexes_alone(large: Store) -> None:
    [plan] = plans(large, lambda: figures_by_day(large.connection, midnights=[MONDAY, MONDAY + DAY]))
    steps = [step for step in plan.steps if step.table == "reminders"]
    assert {step.index for step in steps} == {
        "reminders_by_scheduled_at",
        "reminders_by_status",
        "reminders_by_response",
        "reminders_answered_otherwise",
        "reminders_that_need_a_human",
    }
    for step in steps:
        assert not step.is_whole, plan
        assert step.is_alone or step.index == "reminders_that_need_a_human", plan
