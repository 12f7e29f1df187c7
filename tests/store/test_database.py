import math
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.testing
from attrs import frozen

from reminderd.databases import PostgresServer, SqliteFile, Target
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection
from reminderd.store.database import Database, open_database, until_stored
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.sqlite.driver import sqlite_warning
from tests.support.builders import MINUTE, NOW
from tests.support.clock import HandClock
from tests.support.store import setting_keys

T = TypeVar("T")


def setting(key: str) -> Callable[[Connection, datetime], datetime]:
    def insert(connection: Connection, now: datetime) -> datetime:
        connection.execute("INSERT INTO settings VALUES (?, '')", (key,))
        return now

    return insert


def stored(target: Target) -> list[str]:
    with open_sync(target) as connection:
        return setting_keys(connection)


async def test_a_write_gets_the_clocks_time_and_is_read_back(database: Database, clock: HandClock) -> None:
    assert await database.write(setting("a")) == NOW
    clock.advance(MINUTE)
    assert await database.write(setting("b"), wait=False) == NOW + MINUTE
    assert await database.read(setting_keys) == ["a", "b"]


async def test_a_read_sees_one_snapshot(database: Database, target: Target) -> None:
    def look_twice(connection: Connection) -> tuple[list[str], list[str]]:
        before = setting_keys(connection)
        with open_sync(target) as other:
            setting("a")(other, NOW)
        return before, setting_keys(connection)

    assert await database.read(look_twice) == ([], [])
    assert await database.read(setting_keys) == ["a"]


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnavailableError, match=r"read-?only"):
        await database.read(lambda connection: connection.execute("DELETE FROM settings").rowcount)


@pytest.mark.sqlite_only("PostgreSQL has no counter of commits to look at")
async def test_the_data_version_changes_with_every_commit(database: Database, connection: Connection) -> None:
    first = await database.commits.version()
    assert await database.commits.version() == first
    setting("a")(connection, NOW)
    second = await database.commits.version()
    await database.write(setting("b"))
    third = await database.commits.version()
    assert len({first, second, third}) == 3
    assert await database.commits.version() == third


@pytest.mark.sqlite_only("PostgreSQL has no counter of commits to look at")
async def test_a_look_for_commits_waits_neither_for_a_read_nor_for_a_lock(
    database: Database, connection: Connection
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(_connection: Connection) -> None:
        begun.set()
        go_on.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.read, slow)
        await trio.to_thread.run_sync(begun.wait)
        before = await database.commits.version()
        connection.begin()
        setting("a")(connection, NOW)
        while_locked = await database.commits.version()
        connection.commit()
        after = await database.commits.version()
        go_on.set()
    assert before == while_locked != after


@pytest.mark.sqlite_only("its write-ahead log")
async def test_a_commit_is_seen_in_a_log_that_was_emptied_or_begun_again(
    database: Database, connection: Connection
) -> None:
    for number, mode in enumerate(["PASSIVE", "FULL", "RESTART", "TRUNCATE"]):
        setting(f"before-{number}")(connection, NOW)
        connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        before = await database.commits.version()
        assert not await database.commits.another(before)
        setting(f"after-{number}")(connection, NOW)
        assert await database.commits.another(before)


@pytest.mark.sqlite_only("its warning")
async def test_a_database_has_its_target_and_the_librarys_warning(database: Database, target: Target) -> None:
    assert database.target == target
    assert [*database.warnings] == [warning for warning in (sqlite_warning(),) if warning is not None]


async def test_two_openers_of_one_file_see_each_others_writes(target: Target, clock: HandClock) -> None:
    async with open_database(target, clock) as one, open_database(target, clock) as two:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon((one, two)[number % 2].write, setting(f"{number:02}"))
        assert await one.read(setting_keys) == await two.read(setting_keys) == [f"{number:02}" for number in range(20)]


async def test_an_exception_of_the_body_is_raised_unchanged(target: Target, clock: HandClock) -> None:
    error = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug") as caught:  # noqa: PT012 - the block's end is what is tested
        async with open_database(target, clock) as database:
            await database.write(setting("a"))
            raise error
    assert caught.value is error
    assert stored(target) == ["a"]


async def test_an_exception_group_is_raised_unchanged(target: Target, clock: HandClock) -> None:
    with pytest.RaisesGroup(ValueError):
        async with open_database(target, clock), trio.open_nursery():
            raise ValueError("a bug")


async def test_cancelling_the_body_closes_the_database(target: Target, clock: HandClock) -> None:
    with trio.CancelScope() as scope:
        async with open_database(target, clock) as database:
            await database.write(setting("a"))
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    if isinstance(target, SqliteFile):
        assert [file.name for file in target.path.parent.iterdir()] == ["reminderd.db"]
    assert stored(target) == ["a"]


async def test_waiting_writes_are_finished_even_if_everything_is_cancelled(target: Target, clock: HandClock) -> None:
    """As when another part of the daemon breaks: what was learned of a call must not be lost with it."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(_connection: Connection, _now: datetime) -> None:
        begun.set()
        go_on.wait()

    with trio.CancelScope() as scope:
        async with open_database(target, clock) as database, trio.open_nursery() as nursery:
            nursery.start_soon(database.write, slow)
            await trio.to_thread.run_sync(begun.wait)
            nursery.start_soon(database.write, setting("a"))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            go_on.set()
    assert stored(target) == ["a"]


@pytest.mark.sqlite_only("its file")
async def test_a_cancelled_opening_opens_nothing(path: Path, clock: HandClock) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_database(SqliteFile(path), clock):
            pytest.fail("it was opened")
    assert not await trio.Path(path).exists()


async def test_accepted_writes_are_finished_before_closing(target: Target, clock: HandClock) -> None:
    closing = threading.Event()

    def slow(_connection: Connection, _now: datetime) -> None:
        closing.wait()

    async with trio.open_nursery() as nursery, open_database(target, clock) as database:
        nursery.start_soon(database.write, slow)
        for number in range(200):
            nursery.start_soon(database.write, setting(f"{number:03}"))
        await trio.testing.wait_all_tasks_blocked()
        closing.set()
    assert len(stored(target)) == 200


async def test_a_write_after_closing_is_refused(target: Target, clock: HandClock) -> None:
    async with open_database(target, clock) as database:
        pass
    with pytest.raises(StoreUnavailableError, match="being closed"):
        await database.write(setting("a"))


@pytest.mark.sqlite_only("its file")
async def test_the_wal_is_emptied_at_the_end_even_if_others_have_it_open(
    path: Path, clock: HandClock, connection: Connection
) -> None:
    log = path.with_name("reminderd.db-wal")
    async with open_database(SqliteFile(path), clock) as database:
        await database.write(setting("a"))
        assert log.stat().st_size > 0
    assert log.stat().st_size == 0
    assert setting_keys(connection) == ["a"]


async def test_a_reader_does_not_prevent_closing(target: Target, clock: HandClock, connection: Connection) -> None:
    async with open_database(target, clock, busy_timeout=timedelta(milliseconds=20)) as database:
        connection.begin_snapshot()
        assert setting_keys(connection) == []
        await database.write(setting("a"))
    connection.roll_back()
    assert setting_keys(connection) == ["a"]


@pytest.mark.sqlite_only("its statistics")
async def test_the_stored_query_statistics_contain_no_phone_numbers(path: Path, clock: HandClock) -> None:
    def many(connection: Connection, _now: datetime) -> None:
        rows = [(f"r{n}", f"+4930{n:07}") for n in range(2000)]
        connection.executemany(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (?, ?, '', 1)", rows
        )
        connection.execute("SELECT id FROM reminders WHERE phone_number = '+49300000001'").fetchall()
        connection.execute("DELETE FROM reminders WHERE id <> 'r1'")

    async with open_database(SqliteFile(path), clock) as database:
        await database.write(many)
    content = await trio.Path(path).read_bytes()
    assert b"+49300000001" in content
    assert b"+49300000002" not in content


async def test_a_refused_file_is_a_one_line_error(tmp_path: Path, clock: HandClock) -> None:
    with pytest.raises(StoreUnusableError, match="there is no folder"):
        async with open_database(SqliteFile(tmp_path / "missing" / "x.db"), clock):
            pytest.fail("it was opened")


@frozen
class VirtualClock:
    def now(self) -> datetime:
        return NOW + timedelta(seconds=math.floor(trio.current_time()))

    def monotonic(self) -> float:
        return trio.current_time()


async def inline(call: Callable[[], T], /) -> T:
    await trio.lowlevel.checkpoint()
    return call()


@pytest.mark.sqlite_only("PostgreSQL is listened to on a thread")
async def test_with_an_inline_runner_no_virtual_time_passes(
    target: Target, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_database(target, VirtualClock(), runner=inline) as database:
        await database.write(setting("a"))
        assert autojump_clock.current_time() == 0
        await trio.sleep(60)
        assert await database.write(setting("b")) == NOW + MINUTE
        assert await database.read(setting_keys) == ["a", "b"]


def test_without_psycopg_a_server_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("reminderd.store.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreUnusableError, match=r"pip install 'reminderd\[postgres\]'"):
        open_sync(PostgresServer("postgresql:///clinic"))


async def test_a_write_is_repeated_until_it_succeeds(autojump_clock: trio.testing.MockClock) -> None:
    tries = 0

    async def write() -> str:
        nonlocal tries
        tries += 1
        if tries < 12:
            raise StoreUnavailableError("the disk is full")
        return "stored"

    assert await until_stored(write) == "stored"
    assert tries == 12
    assert 30 < autojump_clock.current_time() < 60


async def test_a_write_that_succeeds_at_once_does_not_wait(autojump_clock: trio.testing.MockClock) -> None:
    async def write() -> str:
        return "stored"

    assert await until_stored(write) == "stored"
    assert autojump_clock.current_time() == 0
