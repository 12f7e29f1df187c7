"""The figures of days, from an index."""

from datetime import UTC, datetime, timedelta

from reminderd.core.figures import Figure
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


def test_days_are_counted_from_indexes_alone(large: Store) -> None:
    [all_of_them, need_human] = plans(large, lambda: figures_by_day(large.connection, midnights=[MONDAY, MONDAY + DAY]))
    for plan, index in ((all_of_them, "reminders_by_scheduled_at"), (need_human, "reminders_that_need_a_human")):
        [step] = plan.steps
        assert (step.index, step.is_whole) == (index, False)
    assert all_of_them.steps[0].is_alone
