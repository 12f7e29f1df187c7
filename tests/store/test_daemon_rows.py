from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from reminderd.core.daemons import FORGOTTEN_AFTER, LEASE, Daemon, Job
from reminderd.databases import Target
from reminderd.store.daemon_rows import Seen, alive_daemons, all_daemons, delete_daemon, record_alive
from tests.support.builders import NOW, SECOND, a_daemon
from tests.support.store import Store, a_store

ALERTS = frozenset({Job.ALERTS})


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


def recorded(store: Store, daemon: Daemon, **facts: Any) -> Seen:
    return store.write(partial(record_alive, daemon=daemon, **{"wanted": ALERTS} | facts))


def test_a_daemon_is_read_as_it_was_recorded(store: Store) -> None:
    one = recorded(store, a_daemon("one", part="dial"), wanted=list(Job)).own
    other = recorded(store, a_daemon("two"), wanted=list(Job)).own
    assert (one.jobs, other.jobs) == (frozenset(Job), frozenset())
    assert all_daemons(store.connection) == [one, other]


def test_a_daemon_that_records_itself_again_has_one_row_and_keeps_its_start(store: Store) -> None:
    recorded(store, a_daemon("one"))
    store.later(SECOND)
    seen = recorded(store, a_daemon("one", started_at=store.now, rules_digest="another"))
    [row] = all_daemons(store.connection)
    assert (row.started_at, row.seen_at, row.rules_digest) == (NOW, NOW + SECOND, "another")
    assert [one.id for one in seen.alive] == ["one"]


def test_the_jobs_of_a_daemon_that_has_stopped_are_free_at_once(store: Store) -> None:
    recorded(store, a_daemon("one"))
    store.write(partial(delete_daemon, daemon_id="one"))
    assert recorded(store, a_daemon("two")).own.jobs == ALERTS
    assert [one.id for one in all_daemons(store.connection)] == ["two"]


def test_the_jobs_of_a_daemon_that_has_certainly_ended_are_free_at_once(store: Store) -> None:
    recorded(store, a_daemon("one"))
    assert recorded(store, a_daemon("two"), ended=["one"]).own.jobs == ALERTS
    assert [one.id for one in all_daemons(store.connection)] == ["two"]


def test_the_jobs_of_a_silent_daemon_are_free_after_the_lease(store: Store) -> None:
    recorded(store, a_daemon("one"))
    store.later(LEASE - SECOND)
    assert recorded(store, a_daemon("two")).own.jobs == set()
    store.later(SECOND)
    assert recorded(store, a_daemon("two")).own.jobs == ALERTS
    assert recorded(store, a_daemon("one")).own.jobs == set(), "it was suspended, and another one does them now"


def test_a_daemon_that_was_not_seen_for_a_week_is_deleted(store: Store) -> None:
    recorded(store, a_daemon("one"))
    store.later(FORGOTTEN_AFTER)
    recorded(store, a_daemon("two"))
    assert len(all_daemons(store.connection)) == 2
    store.later(SECOND)
    recorded(store, a_daemon("two"))
    assert [one.id for one in all_daemons(store.connection)] == ["two"]


def test_only_daemons_that_were_seen_lately_are_alive(store: Store) -> None:
    recorded(store, a_daemon("one"))
    store.later(LEASE)
    recorded(store, a_daemon("two", started_at=store.now))
    assert [one.id for one in alive_daemons(store.connection, store.now)] == ["one", "two"]
    assert [one.id for one in alive_daemons(store.connection, store.now + SECOND)] == ["two"]


def test_a_job_of_a_later_version_is_not_read(store: Store) -> None:
    recorded(store, a_daemon("one"))
    store.connection.execute("UPDATE daemons SET jobs = 'alerts,another'").fetchall()
    assert [one.jobs for one in all_daemons(store.connection)] == [ALERTS]
