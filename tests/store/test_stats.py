"""The numbers that monitors read from the database, and what they cost."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from reminderd.core.model import CallOutcome, Status
from reminderd.core.monitoring import Glance
from reminderd.core.outcomes import Outcome
from reminderd.databases import Target
from reminderd.store import shared_state, stats
from reminderd.store.connection import Connection
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import set_pause
from reminderd.store.stats import next_wakes, read_counts, read_glance
from tests.support.builders import NOW
from tests.support.plans import plan, plans
from tests.support.rows import insert_call, sqlite
from tests.support.store import Store, a_store

HOUR = timedelta(hours=1)
MIDNIGHT = NOW.replace(hour=0)


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


def call(store: Store, reminder_id: str, state: str = "placed", *, look_at: datetime = NOW, **columns: Any) -> None:
    """Insert a call of a reminder that waits for nothing else."""
    wakes: dict[str, Any] = {"wake_at": to_ms(look_at)} if state == "placed" else {}
    insert_call(store.connection, reminder_id, state=state, **wakes, **columns)
    store.connection.execute("UPDATE reminders SET wake_at = NULL, revision = 1 WHERE id = ?", (reminder_id,))


def seen(store: Store) -> Glance:
    return read_glance(store.connection, now=NOW, midnight=MIDNIGHT)


def test_an_empty_database_counts_nothing(store: Store) -> None:
    found = read_counts(store.connection, now=NOW)
    assert (found.waiting, found.ended, found.calls) == ({Status.SCHEDULED: 0}, {}, {})
    assert (found.due, found.due_since) == (0, None)
    assert set(found.need_human.values()) == {0}
    assert (found.unattended_since, found.paused) == (None, False)


def test_all_waiting_reminders_are_counted_at_any_time(store: Store) -> None:
    store.insert("next year", scheduled_at=to_ms(NOW + 9000 * HOUR))
    store.insert("long ago", scheduled_at=to_ms(NOW - 9000 * HOUR), status="processing")
    store.insert("now", "+12025550002", status="dialing")
    store.insert("final, its call is alive", "+12025550003", status="cancelled")
    for name in ("long ago", "now", "final, its call is alive"):
        call(store, name)
    waiting = read_counts(store.connection, now=NOW).waiting
    assert waiting == {Status.SCHEDULED: 1, Status.PROCESSING: 1, Status.DIALING: 1}


def test_final_reminders_are_counted_for_a_day(store: Store) -> None:
    store.insert("called", status="called")
    store.insert("wants", status="called", response="cancel_requested")
    store.insert("failed", status="failed", last_error="busy")
    store.insert("too old", status="failed", scheduled_at=to_ms(NOW - 24 * HOUR))
    store.insert("just young enough", status="expired", scheduled_at=to_ms(NOW - 23 * HOUR))
    store.insert("another program's word", status="cancelled", response="will come by")
    store.insert("to come", scheduled_at=to_ms(NOW + HOUR))
    store.insert("of another number", scheduled_at=to_ms(NOW + 48 * HOUR), hold_code="number_changed")
    found = read_counts(store.connection, now=NOW)
    assert found.ended == {Status.CALLED: 2, Status.FAILED: 1, Status.EXPIRED: 1, Status.CANCELLED: 1}
    assert found.need_human == {
        Outcome.WANTS_TO_CANCEL: 1,
        Outcome.NOT_REACHED: 1,
        Outcome.NUMBER_CHANGED: 1,
        Outcome.EXPIRED: 1,
    }


def test_calls_are_counted_by_their_reminders_day_and_our_outcome(store: Store) -> None:
    store.insert("r1", status="called")
    store.insert("old", status="called", scheduled_at=to_ms(NOW - 25 * HOUR))
    for number, state in enumerate(("ended", "ended", "refused", "placed")):
        call(store, "r1", state, id=f"c{number}", status="on hold, says +12025550001")
    call(store, "old", "ended")
    assert read_counts(store.connection, now=NOW).calls == {"ended": 2, "refused": 1, "placed": 1}


def test_ended_calls_are_counted_by_our_outcome_not_the_providers_status(store: Store) -> None:
    store.insert("r1", status="failed")
    store.insert("old", status="failed", scheduled_at=to_ms(NOW - 25 * HOUR))
    for number, outcome in enumerate(("not_heard", "not_heard", "hung_up", None)):
        call(store, "r1", "ended", id=f"c{number}", status="completed", outcome=outcome)
    call(store, "old", "ended", status="completed", outcome="heard")
    assert read_counts(store.connection, now=NOW).outcomes == {CallOutcome.NOT_HEARD: 2, CallOutcome.HUNG_UP: 1}


def test_due_and_unattended_rows_are_counted_since_their_oldest(store: Store) -> None:
    store.insert("due", scheduled_at=to_ms(NOW - HOUR))
    store.insert("due, too", scheduled_at=to_ms(NOW))
    store.insert("to come", scheduled_at=to_ms(NOW + HOUR))
    store.insert("leased", "+12025550002", status="dialing")
    call(store, "leased", look_at=NOW + HOUR)
    store.insert("unattended", "+12025550003", status="processing")
    call(store, "unattended", look_at=NOW - 2 * HOUR)
    found = read_counts(store.connection, now=NOW)
    assert (found.due, found.due_since, found.unattended_since) == (2, NOW - HOUR, NOW - 2 * HOUR)


def test_the_overview_shows_what_is_due_in_flight_stuck_held_and_failed(store: Store) -> None:
    store.insert("due", scheduled_at=to_ms(NOW - HOUR))
    store.insert("soon", scheduled_at=to_ms(NOW + HOUR))
    store.insert("later", scheduled_at=to_ms(NOW + 2 * HOUR))
    store.insert("at night", wake_at=to_ms(NOW + 9 * HOUR), hold_code="hours")
    late = timedelta(minutes=2)
    for number, (name, at) in enumerate(
        [("leased", NOW + HOUR), ("looked at soon", NOW - late + timedelta(seconds=1)), ("stuck", NOW - late)]
    ):
        store.insert(name, f"+1202556000{number}", status="processing")
        call(store, name, look_at=at)
    store.insert("failed", status="failed")
    store.insert("expired", status="expired", scheduled_at=to_ms(MIDNIGHT))
    store.insert("called manually", status="failed", done_at=to_ms(NOW))
    store.insert("yesterday's", status="failed", scheduled_at=to_ms(MIDNIGHT) - 1)
    found = seen(store)
    assert (found.due_next_hour, found.due, found.due_since) == (2, 1, NOW - HOUR)
    assert (found.in_flight, found.stuck) == (3, 1)
    assert found.held == {"outside the calling hours": 1}
    assert found.failed_today == 2
    assert (found.last_report, found.paused, found.paused_since) == (None, False, None)


def test_the_stats_include_the_last_report_and_the_pause(store: Store) -> None:
    for place, at in enumerate((NOW - HOUR, NOW)):
        store.connection.execute(
            "INSERT INTO webhook_receipts VALUES (?, 'r1', 'completed', ?)", (f"ext-{9 - place}", to_ms(at))
        )
    store.write(lambda connection, now: set_pause(connection, now, on=True, reason=None, actor="Eve"))
    found = seen(store)
    assert (found.last_report, found.paused, found.paused_since) == (NOW, True, NOW)


def test_a_pause_by_another_programs_sql_has_no_start_time(store: Store) -> None:
    store.connection.execute("INSERT INTO settings VALUES ('paused', 'true')")
    assert (seen(store).paused, seen(store).paused_since) == (True, None)


def test_no_query_reads_a_whole_table(large: Store) -> None:
    """An index may be read whole where it has only what waits; but of a table only the rows that an index names."""
    found = plans(large, lambda: seen(large))
    tables = {"reminders", "call_logs", "webhook_receipts"}
    assert sum(any(step.table in tables for step in one.steps) for one in found) >= 8
    for one in found:
        assert not one.whole_tables & tables, one
        whole = {step.index for step in one.steps if step.table in tables and step.is_whole}
        assert whole <= {"reminders_to_look_at", "call_logs_to_look_at", "reminders_held"}, one


def test_waiting_reminders_are_counted_from_an_index_only(large: Store) -> None:
    for sql in (stats._WAITING, stats._DUE, stats._DUE_BEFORE):
        parameters = {name: 1 for name in ("now", "until", "most") if f":{name}" in sql}
        found = plan(large.connection, sql, parameters)
        assert ("reminders_to_look_at", True) in {(step.index, step.is_alone) for step in found.steps}, found


def test_counting_stops_at_a_limit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        store.insert(f"w{number}")
        store.insert(f"c{number}", status="called", scheduled_at=to_ms(NOW) - number)
    call(store, "c0", "ended")
    call(store, "c8", "refused")
    monkeypatch.setattr(stats, "MOST_WAITING", 4)
    monkeypatch.setattr(stats, "MOST_OF_A_DAY", 12)
    found = read_counts(store.connection, now=NOW)
    assert (found.waiting[Status.SCHEDULED], found.due) == (4, 4)
    assert found.ended == {Status.CALLED: 3}, "of the eighteen of the day twelve are looked at, the latest first"
    assert found.calls == {"ended": 1}


@pytest.mark.sqlite_only("its count of steps")
def test_a_scrape_is_cheap_with_a_million_rows(connection: Connection) -> None:
    """Here, there are fewer rows, but a reading of the whole table would show in SQLite's own count of steps."""

    def steps() -> int:
        taken = 0

        def step() -> int:
            nonlocal taken
            taken += 1
            return 0

        sqlite(connection).set_progress_handler(step, 100)
        read_counts(connection, now=NOW)
        sqlite(connection).set_progress_handler(None, 100)
        return taken

    before = steps()
    old = to_ms(NOW) - 90 * 86_400_000
    rows = [(f"o{number}", "+12025550001", "Hello.", old, "called") for number in range(20_000)]
    connection.execute("BEGIN")
    insert = "INSERT INTO reminders (id, phone_number, message, scheduled_at, status) VALUES (?, ?, ?, ?, ?)"
    connection.executemany(insert, rows)
    connection.execute("COMMIT")
    assert steps() <= before + 2


def test_the_next_wakes_are_the_earliest_reminder_and_call_with_all_alive_calls(store: Store) -> None:
    store.insert("soon", scheduled_at=to_ms(NOW + HOUR))
    store.insert("rings", "+12025550002", status="processing")
    call(store, "rings", look_at=NOW + 2 * HOUR)
    found = next_wakes(store.connection, NOW)
    assert (found.reminder, found.call, found.paused) == (NOW + HOUR, NOW + 2 * HOUR, False)
    assert found.alive == (("call-of-rings", NOW),)


def test_alive_calls_are_read_on_request_and_whenever_one_of_them_is_due(store: Store) -> None:
    store.insert("rings", "+12025550002", status="processing")
    call(store, "rings", look_at=NOW + HOUR)
    assert next_wakes(store.connection, NOW, alive=False).alive is None
    due = next_wakes(store.connection, NOW + HOUR, alive=False)
    assert (due.call, due.alive) == (NOW + HOUR, (("call-of-rings", NOW),))


def test_the_actor_of_a_pause_is_found_by_an_index(large: Store) -> None:
    found = plan(large.connection, shared_state._LAST_PAUSE)
    assert (found.indexes, found.whole_tables, found.is_sorted) == ({"audit_pauses"}, set(), False)
