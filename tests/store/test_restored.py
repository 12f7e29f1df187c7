"""What follows when a database was restored by other means than `db restore`: see also `sqlite/test_restoring.py`."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

import pytest

from reminderd.core.model import Reminder, Status
from reminderd.core.reasons import EndCode
from reminderd.databases import Target
from reminderd.store.restored import hold_after, last_change
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import last_pause, paused, set_pause
from tests.support.builders import DAY, HOUR, MINUTE, NOW, RULES
from tests.support.store import Store, a_store


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as opened:
        yield opened


def restored(store: Store) -> tuple[datetime | None, list[Reminder]]:
    return store.write(partial(hold_after, actor="anna", why="the database was restored", rules=RULES))


def resumed(store: Store) -> None:
    store.write(partial(set_pause, on=False, reason=None, actor="anna"))


def test_who_may_have_been_called_is_held_and_dialing_paused_with_the_reason(store: Store) -> None:
    store.insert("in a call")
    assert store.claim()
    store.insert("due", phone="+12025550002", scheduled_at=to_ms(NOW + MINUTE))
    store.insert("later", phone="+12025550003", scheduled_at=to_ms(NOW + DAY))
    store.later(HOUR)
    changed, held = restored(store)
    assert changed == NOW
    assert [(one.id, one.status, one.end_code) for one in held] == [
        ("in a call", Status.FAILED, EndCode.RESTORED),
        ("due", Status.FAILED, EndCode.RESTORED),
    ]
    assert store.reminder("later").status is Status.SCHEDULED
    assert paused(store.connection)
    pause = last_pause(store.connection) or {}
    assert (pause["actor"], pause["detail"]) == (
        "anna",
        f"the database was restored, last changed {NOW:%Y-%m-%d %H:%M} UTC",
    )


def test_what_was_due_is_not_called_when_it_is_added_again(store: Store) -> None:
    store.later(HOUR)
    restored(store)
    resumed(store)
    store.later(DAY)
    store.insert(scheduled_at=to_ms(NOW))
    assert store.claim() == []
    assert store.reminder().end_code is EndCode.RESTORED


def test_later_calls_have_higher_numbers_than_all_that_may_be_forgotten(store: Store) -> None:
    restored(store)
    first = store.connection.skip_seq()
    assert store.connection.skip_seq() > first > 0


def test_a_database_in_which_nothing_ever_happened_has_no_last_change(store: Store) -> None:
    assert last_change(store.connection) is None
    assert restored(store) == (None, [])
    assert (last_pause(store.connection) or {})["detail"] == "the database was restored"
