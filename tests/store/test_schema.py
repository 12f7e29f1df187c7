import subprocess
import sys
from pathlib import Path

import pytest

from reminderd.clock import SystemClock
from reminderd.core.model import Status
from reminderd.store.connection import Connection
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_connection, open_sync
from tests.support.rows import insert_row, refused, refused_as_no_number, refused_as_second, refused_without

DUE = 1_772_445_600_000
YEAR_2999 = 32_472_144_000_000
IN_SQLITES_WORDS = pytest.mark.sqlite_only("PostgreSQL does not know these words")
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
    print(connection.execute("SELECT group_concat(id || '@' || wake_at, ' ') FROM reminders").fetchone()[0])
connection.close()
"""


def add(connection: Connection, identity: str = "r1", /, **columns: object) -> None:
    values = {"id": identity, "phone_number": "+49301", "message": "m", "scheduled_at": DUE} | columns
    insert_row(connection, "reminders", values)


def value(connection: Connection, column: str, identity: str = "r1") -> object:
    query = f"SELECT {column} FROM reminders WHERE id = ?"
    return connection.execute(query, (identity,)).fetchone()[0]


def call(connection: Connection, identity: str, state: str, number: str = "+49301", **columns: object) -> None:
    alive = state in {"dialing", "unconfirmed", "placed", "stray"}
    values = {"id": identity, "reminder_id": "r1", "phone_number": number, "state": state, "last_sign_at": DUE}
    values |= {"wake_at": DUE if alive else None} | columns
    names, places = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO call_logs ({names}) VALUES ({places})", tuple(values.values()))


def is_now(time: object) -> bool:
    assert isinstance(time, int)
    return abs(time - to_ms(SystemClock().now())) < 10_000


def test_four_columns_are_enough_for_a_reminder(connection: Connection) -> None:
    add(connection)
    row = connection.execute("SELECT * FROM reminders").fetchone()
    assert (row["status"], row["attempts"], row["wake_at"]) == ("scheduled", 0, DUE)
    assert is_now(row["created_at"])
    assert is_now(row["updated_at"])
    empty = {
        "ref",
        "expires_at",
        "timezone",
        "appointment_id",
        "planned_at",
        "cadence",
        "source",
        "language",
        "hold_code",
        "former_number",
        "end_code",
        "ended_at",
        "done_at",
        "retry_at",
        "again_until",
        "response",
        "last_error",
    }
    assert {name for name in row.keys() if row[name] is None} == empty  # noqa: SIM118 - a Row iterates over its values


def test_the_default_times_are_now_in_milliseconds(connection: Connection) -> None:
    add(connection)
    assert is_now(value(connection, "created_at"))


@pytest.mark.parametrize("column", ["id", "phone_number", "message", "scheduled_at"])
def test_each_of_four_columns_is_required(connection: Connection, column: str) -> None:
    with refused_without("reminders", column):
        add(connection, **{column: None})


@pytest.mark.sqlite_only("about the library")
def test_the_standard_librarys_sqlite_can_insert_a_reminder(path: Path) -> None:
    open_connection(path).close()
    done = subprocess.run([sys.executable, "-c", FOREIGN, path], check=False, capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("the standard library's SQLite knows no STRICT tables")
    assert (done.stderr, done.stdout.strip()) == ("", "Ä-1@1000 r2@2000")


@pytest.mark.parametrize(
    "identity", ["1", "x" * 200, "Termin §4 / Müller-Lüdenscheidt", "予約-1", "\U0001f4de", "a b", "ª\u00bf"]
)
def test_any_other_text_is_a_valid_id(connection: Connection, identity: str) -> None:
    add(connection, identity)
    assert value(connection, "message", identity) == "m"


@pytest.mark.parametrize(
    "identity",
    ["", "x" * 201, "ä" * 201, "a\x00", "\x00", "a\x01b", "a\n", "\x1f", "a\x7f", "a\x80", "\x9f", "a\ufffd"],
)
def test_an_id_with_controls_or_of_a_wrong_length_is_refused(connection: Connection, identity: str) -> None:
    with refused("id_is_1_to_200_characters_without_controls|cannot contain NUL"):
        add(connection, identity)


@pytest.mark.sqlite_only("PostgreSQL checks each text that it is sent")
@pytest.mark.parametrize(
    "identity",
    ["4DFC6C", "61A5", "A5", "E2A561", "E5A561", "F0A5A561", "EDA080", "C0A1", "C1BF", "F8A5A5A5A5", "61FF", "6180"],
)
def test_an_id_that_is_not_utf8_is_refused(connection: Connection, identity: str) -> None:
    with refused(r"reminders\.id is not UTF-8|without_controls"):
        connection.execute(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at)"
            f" VALUES (CAST(x'{identity}' AS TEXT), '+49', 'm', 1)"
        )


@pytest.mark.parametrize("column", ["scheduled_at", "expires_at", "wake_at", "created_at", "updated_at"])
@pytest.mark.parametrize("time", [-1, DUE * 1000, 2**62])
def test_a_time_that_cannot_be_milliseconds_is_refused(connection: Connection, column: str, time: int) -> None:
    with refused("times_are_unix_milliseconds"):
        add(connection, **{column: time})


def test_a_time_that_is_text_is_refused(connection: Connection) -> None:
    with refused_as_no_number():
        add(connection, scheduled_at="2026-03-02 10:00")


def test_a_reminders_status_is_one_of_seven(connection: Connection) -> None:
    for number, status in enumerate(Status):
        add(connection, str(number), status=status)
    with refused("status_is_known"):
        add(connection, "other", status="done")


def test_a_ref_names_one_reminder(connection: Connection) -> None:
    add(connection, "r1", ref="appointment 7")
    with refused_as_second("reminders.ref", "reminders_ref_key"):
        add(connection, "r2", ref="appointment 7")


@pytest.mark.parametrize("status", WAITING)
def test_a_waiting_reminder_inserted_without_wake_at_is_woken_when_scheduled(
    connection: Connection, status: Status
) -> None:
    add(connection, status=status)
    assert value(connection, "wake_at") == DUE


def test_a_reminder_for_later_is_woken_at_once(connection: Connection) -> None:
    add(connection, scheduled_at=YEAR_2999)
    assert woken_now(connection)


@pytest.mark.parametrize("status", FINAL)
def test_a_final_reminder_inserted_without_wake_at_is_not_woken(connection: Connection, status: Status) -> None:
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


def woken_now(connection: Connection, identity: str = "r1") -> bool:
    """Return whether the row is woken now, by the triggers' clock."""
    return is_now(value(connection, "wake_at", identity))


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SCHEDULED])
def test_moving_a_reminder_that_is_not_scheduled_wakes_it(connection: Connection, status: Status) -> None:
    add(connection, status=status, wake_at=DUE + 5)
    connection.execute("UPDATE reminders SET scheduled_at = ?", (DUE + 1000,))
    assert woken_now(connection)


@pytest.mark.parametrize(
    "change",
    ["phone_number = '+49302'", "timezone = 'Europe/Paris'", "language = 'es'", "expires_at = 5", "message = ''"],
)
def test_changing_what_a_call_depends_on_wakes_a_reminder(connection: Connection, change: str) -> None:
    add(connection)
    connection.execute(f"UPDATE reminders SET {change}")
    assert woken_now(connection)


@pytest.mark.parametrize("status", WAITING)
def test_a_final_reminder_set_back_to_waiting_is_woken(connection: Connection, status: Status) -> None:
    add(connection, status="failed")
    connection.execute("UPDATE reminders SET status = ?", (status,))
    assert woken_now(connection)


def test_a_waiting_reminder_cannot_lose_its_wake_at(connection: Connection) -> None:
    add(connection)
    connection.execute("UPDATE reminders SET wake_at = NULL")
    assert woken_now(connection)


def test_an_upsert_with_the_same_content_changes_nothing(connection: Connection) -> None:
    add(connection, status="called")
    connection.execute(
        "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES ('r1', '+49301', 'm', ?)"
        " ON CONFLICT (id) DO UPDATE SET phone_number = excluded.phone_number, scheduled_at = excluded.scheduled_at",
        (DUE,),
    )
    assert value(connection, "wake_at") is None


def test_reminderds_own_changes_wake_nothing(connection: Connection) -> None:
    add(connection)
    call(connection, "c1", "placed", wake_at=DUE)
    member(connection, "c1")
    connection.execute(
        "UPDATE reminders SET status = 'processing', wake_at = NULL, phone_number = '', revision = revision + 1"
    )
    connection.execute("UPDATE reminders SET status = 'called', revision = revision + 1")
    assert value(connection, "wake_at") is None
    assert connection.execute("SELECT wake_at FROM call_logs").fetchone()[0] == DUE


def member(connection: Connection, call_id: str, reminder_id: str = "r1") -> None:
    connection.execute(
        "INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest)"
        " VALUES (?, ?, 0, ?, '')",
        (call_id, reminder_id, DUE),
    )


@pytest.mark.parametrize("state", ["unconfirmed", "placed", "stray"])
@pytest.mark.parametrize(
    "change", ["UPDATE reminders SET status = 'cancelled'", "DELETE FROM reminders"], ids=["cancelled", "deleted"]
)
def test_ending_a_reminder_wakes_its_call(connection: Connection, state: str, change: str) -> None:
    add(connection)
    call(connection, "c1", state)
    member(connection, "c1")
    connection.execute(change)
    assert connection.execute("SELECT wake_at > ? FROM call_logs", (DUE,)).fetchone()[0]


@pytest.mark.parametrize("columns", [{"state": "dialing"}, {"state": "placed", "lease_token": "t"}])
@pytest.mark.parametrize(
    "change", ["UPDATE reminders SET status = 'cancelled'", "DELETE FROM reminders"], ids=["cancelled", "deleted"]
)
def test_a_leased_call_is_not_woken_by_the_end_of_its_reminder(
    connection: Connection, columns: dict[str, str], change: str
) -> None:
    add(connection)
    call(connection, "c1", **columns)
    member(connection, "c1")
    connection.execute(change)
    assert connection.execute("SELECT wake_at FROM call_logs").fetchone()[0] == DUE


@pytest.mark.sqlite_only("REPLACE and the setting are SQLite's")
@pytest.mark.parametrize("foreign_keys", ["ON", "OFF"])
def test_deleting_a_reminder_marks_its_memberships_and_replacing_does_not(
    connection: Connection, foreign_keys: str
) -> None:
    connection.execute(f"PRAGMA foreign_keys = {foreign_keys}")
    add(connection, "r1")
    add(connection, "r2")
    call(connection, "c1", "ended")
    for name in ("r1", "r2"):
        member(connection, "c1", name)
    connection.execute("DELETE FROM reminders WHERE id = 'r1'")
    connection.execute(
        "INSERT OR REPLACE INTO reminders (id, phone_number, message, scheduled_at) VALUES ('r2', '+49301', 'm', 1)"
    )
    rows = connection.execute("SELECT reminder_id, deleted FROM call_reminders ORDER BY reminder_id").fetchall()
    assert [tuple(row) for row in rows] == [("r1", 1), ("r2", 0)]
    assert connection.execute("SELECT count(*) FROM call_logs").fetchone()[0] == 1


@pytest.mark.sqlite_only("REPLACE and the setting are SQLite's")
@pytest.mark.parametrize("foreign_keys", ["ON", "OFF"])
def test_deleting_or_replacing_a_reminder_breaks_no_reference(connection: Connection, foreign_keys: str) -> None:
    """Else db check would fail from then on, and no upgrade would start. SQLite's own shell has them off."""
    connection.execute(f"PRAGMA foreign_keys = {foreign_keys}")
    add(connection)
    add(connection, "r2", ref="two")
    connection.execute("INSERT INTO alerts SELECT id, 0 FROM reminders")
    connection.execute("DELETE FROM reminders WHERE id = 'r1'")
    assert [row[0] for row in connection.execute("SELECT reminder_id FROM alerts")] == ["r2"]
    connection.execute(
        "INSERT OR REPLACE INTO reminders (id, ref, phone_number, message, scheduled_at)"
        " VALUES ('r3', 'two', '+49301', 'm', 1)"
    )
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO opt_outs (phone_number) VALUES ('+4930123456')",
        "UPDATE opt_outs SET phone_number = '+4930123456'",
    ],
)
def test_an_opt_out_wakes_waiting_reminders_of_its_number(connection: Connection, statement: str) -> None:
    connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+4930123499')")
    add(connection, phone_number="+4930123456")
    add(connection, "other", phone_number="+49302")
    connection.execute(statement)
    assert woken_now(connection)
    assert value(connection, "wake_at", "other") == DUE


# Calls


@pytest.mark.parametrize("state", ["dialing", "unconfirmed", "placed"])
def test_a_number_has_one_open_call_at_most(connection: Connection, state: str) -> None:
    call(connection, "c1", state)
    with refused_as_second("call_logs.phone_number", "call_logs_one_open_call"):
        call(connection, "c2", "dialing", reminder_id="another")
    call(connection, "c3", "dialing", "+49302")
    call(connection, "c4", "stray")


@pytest.mark.parametrize("state", ["ended", "refused", "not_placed", "unreported"])
def test_a_closed_call_cannot_be_reopened_while_another_is_open(connection: Connection, state: str) -> None:
    call(connection, "c1", state)
    call(connection, "c2", "dialing")
    with refused_as_second("call_logs.phone_number", "call_logs_one_open_call"):
        connection.execute("UPDATE call_logs SET state = 'placed', wake_at = 1 WHERE id = 'c1'")


@pytest.mark.parametrize(("state", "wake_at"), [("placed", None), ("ended", 1)])
def test_a_call_has_a_wake_at_exactly_while_it_is_alive(
    connection: Connection, state: str, wake_at: int | None
) -> None:
    with refused("a_call_is_looked_at_while_it_is_alive"):
        call(connection, "c1", state, wake_at=wake_at)


def test_a_calls_state_is_one_of_ours_and_its_status_is_any_text(connection: Connection) -> None:
    call(connection, "c1", "ended", status="refused")
    with refused("state_is_known"):
        call(connection, "c2", "ringing")


def test_calls_are_numbered_in_order_without_repetition(connection: Connection) -> None:
    call(connection, "c1", "ended")
    connection.execute("DELETE FROM call_logs")
    call(connection, "c2", "ended")
    assert connection.execute("SELECT seq FROM call_logs").fetchone()[0] == 2


def test_a_providers_id_names_one_call(connection: Connection) -> None:
    call(connection, "c1", "ended")
    call(connection, "c2", "ended")
    with refused_as_second("call_logs.external_call_id", "call_logs_external_call_id_key"):
        connection.execute("UPDATE call_logs SET external_call_id = 'CA1'")


def test_a_call_has_one_receipt_at_most(connection: Connection) -> None:
    insert = "INSERT INTO webhook_receipts (call_id, reminder_id, status, received_at) VALUES ('CA1', 'r1', 'busy', 1)"
    connection.execute(insert)
    with refused_as_second("webhook_receipts.call_id", "webhook_receipts_pkey"):
        connection.execute(insert)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        pytest.param(
            "REPLACE INTO audit (id, at, actor, act) VALUES (1, 2, 'nobody', 'cancel')",
            marks=IN_SQLITES_WORDS,
        ),
        "INSERT INTO audit (id, at, actor, act) VALUES (1, 2, '', '') ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
    ],
)
def test_audit_lines_cannot_be_changed_or_deleted(connection: Connection, change: str) -> None:
    insert = "INSERT INTO audit (at, actor, act) VALUES (1, 'anna', 'cancel')"
    connection.execute(insert)
    with refused("append-only"):
        connection.execute(change)
    connection.execute(insert)
    assert [row["actor"] for row in connection.execute("SELECT * FROM audit")] == ["anna", "anna"]


@pytest.mark.sqlite_only("PostgreSQL's types are strict")
def test_the_tables_are_strict(path: Path) -> None:
    with open_sync(path) as connection:
        strict = {
            row["name"]: row["strict"]
            for row in connection.execute("PRAGMA table_list")
            if row["schema"] == "main" and row["type"] != "view"
        }
    del strict["sqlite_schema"]
    names = {
        "reminders",
        "appointments",
        "call_logs",
        "call_reminders",
        "sqlite_sequence",
        "webhook_receipts",
        "opt_outs",
        "settings",
        "audit",
        "alerts",
        "imports",
        "changes",
        "deliveries",
        "users",
        "sessions",
        "login_failures",
        "login_addresses",
        "daemons",
    }
    assert strict == dict.fromkeys(names, 1) | {"sqlite_sequence": 0}


def test_text_is_refused_where_a_number_belongs(connection: Connection) -> None:
    for statement in (
        "INSERT INTO opt_outs (phone_number, created_at) VALUES ('+12025550194', 'today')",
        "INSERT INTO audit (at, actor, act) VALUES ('today', 'x', 'y')",
    ):
        with refused_as_no_number():
            connection.execute(statement)


@pytest.mark.sqlite_only("its literal of bytes")
def test_bytes_are_refused_where_text_belongs(connection: Connection) -> None:
    with refused("cannot store BLOB value in TEXT column"):
        connection.execute("INSERT INTO settings VALUES ('key', x'00')")


@pytest.mark.parametrize(
    "number",
    [
        "12025550194",
        "+1 202 555 0194",
        "+0301234567",
        "+1202",
        "+1202555019x",
        "",
        "+1234567890123456",
        "+12025550194\0",
    ],
)
@pytest.mark.parametrize(
    ("insert", "update"),
    [
        ("INSERT", "UPDATE"),
        pytest.param("INSERT OR IGNORE", "UPDATE OR IGNORE", marks=IN_SQLITES_WORDS),
        pytest.param("INSERT OR REPLACE", "UPDATE OR REPLACE", marks=IN_SQLITES_WORDS),
        pytest.param("REPLACE", "UPDATE", marks=IN_SQLITES_WORDS),
    ],
)
def test_an_opt_out_that_would_stop_no_call_is_refused(
    connection: Connection, insert: str, update: str, number: str
) -> None:
    message = r"opt_outs\.phone_number is not E\.164|cannot contain NUL"
    with refused(message):
        connection.execute(f"{insert} INTO opt_outs (phone_number) VALUES (?)", (number,))
    connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+12025550194')")
    with refused(message):
        connection.execute(f"{update} opt_outs SET phone_number = ?", (number,))
    assert [tuple(row) for row in connection.execute("SELECT phone_number FROM opt_outs")] == [("+12025550194",)]
