"""A database on a server as tasks use it: group commits, notifications, and a server that goes away."""

from collections.abc import AsyncIterator
from datetime import datetime

import pytest
import trio
from trio.testing import MockClock

from reminderd.clock import SystemClock
from reminderd.databases import PostgresServer
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, transaction
from reminderd.store.database import Database, open_database, open_reader
from reminderd.store.shared_state import put_setting, setting
from tests.support.builders import NOW
from tests.support.postgres import PostgresDatabase
from tests.support.waiting import PATIENCE

pytest.importorskip("psycopg")


@pytest.fixture
async def database(made: PostgresDatabase) -> AsyncIterator[Database]:
    async with open_database(PostgresServer(made.url), SystemClock()) as opened:
        yield opened


async def put(database: Database, key: str) -> None:
    await database.write(lambda connection, _now: put_setting(connection, key, ""))


async def until_it_listens(database: Database) -> None:
    while not await database.commits.another(0):
        pass


async def keys(database: Database) -> set[str]:
    return await database.read(lambda c: {row["key"] for row in c.execute("SELECT key FROM settings WHERE value = ''")})


async def test_writes_that_wait_together_are_committed_together_and_fail_alone(database: Database) -> None:
    failed: list[ValueError] = []

    def fail(connection: Connection, _now: datetime) -> None:
        put_setting(connection, "of the one that fails", "")
        raise ValueError

    async def expect_failure() -> None:
        try:
            await database.write(fail)
        except ValueError as error:
            failed.append(error)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(put, database, f"n{number}")
            nursery.start_soon(expect_failure)
    assert len(failed) == 5
    assert await keys(database) == {f"n{number}" for number in range(5)}
    assert database.failure is None


async def test_commits_of_others_are_noticed(database: Database, made: PostgresDatabase) -> None:
    def elsewhere() -> None:
        with open_sync(PostgresServer(made.url)) as other:
            transaction(other, lambda connection, _now: put_setting(connection, "elsewhere", ""), NOW)

    with trio.fail_after(PATIENCE):
        await until_it_listens(database)
        version = await database.commits.version()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, elsewhere)
            while not await database.commits.another(version):
                pass


async def test_a_change_by_another_programs_sql_is_noticed_too(database: Database, made: PostgresDatabase) -> None:
    with trio.fail_after(PATIENCE), made.connect() as other:
        await until_it_listens(database)
        version = await database.commits.version()
        other.execute("INSERT INTO opt_outs (phone_number) VALUES ('+12025550147')")
        while not await database.commits.another(version):
            pass


async def test_a_server_that_restarts_interrupts_nobody_for_long(database: Database, made: PostgresDatabase) -> None:
    await put(database, "before")
    await trio.to_thread.run_sync(made.server.restart)
    async with open_reader(database) as reader:
        await put(database, "after")
        assert await reader.read(lambda connection: setting(connection, "after")) == ""
    assert await keys(database) == {"before", "after"}


async def test_the_servers_clock_is_compared_with_ours(database: Database) -> None:
    await put(database, "a")
    assert abs(database.clock_offset.total_seconds()) < 1


async def test_without_notifications_it_is_time_to_look_every_five_seconds(autojump_clock: MockClock) -> None:
    from reminderd.store.postgres.on_trio import LOOK_ANYWAY, Notified  # noqa: PLC0415 - only with psycopg

    notified = Notified()
    version = await notified.version()
    for _ in range(2):
        before = trio.current_time()
        while not await notified.another(version):
            pass
        assert LOOK_ANYWAY <= trio.current_time() - before <= LOOK_ANYWAY + 1
    assert await notified.version() == version, "the pages show nothing new"
    assert autojump_clock.autojump_threshold == 0
