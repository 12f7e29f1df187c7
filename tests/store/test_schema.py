import subprocess
import sys
from pathlib import Path

import pytest

from reminderd.core.reminder import CLOSED, PROGRESS, Status
from reminderd.store.driver import Connection, Error, IntegrityError
from reminderd.store.opening import open_sync

DUE = 1_772_445_600_000
FINAL = [status for status in Status if status.final]
WAITING = [status for status in Status if not status.final]

# What a foreign program does that knows four columns only; it uses the standard library's SQLite, often an old one.
FOREIGN = """
import sqlite3, sys
if sqlite3.sqlite_version_info < (3, 37):
    sys.exit(77)
with sqlite3.connect(sys.argv[1]) as connection:
    for id in ("Ä-1", "r2"):
        connection.execute(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (?, '+49', 'm', 1000)", (id,)
        )
    connection.execute("UPDATE reminders SET scheduled_at = 2000 WHERE id = 'r2'")
    connection.execute("INSERT INTO call_logs (reminder_id) VALUES ('r2')")
    print(connection.execute("SELECT group_concat(id || '@' || wake_at, ' ') FROM reminders").fetchone()[0])
connection.close()
"""


def add(connection: Connection, identity: str = "r1", /, **columns: object) -> None:
    values = {"id": identity, "phone_number": "+49301", "message": "m", "scheduled_at": DUE} | columns
    names, places = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO reminders ({names}) VALUES ({places})", tuple(values.values()))


def value(connection: Connection, column: str, identity: str = "r1") -> object:
    query = f"SELECT {column} FROM reminders WHERE id = ?"
    return connection.execute(query, (identity,)).fetchone()[0]


def call(connection: Connection, identity: str, attempt: int | None, status: str, reminder: str = "r1") -> None:
    connection.execute(
        "INSERT INTO call_logs (id, reminder_id, attempt, status) VALUES (?, ?, ?, ?)",
        (identity, reminder, attempt, status),
    )


def test_four_columns_are_enough_for_a_reminder(connection: Connection) -> None:
    add(connection)
    row = connection.execute("SELECT * FROM reminders").fetchone()
    assert (row["status"], row["attempts"], row["wake_at"]) == ("scheduled", 0, DUE)
    assert row["created_at"] == row["updated_at"]
    empty = {
        "ref",
        "expires_at",
        "timezone",
        "hold_reason",
        "said_with",
        "lease_token",
        "external_call_id",
        "response",
        "last_error",
    }
    assert {name for name in row.keys() if row[name] is None} == empty  # noqa: SIM118 - a Row iterates over its values


def test_the_default_times_are_now_in_milliseconds(connection: Connection) -> None:
    add(connection)
    now = connection.execute("SELECT unixepoch('now')").fetchone()[0] * 1000
    assert abs(int(str(value(connection, "created_at"))) - now) < 10_000


@pytest.mark.parametrize("column", ["id", "phone_number", "message", "scheduled_at"])
def test_each_of_the_four_must_be_given(connection: Connection, column: str) -> None:
    with pytest.raises(IntegrityError, match="NOT NULL"):
        add(connection, **{column: None})


def test_a_program_with_the_standard_librarys_sqlite_can_insert(path: Path, connection: Connection) -> None:
    done = subprocess.run([sys.executable, "-c", FOREIGN, path], check=False, capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("the standard library's SQLite knows no STRICT tables")
    assert (done.stderr, done.stdout.strip()) == ("", "Ä-1@1000 r2@2000")
    row = connection.execute("SELECT * FROM call_logs").fetchone()
    assert (len(row["id"]), row["attempt"], row["status"], row["tries"], row["checks"]) == (32, None, "dialing", 0, 0)


@pytest.mark.parametrize(
    "identity", ["1", "x" * 200, "Termin §4 / Müller-Lüdenscheidt", "予約-1", "\U0001f4de", "a b", "ª\u00bf"]
)
def test_these_ids_are_taken(connection: Connection, identity: str) -> None:
    add(connection, identity)
    assert value(connection, "message", identity) == "m"


@pytest.mark.parametrize(
    "identity",
    ["", "x" * 201, "ä" * 201, "a\x00", "\x00", "a\x01b", "a\n", "\x1f", "a\x7f", "a\x80", "\x9f", "a\ufffd"],
)
def test_an_id_with_controls_or_of_a_wrong_length_is_refused(connection: Connection, identity: str) -> None:
    with pytest.raises(IntegrityError, match="id_is_1_to_200_characters_without_controls"):
        add(connection, identity)


@pytest.mark.parametrize(
    "identity",
    ["4DFC6C", "61A5", "A5", "E2A561", "E5A561", "F0A5A561", "EDA080", "C0A1", "C1BF", "F8A5A5A5A5", "61FF", "6180"],
)
def test_an_id_that_is_not_utf8_is_refused(connection: Connection, identity: str) -> None:
    with pytest.raises(IntegrityError, match=r"reminders\.id is not UTF-8|without_controls"):
        connection.execute(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at)"
            f" VALUES (CAST(x'{identity}' AS TEXT), '+49', 'm', 1)"
        )


@pytest.mark.parametrize("column", ["scheduled_at", "expires_at", "wake_at", "created_at", "updated_at"])
@pytest.mark.parametrize("time", [-1, DUE * 1000, 2**62])
def test_a_time_that_cannot_be_milliseconds_is_refused(connection: Connection, column: str, time: int) -> None:
    with pytest.raises(IntegrityError, match="times_are_unix_milliseconds"):
        add(connection, **{column: time})


def test_a_time_that_is_text_is_refused(connection: Connection) -> None:
    with pytest.raises(IntegrityError, match="cannot store TEXT value in INTEGER column"):
        add(connection, scheduled_at="2026-03-02 10:00")


def test_only_the_seven_words_are_a_status(connection: Connection) -> None:
    for number, status in enumerate(Status):
        add(connection, str(number), status=status)
    with pytest.raises(IntegrityError, match="status_is_known"):
        add(connection, "other", status="done")


def test_a_ref_names_one_reminder(connection: Connection) -> None:
    add(connection, "r1", ref="appointment 7")
    with pytest.raises(IntegrityError, match="UNIQUE"):
        add(connection, "r2", ref="appointment 7")


@pytest.mark.parametrize("status", WAITING)
def test_a_waiting_reminder_inserted_without_wake_at_is_woken_when_scheduled(
    connection: Connection, status: Status
) -> None:
    add(connection, status=status)
    assert value(connection, "wake_at") == DUE


@pytest.mark.parametrize("status", FINAL)
def test_a_final_reminder_inserted_without_wake_at_is_left_in_peace(connection: Connection, status: Status) -> None:
    add(connection, status=status)
    assert value(connection, "wake_at") is None


def test_a_given_wake_at_is_kept(connection: Connection) -> None:
    add(connection, wake_at=DUE + 5)
    assert value(connection, "wake_at") == DUE + 5


def test_a_scheduled_reminder_that_is_moved_is_woken_at_the_new_time(connection: Connection) -> None:
    add(connection, wake_at=DUE + 5)
    connection.execute("UPDATE reminders SET scheduled_at = ?", (DUE + 1000,))
    assert value(connection, "wake_at") == DUE + 1000


def test_saving_a_reminder_that_was_not_moved_keeps_its_wake_at(connection: Connection) -> None:
    add(connection)
    connection.execute(
        "UPDATE reminders SET scheduled_at = scheduled_at, status = 'scheduled', wake_at = ?", (DUE + 5,)
    )
    assert value(connection, "wake_at") == DUE + 5


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SCHEDULED])
def test_moving_a_reminder_that_is_not_scheduled_wakes_nobody(connection: Connection, status: Status) -> None:
    add(connection, status=status, wake_at=DUE + 5)
    connection.execute("UPDATE reminders SET scheduled_at = ?", (DUE + 1000,))
    assert value(connection, "wake_at") == DUE + 5


@pytest.mark.parametrize("status", WAITING)
def test_a_final_reminder_that_is_set_back_is_woken(connection: Connection, status: Status) -> None:
    add(connection, status="failed")
    connection.execute("UPDATE reminders SET status = ?", (status,))
    assert value(connection, "wake_at") == DUE


@pytest.mark.parametrize("status", FINAL)
def test_a_reminder_that_ends_keeps_the_wake_at_that_it_is_given(connection: Connection, status: Status) -> None:
    add(connection)
    connection.execute("UPDATE reminders SET status = ?, wake_at = NULL", (status,))
    assert value(connection, "wake_at") is None
    connection.execute("UPDATE reminders SET wake_at = 7")
    assert value(connection, "wake_at") == 7


def test_a_waiting_reminder_cannot_lose_its_wake_at(connection: Connection) -> None:
    add(connection)
    connection.execute("UPDATE reminders SET wake_at = NULL")
    assert value(connection, "wake_at") == DUE


@pytest.mark.parametrize("comparison", ["= 'scheduled'", "<> 'scheduled'"])
@pytest.mark.parametrize("tail", ["AND wake_at <= 5 ORDER BY wake_at, id LIMIT 3", ""])
def test_what_is_due_is_found_by_an_index_without_sorting(connection: Connection, comparison: str, tail: str) -> None:
    wanted = "id" if tail else "min(wake_at)"
    query = f"SELECT {wanted} FROM reminders WHERE status {comparison} AND wake_at IS NOT NULL {tail}"
    plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert len(plan) == 1
    index = "reminders_to_dial" if comparison.startswith("=") else "reminders_to_check"
    assert plan[0].startswith(f"SEARCH reminders USING COVERING INDEX {index}")


@pytest.mark.parametrize("status", sorted(PROGRESS | {"dialing", "unconfirmed", "a provider's own word"}))
def test_a_reminder_has_one_open_call_at_most(connection: Connection, status: str) -> None:
    add(connection)
    call(connection, "c1", 1, status)
    with pytest.raises(IntegrityError, match=r"UNIQUE constraint failed: call_logs\.reminder_id"):
        call(connection, "c2", 2, "dialing")


@pytest.mark.parametrize("status", sorted(CLOSED))
def test_a_closed_call_makes_room_for_another_and_is_not_opened_beside_it(connection: Connection, status: str) -> None:
    add(connection)
    call(connection, "c1", 1, status)
    call(connection, "c2", 2, "dialing")
    with pytest.raises(IntegrityError, match="UNIQUE"):
        connection.execute("UPDATE call_logs SET status = 'ringing' WHERE id = 'c1'")


def test_reports_that_matched_no_call_count_as_none_that_is_open(connection: Connection) -> None:
    add(connection)
    call(connection, "c1", None, "ringing")
    call(connection, "c2", None, "ringing")
    call(connection, "c3", 1, "dialing")
    assert connection.execute("SELECT count(*) FROM call_logs").fetchone()[0] == 3


def test_two_reminders_may_each_have_an_open_call(connection: Connection) -> None:
    add(connection, "r1")
    add(connection, "r2")
    call(connection, "c1", 1, "dialing", "r1")
    call(connection, "c2", 1, "dialing", "r2")


def test_an_attempt_has_one_call(connection: Connection) -> None:
    add(connection)
    call(connection, "c1", 1, "busy")
    with pytest.raises(IntegrityError, match="UNIQUE"):
        call(connection, "c2", 1, "busy")


def test_a_providers_id_names_one_call(connection: Connection) -> None:
    add(connection)
    call(connection, "c1", 1, "busy")
    call(connection, "c2", 2, "busy")
    with pytest.raises(IntegrityError, match="UNIQUE"):
        connection.execute("UPDATE call_logs SET external_call_id = 'CA1'")


def test_a_call_belongs_to_a_reminder_and_goes_with_it(connection: Connection) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        call(connection, "c1", 1, "busy", "nobody")
    add(connection)
    call(connection, "c1", 1, "busy")
    connection.execute("DELETE FROM reminders")
    assert connection.execute("SELECT count(*) FROM call_logs").fetchone()[0] == 0


def test_a_call_takes_one_receipt(connection: Connection) -> None:
    insert = "INSERT INTO webhook_receipts (call_id, reminder_id, status, received_at) VALUES ('CA1', 'r1', 'busy', 1)"
    connection.execute(insert)
    with pytest.raises(IntegrityError, match="UNIQUE"):
        connection.execute(insert)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "REPLACE INTO audit (id, at, actor, act) VALUES (1, 2, 'nobody', 'cancel')",
        "INSERT INTO audit (id, at, actor, act) VALUES (1, 2, 'x', 'y') ON CONFLICT DO UPDATE SET actor = 'nobody'",
    ],
)
def test_the_audit_only_grows(connection: Connection, change: str) -> None:
    insert = "INSERT INTO audit (at, actor, act) VALUES (1, 'anna', 'cancel')"
    connection.execute(insert)
    with pytest.raises(IntegrityError, match="append-only"):
        connection.execute(change)
    connection.execute(insert)
    assert [row["actor"] for row in connection.execute("SELECT * FROM audit")] == ["anna", "anna"]


def test_the_tables_are_strict(path: Path) -> None:
    with open_sync(path) as connection:
        strict = {
            row["name"]: row["strict"] for row in connection.execute("PRAGMA table_list") if row["schema"] == "main"
        }
    del strict["sqlite_schema"]
    names = {"reminders", "call_logs", "webhook_receipts", "opt_outs", "settings", "audit", "alerts"}
    assert strict == dict.fromkeys(names, 1)


def test_a_wrong_type_is_refused_everywhere(connection: Connection) -> None:
    for statement in (
        "INSERT INTO opt_outs (phone_number, created_at) VALUES ('+49', 'today')",
        "INSERT INTO audit (at, actor, act) VALUES ('today', 'x', 'y')",
        "INSERT INTO settings VALUES ('key', x'00')",
    ):
        with pytest.raises(Error, match="cannot store"):
            connection.execute(statement)
