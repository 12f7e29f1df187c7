"""What is true for other programs on PostgreSQL only: locks, notices, rights, and where our tables are."""

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from reminderd.store.postgres.shared_schema import CLUSTER_WRITE_LOCK, make_or_check, migrations
from tests.support.postgres import USER, PostgresDatabase
from tests.support.waiting import until_in_thread

DUE = 1_772_445_600_000
WRITES = {
    "reminders": "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES ('new', '+49', 'm', 1)",
    "appointments": "UPDATE appointments SET at = at + 1",
    "call_logs": (
        "INSERT INTO call_logs (reminder_id, phone_number, state, last_sign_at) VALUES ('r1', '+49', 'ended', 1)"
    ),
    "settings": "INSERT INTO settings (key, value) VALUES ('paused', 'true')",
    "opt_outs": "INSERT INTO opt_outs (phone_number) VALUES ('+12025550147')",
    "changes": "DELETE FROM changes",
}
WAIT_FOR_THEIR_TURN = [
    "UPDATE reminders SET status = 'cancelled' WHERE id = 'r1'",
    "UPDATE reminders SET response = 'confirmed' WHERE id = 'r1'",
    "UPDATE reminders SET done_at = 1, end_code = 'invalid' WHERE id = 'r1'",
    "DELETE FROM reminders WHERE id = 'r1'",
    "UPDATE appointments SET status = 'cancelled'",
    "DELETE FROM appointments",
    "INSERT INTO opt_outs (phone_number) VALUES ('+12025550147')",
    "UPDATE opt_outs SET phone_number = '+12025550148' WHERE phone_number = '+12025550199'",
    "INSERT INTO reminders (id, phone_number, message, scheduled_at, status) VALUES ('n', '+49', 'm', 1, 'failed')",
]
WAIT_FOR_NOBODY = [
    WRITES["reminders"],
    WRITES["appointments"],
    WRITES["settings"],
    "UPDATE reminders SET message = 'another', scheduled_at = 5 WHERE id = 'r1'",
    "DELETE FROM opt_outs",
    "SELECT status FROM reminders WHERE id = 'r1' FOR UPDATE",
]
DOCS = Path(__file__).parents[3] / "docs/database.md"
WAITS = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@contextmanager
def connected(database: PostgresDatabase) -> Iterator[psycopg.Connection]:
    with closing(database.server.connect(database.name, USER)) as connection:
        yield connection


@pytest.fixture
def ours(made: PostgresDatabase) -> Iterator[psycopg.Connection]:
    """Yield a connection as reminderd has it, to a database with some rows."""
    with connected(made) as connection:
        for reminder in ("r1", "r2"):
            connection.execute(
                "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (%s, '+49', 'm', %s)",
                (reminder, DUE),
            )
        connection.execute("INSERT INTO appointments (id, phone_number, at) VALUES ('a1', '+49', 1)")
        connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+12025550199')")
        yield connection


@pytest.fixture
def foreign(made: PostgresDatabase) -> Iterator[psycopg.Connection]:
    """Yield another program's connection, which does not wait for locks."""
    with connected(made) as connection:
        connection.execute("SET lock_timeout = '20ms'")
        yield connection


def take_cluster_write_lock(connection: psycopg.Connection) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (CLUSTER_WRITE_LOCK,))


@pytest.mark.parametrize("sql", WAIT_FOR_THEIR_TURN)
def test_what_writes_other_rows_too_waits_for_its_turn(
    ours: psycopg.Connection, foreign: psycopg.Connection, sql: str
) -> None:
    with ours.transaction():
        take_cluster_write_lock(ours)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            foreign.execute(sql.encode())
    foreign.execute(sql.encode())


@pytest.mark.parametrize("sql", WAIT_FOR_NOBODY)
def test_another_write_waits_for_nobody(ours: psycopg.Connection, foreign: psycopg.Connection, sql: str) -> None:
    with ours.transaction():
        take_cluster_write_lock(ours)
        foreign.execute(sql.encode())


def test_who_waits_for_its_turn_has_no_row_locked(made: PostgresDatabase, ours: psycopg.Connection) -> None:
    """Else it and reminderd would wait for each other, and the server would end one of the two."""
    with connected(made) as patient:

        def cancel() -> None:
            patient.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'r1'")

        with ours.transaction():
            take_cluster_write_lock(ours)
            waiting = threading.Thread(target=cancel)
            waiting.start()
            until_in_thread(lambda: not waiting.is_alive() or ours.execute(WAITS).fetchone())
            assert waiting.is_alive()
            ours.execute("SELECT id FROM reminders WHERE id = 'r1' FOR UPDATE NOWAIT")
            ours.execute("UPDATE reminders SET message = 'ours' WHERE id = 'r1'")
        waiting.join()
    row = ours.execute("SELECT status, message FROM reminders WHERE id = 'r1'").fetchone()
    assert row == ("cancelled", "ours")


def test_changes_are_numbered_in_the_order_of_the_commits(
    ours: psycopg.Connection, foreign: psycopg.Connection
) -> None:
    """Else who has read up to a number would never see a lower one that is committed later."""
    with foreign.transaction():
        foreign.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'r2'")
        ours.execute("SET lock_timeout = '20ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            ours.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'r1'")
    ours.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'r1'")
    rows = ours.execute("SELECT subject_id FROM changes ORDER BY seq").fetchall()
    assert rows == [("r2",), ("r1",)]


@pytest.mark.parametrize("table", WRITES)
def test_a_commit_notifies_the_daemons_and_a_rollback_does_not(
    ours: psycopg.Connection, foreign: psycopg.Connection, table: str
) -> None:
    ours.execute("LISTEN reminderd")
    foreign.execute("BEGIN")
    foreign.execute(WRITES[table].encode())
    foreign.execute("ROLLBACK")
    assert list(ours.notifies(timeout=0)) == []
    foreign.execute(WRITES[table].encode())
    assert [one.channel for one in ours.notifies(timeout=10, stop_after=1)] == ["reminderd"]


def owners_functions(connection: psycopg.Connection) -> list[str]:
    """Return the functions of triggers that may do what their owner may."""
    rows = connection.execute(
        "SELECT proname FROM pg_proc WHERE prosecdef AND prorettype = 'trigger'::regtype"
        " AND pronamespace = 'public'::regnamespace"
    ).fetchall()
    assert len(rows) > 3
    return [name for (name,) in rows]


def documented() -> list[str]:
    """Return the statements of docs/database.md that are for PostgreSQL."""
    _, _, section = DOCS.read_text(encoding="utf-8").partition("### On PostgreSQL")
    written = re.findall(r"^ {8}(.*)$", section.partition("\n## ")[0], re.MULTILINE)
    return [sql.strip() for sql in "\n".join(written).split(";") if sql.strip()]


def test_another_program_needs_no_right_to_other_tables_than_it_writes(
    made: PostgresDatabase, ours: psycopg.Connection
) -> None:
    ours.execute("INSERT INTO alerts (reminder_id, updated_at) VALUES ('r2', 1)")
    assert len(documented()) > 3
    with made.connect() as admin:
        admin.execute("DROP ROLE IF EXISTS clinic_program")
        admin.execute("CREATE ROLE clinic_program")
        try:
            for sql in documented():
                admin.execute(sql.encode())
            admin.execute("SET ROLE clinic_program")
            for sql in (*WAIT_FOR_THEIR_TURN, *WAIT_FOR_NOBODY):
                if "settings" not in sql:
                    admin.execute(sql.encode())
            admin.execute("DELETE FROM reminders")
            admin.execute("SELECT 1 FROM changes, call_logs, call_reminders")
            for sql in ("DELETE FROM changes", "UPDATE call_logs SET wake_at = 1", "SELECT value FROM settings"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    admin.execute(sql.encode())
            admin.execute("CREATE TEMP TABLE own (id TEXT)")
            for function in owners_functions(admin):
                trigger = f"CREATE TRIGGER own AFTER DELETE ON own FOR EACH ROW EXECUTE FUNCTION {function}()"
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    admin.execute(trigger.encode())
        finally:
            admin.execute("RESET ROLE")
            admin.execute("DROP OWNED BY clinic_program")
            admin.execute("DROP ROLE clinic_program")
    assert ours.execute("SELECT count(*) FROM alerts").fetchone() == (0,)
    assert ours.execute("SELECT count(*) > 3 FROM changes").fetchone() == (True,)


def test_triggers_find_our_tables_whatever_the_path_of_the_program(
    ours: psycopg.Connection, foreign: psycopg.Connection
) -> None:
    foreign.execute("CREATE TEMP TABLE changes (seq BIGINT)")
    foreign.execute("CREATE TEMP TABLE call_logs (seq BIGINT)")
    foreign.execute("SET search_path = ''")
    foreign.execute("UPDATE public.reminders SET status = 'cancelled', message = 'another' WHERE id = 'r1'")
    foreign.execute("DELETE FROM public.reminders WHERE id = 'r2'")
    foreign.execute("DELETE FROM public.appointments")
    foreign.execute("INSERT INTO public.opt_outs (phone_number) VALUES ('+12025550147')")
    foreign.execute(
        "INSERT INTO public.reminders (id, phone_number, message, scheduled_at) VALUES ('r3', '+49', 'm', 1)"
    )
    rows = ours.execute("SELECT subject_id, status FROM changes ORDER BY seq").fetchall()
    assert rows == [("r1", "cancelled")]


def test_the_tables_may_be_in_a_schema_of_their_own(empty: PostgresDatabase) -> None:
    with connected(empty) as connection:
        connection.execute('CREATE SCHEMA "Reminder Calls"')
        connection.execute("CREATE TABLE public.reminders (id BIGINT)")
        connection.execute('SET search_path = "Reminder Calls"')
        assert make_or_check(connection, migrations())
        assert make_or_check(connection, migrations()) == []
        connection.execute("RESET search_path")
        own = '"Reminder Calls".reminders'
        connection.execute(
            f"INSERT INTO {own} (id, phone_number, message, scheduled_at) VALUES ('r', '+49', 'm', 1)".encode()
        )
        connection.execute(f"UPDATE {own} SET status = 'cancelled'".encode())
        assert connection.execute('SELECT status FROM "Reminder Calls".changes').fetchall() == [("cancelled",)]


def test_text_is_ordered_by_its_bytes(ours: psycopg.Connection) -> None:
    """The server of these tests would order it as a language does."""
    ours.execute("DELETE FROM reminders")
    for name in ("ä", "a", "B"):
        ours.execute(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (%s, '+49', 'm', 1)", (name,)
        )
    assert [name for (name,) in ours.execute("SELECT id FROM reminders ORDER BY id")] == ["B", "a", "ä"]


def test_ids_that_the_database_makes_are_as_in_sqlite(ours: psycopg.Connection) -> None:
    ours.execute(WRITES["call_logs"].encode())
    ours.execute("UPDATE reminders SET status = 'cancelled'")
    pattern = "^[0-9a-f]{32}$"
    assert ours.execute("SELECT count(*) FROM changes WHERE event_id ~ %s", (pattern,)).fetchone() == (2,)
    assert ours.execute("SELECT count(*) FROM call_logs WHERE id ~ %s", (pattern,)).fetchone() == (1,)


def test_the_time_of_a_row_is_that_of_its_statement_not_of_its_transaction(ours: psycopg.Connection) -> None:
    with ours.transaction():
        ours.execute("SELECT pg_sleep(0.01)")
        row = ours.execute(
            "SELECT reminderd_now() - floor(extract(epoch FROM transaction_timestamp()) * 1000)"
        ).fetchone()
    assert row is not None
    assert 10 <= row[0] < 60_000


def test_a_dump_is_restored_with_its_triggers(
    made: PostgresDatabase, empty: PostgresDatabase, ours: psycopg.Connection
) -> None:
    ours.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'r1'")
    ours.execute("INSERT INTO audit (at, actor, act) VALUES (1, 'anna', 'cancel')")
    server = made.server
    programs = Path((server.folder / "data/postmaster.opts").read_text().split()[0]).parent
    dumped = subprocess.run([programs / "pg_dump", made.url], check=True, capture_output=True).stdout
    command: list[str | Path] = [programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", empty.url]
    subprocess.run(command, input=dumped, check=True, capture_output=True)
    with connected(empty) as restored:
        assert make_or_check(restored, migrations()) == []
        restored.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'r2'")
        changes = restored.execute("SELECT subject_id FROM changes ORDER BY seq").fetchall()
        assert changes == [("r1",), ("r2",)]
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
            restored.execute("DELETE FROM audit")
