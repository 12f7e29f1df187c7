"""Who has looked at what, from the audit."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from reminderd.databases import Target
from reminderd.store.audit import IS_LOOK, PAGE, audit, page_of_looks
from reminderd.store.queries import ListPlace
from reminderd.store.rows import to_ms
from tests.support.builders import NOW
from tests.support.plans import plans
from tests.support.rows import insert_row
from tests.support.store import Store, a_store

SECOND = timedelta(seconds=1)


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


def test_lines_come_newest_first_with_the_name_of_the_reminder(store: Store) -> None:
    row = {"id": "r1", "ref": "A7", "phone_number": "+4930123456", "message": "Hello", "scheduled_at": to_ms(NOW)}
    insert_row(store.connection, "reminders", row)
    audit(store.connection, NOW, actor="maria", act="log-in", detail="from 192.0.2.7")
    audit(store.connection, NOW + SECOND, actor="maria", act="view", reminder_id="r1")
    audit(store.connection, NOW + SECOND, actor="maria", act="cancel", reminder_id="r1")
    audit(store.connection, NOW + SECOND, actor="maria", act="view", reminder_id="deleted since")
    found, following = page_of_looks(store.connection)
    assert [(one.act, one.reminder_id, one.ref, one.detail) for one in found] == [
        ("view", "deleted since", None, None),
        ("view", "r1", "A7", None),
        ("log-in", None, None, "from 192.0.2.7"),
    ]
    assert following is None


def test_a_page_goes_on_where_the_one_before_it_ends(store: Store) -> None:
    for place in range(PAGE + 2):
        audit(store.connection, NOW + SECOND * (place // 2), actor="maria", act="view", reminder_id=f"r{place}")
    first, following = page_of_looks(store.connection)
    assert following is not None
    second, end = page_of_looks(store.connection, after=following)
    assert [one.reminder_id for one in (*first, *second)] == [f"r{place}" for place in reversed(range(PAGE + 2))]
    assert (len(first), end) == (PAGE, None)


def test_lines_are_chosen_by_user_and_by_time(store: Store) -> None:
    for place, actor in enumerate(("maria", "ben", "maria")):
        audit(store.connection, NOW + place * SECOND, actor=actor, act="search")
    assert [one.at - NOW for one in page_of_looks(store.connection, actor="maria")[0]] == [2 * SECOND, 0 * SECOND]
    assert [one.actor for one in page_of_looks(store.connection, until=NOW + 2 * SECOND)[0]] == ["ben", "maria"]
    assert page_of_looks(store.connection, actor="maria\0") == ((), None)


@pytest.mark.sqlite_only("PostgreSQL keeps the condition in words of its own")
def test_the_index_has_the_same_condition(store: Store) -> None:
    (index,) = store.connection.execute("SELECT sql FROM sqlite_master WHERE name = 'audit_of_looks'").fetchone()
    assert " ".join(index.split()).partition(" WHERE ")[2] == IS_LOOK


def test_looks_are_read_from_their_index_in_its_order(large: Store) -> None:
    place = ListPlace(NOW, "7")
    first, *_ = plans(large, lambda: page_of_looks(large.connection, actor="maria", until=NOW, after=place))
    [step] = [step for step in first.steps if step.table == "audit"]
    assert (step.index, step.is_whole) == ("audit_of_looks", False)
    assert not first.is_sorted
