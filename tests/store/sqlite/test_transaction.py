from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from threading import Semaphore

import pytest

from reminderd.store.connection import snapshot, transaction
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.sqlite.driver import IntegrityError, OperationalError, SqliteConnection
from reminderd.store.sqlite.opening import open_sync
from tests.support.builders import NOW
from tests.support.store import setting_keys


def set_key(connection: SqliteConnection, key: str, value: str = "") -> None:
    connection.execute("INSERT INTO settings VALUES (?, ?)", (key, value))


def test_a_functions_changes_are_committed_and_its_result_returned(path: Path, connection: SqliteConnection) -> None:
    def write(connection: SqliteConnection, now: datetime) -> str:
        set_key(connection, "a", now.isoformat())
        return "done"

    assert transaction(connection, write, NOW) == "done"
    with open_sync(path) as other:
        assert other.execute("SELECT value FROM settings WHERE key = 'a'").fetchone()["value"] == NOW.isoformat()


def test_a_function_that_raises_changes_nothing(connection: SqliteConnection) -> None:
    def write(connection: SqliteConnection, _now: datetime) -> None:
        set_key(connection, "a")
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        transaction(connection, write, NOW)
    assert not connection.in_transaction
    assert setting_keys(connection) == []


def test_a_broken_constraint_is_raised_unchanged(connection: SqliteConnection) -> None:
    def write(connection: SqliteConnection, _now: datetime) -> None:
        set_key(connection, "a")
        set_key(connection, "a")

    with pytest.raises(IntegrityError, match="UNIQUE"):
        transaction(connection, write, NOW)
    assert setting_keys(connection) == []


def test_a_database_that_another_program_holds_is_unavailable(path: Path, connection: SqliteConnection) -> None:
    with open_sync(path) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="locked by another program"):
            transaction(connection, lambda c, _: set_key(c, "a"), NOW)
        assert setting_keys(connection) == []
        other.execute("ROLLBACK")
    transaction(connection, lambda c, _: set_key(c, "a"), NOW)
    assert setting_keys(connection) == ["a"]


def test_the_lock_is_requested_again_and_again(path: Path, connection: SqliteConnection) -> None:
    tries = Semaphore(0)
    connection.set_trace_callback(lambda sql: tries.release() if sql == "BEGIN IMMEDIATE" else None)
    with open_sync(path) as other, ThreadPoolExecutor(1) as thread:
        connection.execute("PRAGMA busy_timeout = 60000")
        other.execute("BEGIN IMMEDIATE")
        waiting = thread.submit(transaction, connection, lambda c, _: set_key(c, "a"), NOW)
        for _ in range(10):  # SQLite itself would count as one try
            assert tries.acquire(timeout=30)
        other.execute("ROLLBACK")
        waiting.result(timeout=30)
    assert setting_keys(connection) == ["a"]
    assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == 60_000


def test_a_full_disk_undoes_a_transaction_and_the_next_one_works(connection: SqliteConnection) -> None:
    def write(connection: SqliteConnection, _now: datetime) -> None:
        set_key(connection, "a")
        set_key(connection, "b", "x" * 1_000_000)

    limit = connection.execute("PRAGMA page_count").fetchone()[0] + 2
    connection.execute(f"PRAGMA max_page_count = {limit}")
    with pytest.raises(StoreUnavailableError, match="the disk is full"):
        transaction(connection, write, NOW)
    assert not connection.in_transaction
    connection.execute("PRAGMA max_page_count = 1000000")
    transaction(connection, write, NOW)
    assert setting_keys(connection) == ["a", "b"]


def test_a_snapshot_does_not_see_what_is_committed_meanwhile(path: Path, connection: SqliteConnection) -> None:
    def look_twice(connection: SqliteConnection) -> tuple[list[str], list[str]]:
        before = setting_keys(connection)
        with open_sync(path) as other:
            transaction(other, lambda c, _: set_key(c, "a"), NOW)
        return before, setting_keys(connection)

    assert snapshot(connection, look_twice) == ([], [])
    assert snapshot(connection, setting_keys) == ["a"]
    assert not connection.in_transaction


def test_a_snapshot_ends_when_its_function_raises(connection: SqliteConnection) -> None:
    with pytest.raises(OperationalError, match="no such table"):
        snapshot(connection, lambda c: c.execute("SELECT * FROM nowhere"))
    assert not connection.in_transaction


def test_rolling_back_without_a_transaction_does_nothing(connection: SqliteConnection) -> None:
    connection.roll_back()
    assert not connection.in_transaction
