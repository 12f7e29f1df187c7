"""Our connection to a server: what is sent when, and what a lost connection leaves."""

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from threading import Thread
from typing import Any

import pytest

from reminderd.databases import PostgresServer
from reminderd.store.connection import Connection, snapshot, transaction
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.shared_state import database_id, put_setting, setting
from tests.support.builders import NOW
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import until_in_thread

psycopg = pytest.importorskip("psycopg")

from reminderd.store.any_engine import open_sync  # noqa: E402
from reminderd.store.postgres import driver  # noqa: E402 - only with psycopg
from reminderd.store.postgres.driver import PostgresConnection  # noqa: E402
from reminderd.store.postgres.sessions import connect, open_connection, open_read_only  # noqa: E402
from reminderd.store.postgres.statements import with_placeholders  # noqa: E402


@pytest.fixture
def server(made: PostgresDatabase) -> PostgresServer:
    return PostgresServer(made.url)


@pytest.fixture
def opened(server: PostgresServer) -> Iterator[PostgresConnection]:
    with closing(open_connection(server)) as connection:
        yield connection


def put(key: str, value: str = "") -> Callable[[Connection, datetime], None]:
    return lambda connection, _now: put_setting(connection, key, value)


def end_sessions(made: PostgresDatabase) -> None:
    """End all sessions of others with the database, as a restart of the server does."""
    with made.connect() as other:
        other.execute(
            b"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            b" WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def messages_of(connection: PostgresConnection, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count in a list, from now on, how many statements each message to the server has."""
    sizes: list[int] = []
    flush = PostgresConnection._flush

    def counted(self: PostgresConnection) -> None:
        if self._waiting and self is connection:
            sizes.append(len(self._waiting))
        flush(self)

    monkeypatch.setattr(PostgresConnection, "_flush", counted)
    return sizes


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT :a, :a_2 FROM x", "SELECT %(a)s, %(a_2)s FROM x"),
        ("SELECT x::text, ':no', '100%' FROM x", "SELECT x::text, ':no', '100%%' FROM x"),
        ("SELECT 'it''s :no' -- :neither\n, :yes", "SELECT 'it''s :no' -- :neither\n, %(yes)s"),
        ("SELECT 5 % 2, ?", "SELECT 5 %% 2, %s"),
    ],
)
def test_parameters_are_translated_and_nothing_else(sql: str, expected: str) -> None:
    assert with_placeholders(sql) == expected


def test_a_row_has_its_columns_by_name_and_by_place(opened: PostgresConnection) -> None:
    def read(connection: Connection) -> Any:
        return connection.execute("SELECT 1 AS one, :two AS two", {"two": "2"}).fetchone()

    row = snapshot(opened, read)
    assert (row["one"], row[1], row[0:2], row.keys(), [*row]) == (1, "2", (1, "2"), ["one", "two"], [1, "2"])


def test_a_sum_is_an_integer(opened: PostgresConnection) -> None:
    total = snapshot(
        opened, lambda c: c.execute("SELECT sum(n) FROM (SELECT 1 AS n UNION ALL SELECT 2) AS x").fetchone()
    )
    assert type(total[0]) is int


def test_writes_that_nobody_reads_are_sent_with_the_next_statement(
    opened: PostgresConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = messages_of(opened, monkeypatch)

    def write(connection: Connection, now: datetime) -> None:
        put("a")(connection, now)
        put("b")(connection, now)
        assert setting(connection, "b") == ""
        put("c")(connection, now)

    transaction(opened, write, NOW)
    assert sizes == [3, 3], "the last one with all that ends the transaction"


def test_an_error_of_a_write_that_nobody_read_undoes_the_transaction(opened: PostgresConnection) -> None:
    def write(connection: Connection, now: datetime) -> None:
        put("a")(connection, now)
        connection.execute("INSERT INTO settings (key, value) VALUES ('a', 'twice')")

    with pytest.raises(psycopg.errors.UniqueViolation):
        transaction(opened, write, NOW)
    assert snapshot(opened, lambda c: setting(c, "a")) is None


def test_an_error_within_a_savepoint_is_known_at_its_end(opened: PostgresConnection) -> None:
    def write(connection: Connection, now: datetime) -> None:
        put("a")(connection, now)
        connection.execute("SAVEPOINT one")
        try:
            connection.execute("INSERT INTO settings (key, value) VALUES ('a', 'twice')")
            connection.execute("RELEASE one")
        except psycopg.errors.UniqueViolation:
            connection.execute("ROLLBACK TO one")
            connection.execute("RELEASE one")
        put("b")(connection, now)

    transaction(opened, write, NOW)
    assert snapshot(opened, lambda c: (setting(c, "a"), setting(c, "b"))) == ("", "")


def test_a_transaction_that_swallowed_an_error_is_not_taken_for_committed(opened: PostgresConnection) -> None:
    def write(connection: Connection, now: datetime) -> None:
        with suppress(psycopg.errors.UniqueViolation):
            put("a")(connection, now)
            connection.execute("INSERT INTO settings (key, value) VALUES ('a', 'twice')").fetchall()

    with pytest.raises(StoreUnavailableError, match="had failed before"):
        transaction(opened, write, NOW)
    assert snapshot(opened, lambda c: setting(c, "a")) is None


def test_what_follows_a_lost_connection_is_not_done_on_another_one(
    made: PostgresDatabase, opened: PostgresConnection
) -> None:
    def write(connection: Connection, now: datetime) -> None:
        end_sessions(made)
        with suppress(psycopg.OperationalError):
            setting(connection, "a")
        put("without the lock")(connection, now)

    with pytest.raises(StoreUnavailableError, match="nothing was written"):
        transaction(opened, write, NOW)
    assert snapshot(opened, lambda c: setting(c, "without the lock")) is None


def test_the_time_is_the_servers(opened: PostgresConnection, made: PostgresDatabase) -> None:
    with made.connect() as other:
        before = other.execute("SELECT reminderd_now()").fetchone()
        time = transaction(opened, lambda _c, now: now, NOW)
        after = other.execute("SELECT reminderd_now()").fetchone()
    assert before is not None
    assert after is not None
    assert before[0] <= time.timestamp() * 1000 <= after[0]


def test_a_snapshot_sees_one_state_and_locks_and_writes_nothing(
    server: PostgresServer, opened: PostgresConnection
) -> None:
    def read(connection: Connection) -> None:
        assert connection.for_update == connection.skip_locked == ""
        assert setting(connection, "a") is None
        with open_sync(server) as other:
            transaction(other, put("a"), NOW)
        assert setting(connection, "a") is None
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM settings").fetchall()

    snapshot(opened, read)
    assert snapshot(opened, lambda c: setting(c, "a")) == ""


def test_only_one_transaction_of_the_cluster_writes_at_a_time(
    server: PostgresServer, opened: PostgresConnection
) -> None:
    seen: list[str | None] = []

    def elsewhere() -> None:
        with open_sync(server) as other:
            transaction(other, lambda c, _now: seen.append(setting(c, "a")), NOW)

    thread = Thread(target=elsewhere)

    def write(connection: Connection, now: datetime) -> None:
        thread.start()
        until_somebody_waits(connection)
        put("a", "first")(connection, now)

    transaction(opened, write, NOW)
    thread.join()
    assert seen == ["first"], "what was committed while it waited for the lock"


def until_somebody_waits(connection: Connection) -> None:
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    until_in_thread(lambda: connection.execute(waiting).fetchone()[0])


def test_after_its_session_has_ended_a_connection_reads_and_writes_again(
    made: PostgresDatabase, opened: PostgresConnection
) -> None:
    transaction(opened, put("a"), NOW)
    end_sessions(made)
    assert snapshot(opened, lambda c: setting(c, "a")) == ""
    end_sessions(made)
    transaction(opened, put("b"), NOW)
    assert snapshot(opened, lambda c: setting(c, "b")) == ""


def test_a_transaction_that_loses_its_connection_is_made_again(
    made: PostgresDatabase, opened: PostgresConnection
) -> None:
    attempts: list[int] = []

    def write(connection: Connection, now: datetime) -> None:
        attempts.append(1)
        put(f"attempt {len(attempts)}")(connection, now)
        if len(attempts) == 1:
            end_sessions(made)
        assert setting(connection, "nothing") is None

    transaction(opened, write, NOW)
    keys = snapshot(
        opened, lambda c: [row[0] for row in c.execute("SELECT key FROM settings WHERE key LIKE 'attempt%'")]
    )
    assert keys == ["attempt 2"]


def test_a_transaction_that_the_server_has_ended_as_idle_is_repeated(
    opened: PostgresConnection,
) -> None:
    attempts: list[int] = []

    def write(connection: Connection, now: datetime) -> None:
        attempts.append(1)
        put(f"attempt {len(attempts)}")(connection, now)
        if len(attempts) == 1:
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 1")
            raw = opened._usable
            assert setting(connection, "nothing") is None  # sent in one message with what is before it
            ended, _, _ = select.select([raw.fileno()], [], [], 10.0)
            assert ended, "or it would keep the cluster write lock"
        assert setting(connection, "nothing") is None

    transaction(opened, write, NOW)
    keys = snapshot(
        opened, lambda c: [row[0] for row in c.execute("SELECT key FROM settings WHERE key LIKE 'attempt%'")]
    )
    assert keys == ["attempt 2"]


@pytest.mark.parametrize("error", [psycopg.OperationalError, psycopg.DatabaseError])  # see `error_codes`
@pytest.mark.parametrize("has_happened", [True, False])
def test_a_commit_whose_answer_is_lost_is_resolved_by_its_mark(
    opened: PostgresConnection, monkeypatch: pytest.MonkeyPatch, has_happened: bool, error: type[Exception]
) -> None:
    transaction(opened, put("before"), NOW)
    flush = PostgresConnection._flush

    def cut(self: PostgresConnection) -> None:
        is_commit = any(rows.sql == "COMMIT" for rows in self._waiting)
        if is_commit and has_happened:
            flush(self)
        if is_commit:
            monkeypatch.setattr(PostgresConnection, "_flush", flush)
            sever(self)
            raise error("the line was cut")
        flush(self)

    monkeypatch.setattr(PostgresConnection, "_flush", cut)
    if has_happened:
        transaction(opened, put("a"), NOW)
    else:
        with pytest.raises(StoreUnavailableError, match="nothing was written"):
            transaction(opened, put("a"), NOW)
    assert snapshot(opened, lambda c: setting(c, "a")) == ("" if has_happened else None)
    transaction(opened, put("after"), NOW)


def test_a_lost_commit_without_its_mark_is_not_taken_for_undone(
    made: PostgresDatabase, opened: PostgresConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = PostgresConnection._flush

    def cut(self: PostgresConnection) -> None:
        flush(self)
        monkeypatch.setattr(PostgresConnection, "_flush", flush)
        with made.connect() as other:
            other.execute("DELETE FROM commit_marks")
        sever(self)
        raise psycopg.OperationalError("the line was cut")

    def write(connection: Connection, now: datetime) -> None:
        put("a")(connection, now)
        monkeypatch.setattr(PostgresConnection, "_flush", cut)

    with pytest.raises(StoreUnavailableError, match="is unknown"):
        transaction(opened, write, NOW)


def sever(connection: PostgresConnection) -> None:
    """Cut the network, without a word to the server."""
    raw = connection._raw
    assert raw is not None
    line = socket.socket(fileno=raw.fileno())
    line.shutdown(socket.SHUT_RDWR)
    line.detach()  # libpq closes it


def test_a_commit_whose_outcome_is_unknown_is_reported_as_unknown(
    opened: PostgresConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "_KNOW_WITHIN", 0.05)

    def gone(_self: PostgresConnection) -> None:
        raise psycopg.OperationalError("the line was cut")

    def write(connection: Connection, now: datetime) -> None:
        put("a")(connection, now)
        monkeypatch.setattr(PostgresConnection, "_flush", gone)
        monkeypatch.setattr(opened, "_connect", partial(connect, PostgresServer("postgresql://127.0.0.1:1/nowhere")))

    with pytest.raises(StoreUnavailableError, match="unknown until it answers again"):
        transaction(opened, write, NOW)


def test_a_database_upgraded_meanwhile_is_not_written_by_a_program_too_old_for_it(
    made: PostgresDatabase, opened: PostgresConnection
) -> None:
    transaction(opened, put("a"), NOW)
    with made.connect() as other:
        other.execute("UPDATE schema_info SET version = version + 1")
        transaction(opened, put("still"), NOW)
        other.execute("UPDATE schema_info SET needs = version")
    with pytest.raises(StoreUnusableError, match="upgrade reminderd on this machine"):
        transaction(opened, put("b"), NOW)
    with made.connect() as other:
        other.execute("UPDATE schema_info SET version = version - 1, needs = 1")


def test_nul_is_refused_before_anything_is_sent(opened: PostgresConnection) -> None:
    with pytest.raises(psycopg.DataError):
        transaction(opened, put("a\0b"), NOW)
    assert not opened.in_transaction


def test_looking_makes_no_tables(empty: PostgresDatabase) -> None:
    with pytest.raises(StoreUnusableError, match="no tables yet"), open_read_only(PostgresServer(empty.url)):
        pass
    open_connection(PostgresServer(empty.url)).close()
    with open_read_only(PostgresServer(empty.url)) as connection:
        assert snapshot(connection, lambda c: setting(c, "paused")) is None


def test_each_database_has_an_id_of_its_own(empty: PostgresDatabase, opened: PostgresConnection) -> None:
    with open_sync(PostgresServer(empty.url)) as another:
        ids = {snapshot(connection, database_id) for connection in (opened, another)}
    assert len(ids) == 2
    assert None not in ids
