"""Each change of an outcome is recorded once, in order, in its transaction, whichever program makes it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from reminderd.core.answers import Accepted
from reminderd.core.changes import Cursor, CursorError
from reminderd.core.script.prompts import Question
from reminderd.databases import Target
from reminderd.store import reminders
from reminderd.store.intake import Source
from reminderd.store.outcome_changes import (
    WEBHOOK,
    changes_after,
    delete_old_changes,
    forget_webhooks,
    named_changes_between,
    newest_change,
    note_delivered,
    queue_deliveries,
    set_progress,
)
from reminderd.store.personal_data import erase, personal_data_of
from reminderd.store.rows import to_ms
from tests.support.builders import DAY, NOW, a_report
from tests.support.store import Store, a_store

STAFF = Source(actor="anna")


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


def events(store: Store) -> list[dict[str, Any]]:
    return [one.event for one in changes_after(store.connection, cursor=None, limit=1_000).changes]


def told(store: Store) -> list[tuple[Any, Any, Any]]:
    return [(one["status"], one["response"], one["end_code"]) for one in events(store)]


def act(store: Store, change: Any, **more: Any) -> None:
    store.write(partial(change, reminder_id="r1", rules=store.rules, source=STAFF, **more))


def sql(store: Store, statement: str) -> None:
    store.connection.execute(statement)


def look_at(store: Store) -> None:
    """What the daemon does with a row that another program has written; the triggers go by the machine's clock."""
    sql(store, f"UPDATE reminders SET wake_at = {to_ms(store.now)}")
    store.claim()


def test_a_call_is_one_change_at_its_end(store: Store) -> None:
    store.insert(ref="a7")
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    assert events(store) == [], "what a call goes through is no outcome"
    store.report(a_report("ringing", reminder_id="r1", attempt_id=action.call.id))
    assert events(store) == []
    store.later(timedelta(minutes=1))
    store.report(a_report(reminder_id="r1", attempt_id=action.call.id))
    store.report(a_report(reminder_id="r1", attempt_id=action.call.id))
    [event] = events(store)
    assert (event["status"], event["outcome"], event["attempts"], event["call_outcome"]) == (
        "called",
        "reached",
        1,
        "heard",
    )
    assert (event["reminder_id"], event["reminder_ref"]) == ("r1", "a7")
    assert event["at"] == store.now.isoformat(timespec="milliseconds")
    assert len(event["id"]) == 32


def test_a_key_press_is_its_own_change(store: Store) -> None:
    store.insert()
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    asked = a_report("in-progress", reminder_id="r1", attempt_id=action.call.id)
    store.pick_up(asked)
    store.press(asked, "2")
    store.press(asked, "2", Question.CANCEL)
    assert told(store)[-1] == ("called", "cancel_requested", None)
    before = len(events(store))
    store.report(a_report(reminder_id="r1", attempt_id=action.call.id))
    assert len(events(store)) == before


def test_done_call_again_and_cancel_by_staff_are_one_change_each(store: Store) -> None:
    store.insert()
    act(store, reminders.note_done, note=None)
    act(store, reminders.note_done, note="again")
    act(store, reminders.call_again)
    act(store, reminders.cancel)
    assert [(one["status"], one["outcome"]) for one in events(store)] == [
        ("cancelled", "done by staff"),
        ("scheduled", "waiting"),
        ("cancelled", "cancelled"),
    ]
    sql(store, "UPDATE reminders SET status = 'failed', end_code = 'no_report', revision = revision + 1")
    act(store, reminders.note_done, note=None)
    assert [one["outcome"] for one in events(store)[-2:]] == ["not reached", "done by staff"]


def test_nothing_was_spoken_in_a_change_without_a_call(store: Store) -> None:
    store.insert()
    sql(store, "UPDATE reminders SET status = 'cancelled'")
    assert [one.spoken for one in changes_after(store.connection, cursor=None, limit=9).changes] == [False]


def test_another_programs_update_is_one_change_in_its_transaction(store: Store) -> None:
    store.insert()
    sql(store, "BEGIN")
    sql(store, "UPDATE reminders SET status = 'cancelled', last_error = 'moved'")
    assert [one["end_code"] for one in events(store)] == ["cancelled_elsewhere"]
    sql(store, "ROLLBACK")
    assert events(store) == []
    sql(store, "UPDATE reminders SET status = 'cancelled', last_error = 'moved'")
    look_at(store)
    assert store.reminder().end_code == "cancelled_elsewhere"
    assert told(store) == [("cancelled", None, "cancelled_elsewhere")], "that the daemon notes it is no other change"
    sql(store, "UPDATE reminders SET message = 'Hello', scheduled_at = scheduled_at + 1")
    assert len(events(store)) == 1


@pytest.mark.parametrize("status", ["called", "failed", "expired"])
def test_a_move_by_another_program_is_a_change_once_the_reminder_waits_again(store: Store, status: str) -> None:
    store.insert()
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    store.report(a_report(reminder_id="r1", attempt_id=action.call.id))
    sql(store, f"UPDATE reminders SET status = '{status}', response = 'confirmed', revision = revision + 1")
    before = len(events(store))
    sql(store, f"UPDATE reminders SET scheduled_at = {to_ms(NOW + DAY)}")
    look_at(store)
    assert told(store)[before:] == [("scheduled", None, None)]


@pytest.mark.sqlite_only("PostgreSQL has no REPLACE")
def test_a_row_that_is_written_again_after_its_outcome_waits_again(store: Store) -> None:
    store.insert()
    write = f"REPLACE INTO reminders (id, phone_number, message, scheduled_at) VALUES ('r1', '+1', '', {to_ms(NOW)})"
    sql(store, write)
    assert events(store) == []
    act(store, reminders.cancel)
    sql(store, write)
    assert [one["status"] for one in events(store)] == ["cancelled", "scheduled"]
    store.insert("r2", status="called", response="confirmed")
    assert told(store)[-1] == ("called", "confirmed", None)


def test_an_unexpected_word_of_another_program_changes_the_answer(store: Store) -> None:
    store.insert()
    sql(store, "UPDATE reminders SET response = 'by mail'")
    sql(store, "UPDATE reminders SET response = 'by mail'")
    assert told(store) == [("scheduled", "by mail", None)]


# Pages and cursors


def cancelled(store: Store, count: int, first: int = 1) -> None:
    for number in range(first, first + count):
        store.insert(f"c{number}", status="cancelled")


def test_pages_follow_each_other_without_a_gap(store: Store) -> None:
    empty = changes_after(store.connection, cursor=None, limit=2)
    assert (empty.changes, empty.cursor, newest_change(store.connection)) == ([], Cursor(), 0)
    cancelled(store, 3)
    first = changes_after(store.connection, cursor=empty.cursor, limit=2)
    second = changes_after(store.connection, cursor=first.cursor, limit=2)
    assert [one.subject_id for one in (*first.changes, *second.changes)] == ["c1", "c2", "c3"]
    last = changes_after(store.connection, cursor=second.cursor, limit=2)
    assert (last.changes, last.cursor) == ([], second.cursor)
    assert newest_change(store.connection) == second.cursor.seq == 3


def test_a_cursor_of_another_database_is_refused_even_if_its_number_exists(
    store: Store, new_target: Callable[[], Target]
) -> None:
    cancelled(store, 3)
    with a_store(new_target()) as other:
        cancelled(other, 3)
        with pytest.raises(CursorError, match="restored"):
            changes_after(
                other.connection, cursor=changes_after(store.connection, cursor=None, limit=2).cursor, limit=2
            )


def test_old_changes_are_deleted_except_the_last_of_them(store: Store) -> None:
    cancelled(store, 3)
    reader = changes_after(store.connection, cursor=None, limit=9).cursor
    behind = changes_after(store.connection, cursor=None, limit=1).cursor
    sql(store, "UPDATE changes SET at = 0")
    cancelled(store, 2, first=4)
    sql(store, f"UPDATE changes SET at = {to_ms(NOW)} WHERE seq > 3")
    for deleted in (2, 0):
        assert store.write(partial(delete_old_changes, before=NOW, ways=())) == deleted
    assert [one.seq for one in changes_after(store.connection, cursor=reader, limit=9).changes] == [4, 5]
    for lost in (behind, Cursor()):
        with pytest.raises(CursorError, match="no longer kept"):
            changes_after(store.connection, cursor=lost, limit=9)
    assert [one.seq for one in changes_after(store.connection, cursor=None, limit=9).changes] == [3, 4, 5]


def test_undelivered_changes_are_kept_at_any_age(store: Store) -> None:
    cancelled(store, 5)
    sql(store, "UPDATE changes SET at = 0")
    delivered = changes_after(store.connection, cursor=None, limit=3).cursor
    store.write(partial(set_progress, key=WEBHOOK, cursor=delivered))
    store.write(partial(delete_old_changes, before=NOW, ways=(WEBHOOK,)))
    assert [one.seq for one in changes_after(store.connection, cursor=None, limit=9).changes] == [2, 3, 4, 5]


def test_a_reader_continues_after_an_erased_change_and_gets_no_erased_ones(store: Store) -> None:
    store.insert("a", "+12025550101", status="called")
    reader = changes_after(store.connection, cursor=None, limit=9).cursor
    store.insert("b", "+12025550102", status="called")
    store.insert("c", "+12025550103", status="called")
    for number in ("+12025550101", "+12025550102"):
        store.write(partial(erase, phone_number=number, actor="anna"))
    store.insert("d", "+12025550104", status="called")
    store.write(partial(erase, phone_number="+12025550104", actor="anna"))
    assert newest_change(store.connection) == 3, "nobody waits for what was erased"
    for cursor in (reader, None):
        [left] = changes_after(store.connection, cursor=cursor, limit=9).changes
        assert left.subject_id == "c"


def test_the_export_of_a_number_has_its_reminders_changes(store: Store) -> None:
    store.insert("a", "+12025550101", status="called", response="confirmed")
    [change] = personal_data_of(store.connection, phone_number="+12025550101").changes["a"]
    assert (change["status"], change["response"]) == ("called", "confirmed")


# Appointments


def test_the_outcome_of_an_appointment_is_a_change_and_its_reminders_name_it(store: Store) -> None:
    columns = "INTO appointments (id, ref, phone_number, at) VALUES"
    sql(store, f"INSERT {columns} ('p', 'A 7', '+12025550101', {to_ms(NOW)})")
    store.insert("r", "+12025550101", appointment_id="p", ref="A 7/1")
    assert events(store) == []
    sql(store, "UPDATE appointments SET response = 'confirmed', revision = revision + 1, updated_at = 5")
    sql(store, "UPDATE appointments SET status = 'cancelled', at = at + 1")
    sql(store, "UPDATE appointments SET at = at + 1, place = 'Room 2'")
    sql(store, "UPDATE reminders SET status = 'cancelled' WHERE id = 'r'")
    names = ("kind", "reminder_ref", "appointment_id", "appointment_ref", "status", "outcome")
    assert [tuple(one[name] for name in names) for one in events(store)] == [
        ("appointment", None, "p", "A 7", "booked", "confirmed"),
        ("appointment", None, "p", "A 7", "cancelled", "cancelled"),
        ("reminder", "A 7/1", "p", "A 7", "cancelled", "cancelled"),
    ]
    assert events(store)[0]["at"] == "1970-01-01T00:00:00.005+00:00"
    sql(store, "UPDATE appointments SET status = 'booked', response = NULL")
    assert (events(store)[-1]["outcome"], len(events(store))) == ("booked", 4)


def test_an_answer_is_about_the_time_that_the_appointment_had_then(store: Store) -> None:
    sql(
        store, f"INSERT INTO appointments (id, ref, phone_number, at) VALUES ('p', 'A 7', '+12025550101', {to_ms(NOW)})"
    )
    store.insert("r", "+12025550101", appointment_id="p", planned_at=to_ms(NOW))
    sql(store, "UPDATE reminders SET status = 'called', response = 'confirmed' WHERE id = 'r'")
    sql(store, "UPDATE appointments SET response = 'confirmed'")
    sql(store, f"UPDATE appointments SET at = {to_ms(NOW + DAY)}")
    assert [one["appointment_at"] for one in events(store)] == [NOW.isoformat()] * 2
    answers = named_changes_between(store.connection, after=0, until=2, limit=2)
    assert [one.facts["appointment_at"] for one in answers] == [NOW] * 2


def test_what_is_not_delivered_in_a_way_that_is_configured_is_kept(store: Store) -> None:
    cancelled(store, 4)
    sql(store, "UPDATE changes SET at = 0")
    keep = partial(delete_old_changes, before=NOW, ways=(WEBHOOK,))
    assert store.write(keep) == 0
    delivered = changes_after(store.connection, cursor=None, limit=3).cursor
    store.write(partial(set_progress, key=WEBHOOK, cursor=delivered))
    assert store.write(keep) == 1
    assert store.write(partial(delete_old_changes, before=NOW, ways=())) == 2


def test_what_waits_for_an_address_that_was_removed_is_forgotten_and_all_is_sent_to_a_later_one(store: Store) -> None:
    cancelled(store, 3)
    store.write(queue_deliveries)
    store.write(partial(note_delivered, seq=1))
    assert store.write(forget_webhooks) == 2
    assert store.write(forget_webhooks) == 0
    assert not store.connection.execute("SELECT seq FROM deliveries").fetchall()
    assert store.write(queue_deliveries) is None
    assert [row["seq"] for row in store.connection.execute("SELECT seq FROM deliveries ORDER BY seq")] == [1, 2, 3]
