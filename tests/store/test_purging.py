import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from reminderd.core.answers import Report
from reminderd.core.masking import mask_numbers
from reminderd.core.sentences import NotAllowedError
from reminderd.databases import Target
from reminderd.store import reminders as acts
from reminderd.store.intake import Source
from reminderd.store.opt_outs import opt_out
from reminderd.store.personal_data import (
    _NEXT,
    BATCH,
    Place,
    Traces,
    count_left_calls,
    count_old,
    mark_unscrubbed,
    purge_batch,
    traces_left,
)
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.upkeep import scrub
from tests.support.builders import DAY, NOW, RULES
from tests.support.plans import plan
from tests.support.rows import insert_call, sqlite
from tests.support.store import Store, a_store, contents
from tests.support.waiting import PATIENCE

PHONE = "+12025554711"
OLD = NOW - 31 * DAY
ONLY_SQLITE_HAS_FILES = pytest.mark.sqlite_only("our own files are rewritten")
BEFORE = NOW - 30 * DAY


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


def insert(store: Store, reminder_id: str = "r1", **columns: Any) -> None:
    """Insert a reminder that ended long ago."""
    old = {"status": "called", "wake_at": None, "scheduled_at": to_ms(OLD), "updated_at": to_ms(OLD)}
    store.insert(reminder_id, PHONE, **(old | columns))


def called(store: Store, reminder_id: str = "r1", **columns: Any) -> None:
    insert_call(store.connection, reminder_id, **({"status": "completed", "transcript": "I am ill."} | columns))


def purge(store: Store) -> int:
    purged, place = 0, Place()
    while True:
        batch = partial(purge_batch, before=BEFORE, place=place, actor="anna", cleaned=mask_numbers)
        done = store.write(batch)
        if done.reached is None:
            return purged
        purged, place = purged + done.reminders, done.reached


def row(store: Store, table: str) -> dict[str, Any]:
    return dict(store.connection.execute(f"SELECT * FROM {table}").fetchone())


def test_a_purge_removes_message_transcript_and_number_only(store: Store) -> None:
    insert(store, ref="appointment 7", response="confirmed", attempts=2, timezone="Europe/Berlin")
    known: dict[str, Any] = {
        "external_call_id": "e1",
        "answered_by": "human",
        "duration_seconds": 31,
        "sip_response_code": 200,
    }
    called(store, **known)
    reminder, call = row(store, "reminders"), row(store, "call_logs")
    assert purge(store) == 1
    assert row(store, "reminders") == reminder | {"phone_number": "", "message": "", "revision": 1}
    assert row(store, "call_logs") == call | {"phone_number": "", "transcript": "", "answered_by": None}


def test_a_purge_removes_the_hash_of_a_former_number(store: Store) -> None:
    insert(store, status="expired", hold_code="number_changed", former_number="salt:hash")
    assert purge(store) == 1
    assert row(store, "reminders")["former_number"] is None


def test_phone_numbers_in_reasons_are_masked(store: Store) -> None:
    insert(store, status="failed", last_error=f"refused by the provider: {PHONE} is invalid")
    called(store, state="refused", error=f"{PHONE} is invalid", transcript=None)
    purge(store)
    assert row(store, "reminders")["last_error"] == "refused by the provider: +*********11 is invalid"
    assert (row(store, "call_logs")["error"], row(store, "call_logs")["transcript"]) == (
        "+*********11 is invalid",
        None,
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"scheduled_at": to_ms(BEFORE)},
        {"updated_at": to_ms(BEFORE)},
        {"status": "scheduled", "wake_at": to_ms(NOW + DAY)},
        {"status": "processing", "wake_at": to_ms(NOW + DAY)},
    ],
)
def test_reminders_that_are_not_final_or_not_old_are_kept(store: Store, columns: dict[str, Any]) -> None:
    insert(store, **columns)
    before = contents(store.connection)
    assert (count_old(store.connection, before=BEFORE), purge(store)) == (0, 0)
    assert contents(store.connection) == before


def test_a_reminder_with_an_open_call_is_purged_after_the_call_is_closed(store: Store) -> None:
    insert(store, status="cancelled")
    insert(store, "same number", status="cancelled")
    called(store, state="placed", status="ringing")
    assert purge(store) == 0
    store.connection.execute("UPDATE call_logs SET state = 'ended', wake_at = NULL")
    assert purge(store) == 2


def test_a_reminder_with_a_changed_number_waits_for_its_open_call_too(store: Store) -> None:
    insert(store, status="cancelled")
    called(store, state="placed", status="ringing", phone_number="+12025550099")
    assert (count_old(store.connection, before=BEFORE), purge(store)) == (0, 0)
    store.connection.execute("UPDATE call_logs SET state = 'ended', wake_at = NULL")
    assert purge(store) == 1


def test_an_open_adopted_call_keeps_its_number_after_a_purge(store: Store) -> None:
    insert(store, phone_number="+12025550099")
    called(store, state="placed", status="ringing", adopted=1, phone_number=PHONE)
    store.connection.execute("DELETE FROM call_reminders")
    assert purge(store) == 1
    assert row(store, "call_logs")["phone_number"] == PHONE


def test_a_call_keeps_its_transcript_until_every_one_of_its_reminders_is_old(store: Store) -> None:
    insert(store)
    insert(store, "younger", scheduled_at=to_ms(NOW))
    called(store)
    store.connection.execute(
        "INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest)"
        " VALUES ('call-of-r1', 'younger', 1, 0, '')"
    )
    assert purge(store) == 1
    assert row(store, "call_logs")["transcript"] == "I am ill."
    store.connection.execute("UPDATE reminders SET scheduled_at = ?, updated_at = ?, revision = 9", (to_ms(OLD),) * 2)
    assert purge(store) == 1
    assert row(store, "call_logs")["transcript"] == ""


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM reminders",
        "UPDATE reminders SET scheduled_at = scheduled_at + 86400000000, status = 'scheduled'",
        "UPDATE reminders SET phone_number = '+12025550099', updated_at = scheduled_at + 86400000000",
    ],
)
def test_an_old_call_of_a_deleted_or_changed_reminder_is_purged_by_its_own_age(store: Store, change: str) -> None:
    insert(store)
    called(store, created_at=to_ms(OLD), updated_at=to_ms(OLD), error=f"{PHONE} is busy")
    insert(store, "current", updated_at=to_ms(NOW))
    called(store, "current", created_at=to_ms(OLD), updated_at=to_ms(OLD))
    store.connection.execute(f"{change} WHERE id = 'r1'")
    assert count_left_calls(store.connection, before=BEFORE) == 1
    assert purge(store) == 0
    calls = store.connection.execute(
        "SELECT reminder_id, phone_number, transcript FROM call_logs ORDER BY seq"
    ).fetchall()
    assert [tuple(call) for call in calls] == [("r1", "", ""), ("current", PHONE, "I am ill.")]
    assert traces_left(store.connection) is (Traces.FILE if store.connection.leaves_traces else None)
    [line] = store.connection.execute("SELECT detail FROM audit").fetchall()
    assert line["detail"] == "1 calls from before 2026-01-31"
    assert count_left_calls(store.connection, before=BEFORE) == 0


@pytest.mark.parametrize("columns", [{"updated_at": to_ms(BEFORE)}, {"state": "placed"}])
def test_a_young_or_alive_call_without_a_reminder_is_kept(store: Store, columns: dict[str, Any]) -> None:
    insert(store)
    called(store, **{"created_at": to_ms(OLD), "updated_at": to_ms(OLD), **columns})
    store.connection.execute("DELETE FROM reminders")
    purge(store)
    assert row(store, "call_logs")["transcript"] == "I am ill."


def test_old_calls_are_found_behind_any_number_of_others(store: Store) -> None:
    with store.one_transaction():
        for number in range(BATCH + 1):
            insert(store, f"r{number}", updated_at=to_ms(NOW))
            called(store, f"r{number}", id=f"c{number}", created_at=to_ms(OLD), updated_at=to_ms(OLD))
    store.connection.execute(f"DELETE FROM reminders WHERE id = 'r{BATCH}'")
    purge(store)
    purged = store.connection.execute("SELECT id FROM call_logs WHERE phone_number = ''").fetchall()
    assert [call["id"] for call in purged] == [f"c{BATCH}"]


def test_the_names_of_old_files_are_purged(store: Store) -> None:
    row = "INSERT INTO imports (at, file, actor, digest, added) VALUES (:at, 'Erika.csv', 'anna', 'd', 3)"
    for at in (OLD, NOW):
        store.connection.execute(row, {"at": to_ms(at)})
    purge(store)
    purge(store)
    assert [dict(row) for row in store.connection.execute("SELECT file, digest, added FROM imports ORDER BY at")] == [
        {"file": "", "digest": None, "added": 3},
        {"file": "Erika.csv", "digest": "d", "added": 3},
    ]
    acts = store.connection.execute("SELECT detail FROM audit WHERE act = 'purge'").fetchall()
    assert [row["detail"] for row in acts] == [f"the names of 1 files from before {BEFORE:%Y-%m-%d}"]
    assert traces_left(store.connection) is (Traces.FILE if store.connection.leaves_traces else None)


def test_a_purge_wakes_no_reminder(store: Store) -> None:
    insert(store)
    called(store)
    purge(store)
    assert row(store, "reminders")["wake_at"] is None
    store.connection.execute("UPDATE reminders SET wake_at = 0")
    store.claims()
    assert (row(store, "reminders")["status"], row(store, "reminders")["wake_at"]) == ("called", None)


def test_a_purge_keeps_opt_outs(store: Store) -> None:
    insert(store)
    store.write(partial(opt_out, phone_number=PHONE, source="key 9", actor="patient", rules=RULES))
    purge(store)
    assert row(store, "opt_outs")["phone_number"] == PHONE


def test_a_purge_runs_in_batches_with_an_audit_line_each(store: Store) -> None:
    total = 2 * BATCH + 1
    with store.one_transaction():
        for number in range(total):
            insert(store, f"r{number}", scheduled_at=to_ms(OLD) + number % 3)
    assert count_old(store.connection, before=BEFORE) == total
    assert purge(store) == total
    lines = store.connection.execute("SELECT act, actor, detail FROM audit").fetchall()
    assert [tuple(line) for line in lines] == [
        ("purge", "anna", f"{count} reminders from before 2026-01-31") for count in (BATCH, BATCH, 1)
    ]
    assert (count_old(store.connection, before=BEFORE), purge(store)) == (0, 0)


def test_rows_purged_long_ago_cause_no_long_transaction(store: Store) -> None:
    """Also if there is nothing to do, a transaction looks at a few reminders only, by an index."""
    with store.one_transaction():
        for number in range(2 * BATCH):
            insert(store, f"r{number:03}", message="", phone_number="")
    batch = partial(purge_batch, before=BEFORE, place=Place(), actor="anna", cleaned=mask_numbers)
    done = store.write(batch)
    assert (done.reminders, done.reached) == (0, Place(to_ms(OLD), f"r{BATCH - 1:03}"))
    assert store.count("audit") == 0


@pytest.mark.sqlite_only("its count of steps")
def test_a_late_report_of_a_purged_reminder_reads_no_other_purged_rows(store: Store) -> None:
    def steps(reminder_id: str) -> int:
        """Return how many hundred steps SQLite takes for a late report of this reminder's purged call."""
        insert(store, reminder_id, message="", phone_number="")
        called(store, reminder_id, id=f"c-{reminder_id}", phone_number="", external_call_id=f"e-{reminder_id}")
        taken = []
        sqlite(store.connection).set_progress_handler(lambda: taken.append(1), 100)
        store.report(Report(external_call_id=f"e-{reminder_id}", status="completed", attempt_id=f"c-{reminder_id}"))
        sqlite(store.connection).set_progress_handler(None, 0)
        return len(taken)

    alone = steps("first")
    with store.one_transaction():
        for number in range(300):
            insert(store, f"r{number}", message="", phone_number="")
            called(store, f"r{number}", id=f"c{number}", phone_number="")
    assert steps("last") <= alone + 2


def test_late_signs_of_life_of_several_purged_calls_are_all_recorded(store: Store) -> None:
    for number in range(3):
        insert(store, f"r{number}", status="failed")
        called(store, f"r{number}", id=f"c{number}", state="unreported", status=None)
    purge(store)
    for number in range(2):
        store.report(Report(external_call_id=f"e{number}", status="ringing", attempt_id=f"c{number}"))
    store.report(Report(external_call_id="e2", status="ringing", reminder_id="r2"))
    states = [one["state"] for one in store.connection.execute("SELECT state FROM call_logs WHERE wake_at > 0")]
    assert states == ["stray"] * 3


@pytest.mark.sqlite_only("when it counts its rows again")
def test_calls_are_found_by_index_after_their_number_has_grown(store: Store) -> None:
    insert(store)
    called(store)
    store.connection.execute("ANALYZE")
    assert not by_index(store)
    with store.one_transaction():
        for number in range(2, 300):
            insert(store, f"r{number}")
            called(store, f"r{number}", id=f"c{number}")
    store.write(lambda connection, _now: connection.refresh_statistics())
    assert by_index(store)


def by_index(store: Store) -> bool:
    """Return whether a purge finds a reminder's calls by an index."""
    bounds = {"before": 0, "after": 0, "after_id": "", "limit": 1}
    return not plan(store.connection, _NEXT, bounds).whole_tables


def test_a_transcript_stored_after_a_purge_is_purged_by_the_next(store: Store) -> None:
    insert(store)
    called(store, transcript=None)
    purge(store)
    store.connection.execute("UPDATE call_logs SET transcript = 'late words'")
    assert purge(store) == 1
    assert row(store, "call_logs")["transcript"] == ""


def test_a_purged_reminder_is_not_called_again(store: Store) -> None:
    insert(store, status="failed")
    purge(store)
    with pytest.raises(NotAllowedError, match="purged"):
        store.write(partial(acts.call_again, reminder_id="r1", rules=RULES, source=Source(actor="anna")))


@ONLY_SQLITE_HAS_FILES
def test_no_byte_of_purged_data_is_left_in_the_files(store: Store, path: Path) -> None:
    """Rows as long and as often changed as they really are: SQLite leaves copies behind when it moves them."""
    chance = Random(3)
    ids = [f"r{chance.random()}" for _ in range(3000)]
    store.connection.execute("BEGIN")
    for reminder_id in ids:
        words = "SECRETMESSAGE " + "x" * chance.choice([5, 40, 300, 900, 3900])
        phone = f"+4930{chance.randrange(10**7):07}"
        over = {"status": "failed", "wake_at": None, "scheduled_at": to_ms(OLD), "updated_at": to_ms(OLD)}
        store.insert(reminder_id, phone, message=words, **over)
    for reminder_id in ids:
        words = "SECRETTRANSCRIPT " + "y" * chance.choice([5, 300, 9000])
        called(store, reminder_id, id=reminder_id, transcript=words)
    for reminder_id in chance.sample(ids, 1500):
        reason = "z" * chance.choice([3, 60])
        store.connection.execute(
            "UPDATE reminders SET last_error = ?, revision = 1 WHERE id = ?", (reason, reminder_id)
        )
    store.connection.execute("COMMIT")
    assert purge(store) == 3000
    assert scrub(sqlite(store.connection))
    files = [path, path.with_name("reminderd.db-wal"), path.with_name("reminderd.db-shm")]
    assert sorted(path.parent.iterdir()) == sorted(files)
    # By another process: to close the files in this one would drop the locks that SQLite holds on them.
    looked = ["/usr/bin/env", "grep", "-a", "-o", "-E", r"SECRET[A-Z]+|\+4930[0-9]{7}", *map(str, files)]
    assert subprocess.run(looked, check=False, capture_output=True, text=True).stdout == ""


@ONLY_SQLITE_HAS_FILES
def test_a_long_reader_prevents_emptying_the_wal_and_is_reported(store: Store, path: Path) -> None:
    insert(store)
    statements: list[str] = []
    with a_store(path) as reader:
        reader.connection.execute("BEGIN")
        reader.connection.execute("SELECT * FROM reminders").fetchone()
        purge(store)
        store.connection.execute(f"PRAGMA busy_timeout = {2 * PATIENCE * 1000}").fetchall()
        begun = time.monotonic()
        assert not scrub(sqlite(store.connection))
        assert time.monotonic() - begun < PATIENCE  # it waited for nobody, nor others for it
        assert traces_left(store.connection) is Traces.LOG
        reader.connection.execute("ROLLBACK")
    sqlite(store.connection).set_trace_callback(statements.append)
    assert scrub(sqlite(store.connection))
    assert "VACUUM" not in statements
    assert traces_left(store.connection) is None
    patience = store.connection.execute("PRAGMA busy_timeout").fetchone()[0]
    assert patience == 2 * PATIENCE * 1000


@ONLY_SQLITE_HAS_FILES
def test_a_short_reader_does_not_prevent_emptying_the_wal(store: Store, path: Path) -> None:
    insert(store)
    purge(store)
    tries = 0

    with a_store(path) as reader:
        reader.connection.execute("BEGIN")
        reader.connection.execute("SELECT * FROM reminders").fetchone()

        def until_the_second_try(statement: str) -> None:
            nonlocal tries
            tries += "TRUNCATE" in statement
            if tries == 2 and reader.connection.in_transaction:
                reader.connection.execute("ROLLBACK")

        sqlite(store.connection).set_trace_callback(until_the_second_try)
        assert scrub(sqlite(store.connection))


@ONLY_SQLITE_HAS_FILES
def test_traces_are_marked_with_the_purge_until_the_file_is_rewritten(store: Store) -> None:
    assert traces_left(store.connection) is None
    insert(store)
    purge(store)
    assert traces_left(store.connection) is Traces.FILE
    assert scrub(sqlite(store.connection))
    assert traces_left(store.connection) is None


def test_a_purge_that_finds_nothing_marks_nothing(store: Store) -> None:
    insert(store, scheduled_at=to_ms(NOW))
    purge(store)
    assert traces_left(store.connection) is None


@ONLY_SQLITE_HAS_FILES
def test_a_purge_during_the_rewrite_stays_marked(store: Store, path: Path) -> None:
    insert(store)
    purge(store)

    def once(statement: str) -> None:
        if statement.startswith("UPDATE settings"):  # the file is written, and the mark not changed yet
            sqlite(store.connection).set_trace_callback(None)
            with a_store(path) as other:
                other.write(lambda connection, _now: mark_unscrubbed(connection))

    sqlite(store.connection).set_trace_callback(once)
    scrub(sqlite(store.connection))
    assert traces_left(store.connection) is Traces.FILE
