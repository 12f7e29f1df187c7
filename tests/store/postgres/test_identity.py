"""A server that may have forgotten calls is noticed, whatever has happened to it, and no other one is."""

import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
import trio
from loguru import logger

from reminderd.clock import SystemClock
from reminderd.core.server_identity import ServerIdentity, read_identity
from reminderd.databases import PostgresServer
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, transaction
from reminderd.store.database import Database, open_database
from reminderd.store.restored import SERVER, check_history, hold_after
from reminderd.store.shared_state import last_pause, paused, put_setting, set_pause, setting
from tests.support.builders import NOW, RULES
from tests.support.postgres import PostgresDatabase, program
from tests.support.rows import insert_row

DUMPED = "the database was restored from a dump, or moved to another server"


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    number = logger.add(lambda message: lines.append(message.record["message"]), level="WARNING")
    yield lines
    logger.remove(number)


@asynccontextmanager
async def a_daemon(made: PostgresDatabase, *, lossless: bool = False) -> AsyncIterator[Database]:
    """Open the database as the daemon does, and let it write."""
    look = partial(check_history, rules=RULES, failover_is_lossless=lossless)
    async with open_database(PostgresServer(made.url), SystemClock(), on_session=look) as opened:
        await note(opened)
        yield opened


async def note(database: Database) -> None:
    await database.write(lambda connection, _now: put_setting(connection, "a", "note"))


async def seen(made: PostgresDatabase, *, lossless: bool = False) -> str | None:
    """Return why dialing is paused once a daemon has opened the database; None: it is not."""
    async with a_daemon(made, lossless=lossless) as database:
        return await why_paused(database)


async def why_paused(database: Database) -> str | None:
    pause = await database.read(last_pause)
    return None if pause is None else str(pause["detail"]).partition(", last changed")[0]


def changed(made: PostgresDatabase, fn: Callable[[Connection, datetime], object]) -> None:
    with open_sync(PostgresServer(made.url)) as connection:
        transaction(connection, fn, NOW)


def known(made: PostgresDatabase) -> ServerIdentity:
    with open_sync(PostgresServer(made.url)) as connection:
        return read_identity(setting(connection, SERVER))


def with_a_due_reminder(made: PostgresDatabase) -> None:
    row = {"id": "r1", "phone_number": "+12025550001", "message": "Tomorrow at nine.", "scheduled_at": 1}
    changed(made, lambda connection, _now: insert_row(connection, "reminders", row))


def run(name: str, *arguments: str | Path) -> None:
    subprocess.run([program(name), *arguments], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def dumped(made: PostgresDatabase, file: Path) -> Path:
    run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={made.url}")
    return file


async def test_a_new_database_is_remembered_and_nothing_else_happens(made: PostgresDatabase, said: list[str]) -> None:
    assert known(made) == ServerIdentity()
    assert await seen(made) is None
    assert None not in (known(made).system, known(made).timeline, known(made).database, known(made).table)
    assert said == []


async def test_a_restart_an_upgrade_and_a_rewrite_of_the_tables_mean_nothing(
    made: PostgresDatabase, said: list[str]
) -> None:
    async with a_daemon(made) as database:
        await trio.to_thread.run_sync(made.server.restart)
        await note(database)
        with made.connect() as admin:
            admin.execute("VACUUM FULL")
            admin.execute("REINDEX TABLE settings")
        await note(database)
        assert await why_paused(database) is None
    assert await seen(made) is None
    assert said == []


async def test_a_restored_dump_pauses_dialing_and_holds_who_may_have_been_called(
    made: PostgresDatabase, tmp_path: Path, said: list[str]
) -> None:
    with_a_due_reminder(made)
    await seen(made)
    file = dumped(made, tmp_path / "dump")
    other = made.server.create()
    try:
        run("pg_restore", "--no-owner", f"--dbname={other.url}", file)
        assert await seen(other) == DUMPED
        [line] = said
        assert line == (
            f"{DUMPED}, so calls may have been forgotten: dialing is paused, and reminders that may have been called"
            " are marked as failed (1 reminder). Check them (reminderd list --needs-human), then run reminderd resume"
        )
        with other.connect() as admin:
            assert admin.execute("SELECT status, end_code FROM reminders").fetchall() == [("failed", "restored")]
        changed(other, partial(set_pause, on=False, reason=None, actor="anna"))
        assert await seen(other) is None, "once is enough"
    finally:
        made.server.drop(other)


async def test_a_dump_that_is_restored_under_running_daemons_is_noticed_once_at_their_next_writes(
    made: PostgresDatabase, tmp_path: Path, said: list[str]
) -> None:
    async with a_daemon(made) as first, a_daemon(made) as second:
        file = dumped(made, tmp_path / "dump")
        await note(first)
        await note(second)
        restore = ("--clean", "--if-exists", "--single-transaction", "--no-owner", f"--dbname={made.url}", file)
        await trio.to_thread.run_sync(partial(run, "pg_restore", *restore))
        await note(first)
        assert await why_paused(first) == DUMPED
        await second.write(partial(set_pause, on=False, reason=None, actor="anna"))
        assert await why_paused(second) is None
    assert len(said) == 1


async def test_a_copy_of_the_database_on_the_same_server_is_another_one(made: PostgresDatabase) -> None:
    await seen(made)
    with made.connect() as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    copy = made.server.create(made.name)
    try:
        assert await seen(copy) == DUMPED
    finally:
        made.server.drop(copy)


async def test_what_a_server_confirmed_and_has_no_more_was_lost(made: PostgresDatabase, said: list[str]) -> None:
    async with a_daemon(made) as database:
        with made.connect() as admin:  # as after the restore of a disk: it looks the same, and is older
            admin.execute("UPDATE commit_marks SET number = number - 1")
        await trio.to_thread.run_sync(made.server.restart)
        await note(database)
        assert await why_paused(database) == "the server has lost a commit that it had confirmed"
        await trio.to_thread.run_sync(made.server.restart)
        await note(database)
    assert len(said) == 1


async def test_a_server_whose_clock_is_behind_holds_who_was_due_when_the_lost_one_wrote_last(
    made: PostgresDatabase,
) -> None:
    async with a_daemon(made) as database:
        with made.connect() as admin:
            due = "reminderd_now() - 1800000"
            admin.execute(
                "INSERT INTO reminders (id, phone_number, message, scheduled_at, created_at, updated_at)"
                f" VALUES ('r1', '+12025550001', 'Tomorrow at nine.', {due}, 1, 1)".encode()
            )
            admin.execute("UPDATE commit_marks SET number = number - 1")
            admin.execute(
                "CREATE OR REPLACE FUNCTION reminderd_now() RETURNS BIGINT LANGUAGE sql AS"
                " $$ SELECT floor(extract(epoch FROM clock_timestamp() - interval '1 hour') * 1000)::BIGINT $$"
            )
        await trio.to_thread.run_sync(made.server.restart)
        await note(database)
        with made.connect() as admin:
            assert admin.execute("SELECT status, end_code FROM reminders").fetchall() == [("failed", "restored")]


async def test_a_mark_that_was_deleted_while_a_machine_slept_for_a_month_means_nothing(made: PostgresDatabase) -> None:
    async with a_daemon(made) as database:
        with made.connect() as admin:
            admin.execute(
                "CREATE OR REPLACE FUNCTION reminderd_now() RETURNS BIGINT LANGUAGE sql AS"
                " $$ SELECT floor(extract(epoch FROM clock_timestamp() + interval '31 days') * 1000)::BIGINT $$"
            )
        with open_sync(PostgresServer(made.url)):
            pass  # deletes old marks
        await trio.to_thread.run_sync(made.server.restart)
        await note(database)
        assert await why_paused(database) is None
        with made.connect() as admin:
            assert admin.execute("SELECT count(*) FROM commit_marks").fetchone() == (1,)


@pytest.mark.parametrize("lossless", [True, False])
async def test_a_new_timeline_counts_unless_failovers_are_lossless(
    made: PostgresDatabase, said: list[str], *, lossless: bool
) -> None:
    await seen(made)
    before = known(made)
    with made.connect() as admin:  # as if a copy of this server had been promoted
        admin.execute("UPDATE settings SET value = jsonb_set(value::jsonb, '{timeline}', '0') WHERE key = 'server'")
    why = "a standby has taken over, or the server was restored to an earlier time"
    assert await seen(made, lossless=lossless) == (None if lossless else why)
    assert known(made) == before
    assert len(said) == 1


async def test_a_server_that_does_not_say_which_one_it_is_is_known_by_its_tables(
    made: PostgresDatabase, tmp_path: Path
) -> None:
    functions = ("pg_control_system()", "pg_current_wal_lsn()")
    with made.connect() as admin:
        for function in functions:
            admin.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC".encode())
    try:
        assert await seen(made) is None
        assert known(made).system is known(made).timeline is None
        restored = made.server.create()
        run("pg_restore", "--no-owner", f"--dbname={restored.url}", dumped(made, tmp_path / "dump"))
        assert await seen(restored) == DUMPED
        made.server.drop(restored)
    finally:
        with made.connect() as admin:
            for function in functions:
                admin.execute(f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC".encode())
    assert await seen(made) is None, "that more is known now means nothing"
    assert known(made).system is not None


async def test_after_the_command_the_daemon_does_nothing_again(made: PostgresDatabase, tmp_path: Path) -> None:
    with_a_due_reminder(made)
    await seen(made)
    restored = made.server.create()
    try:
        run("pg_restore", "--no-owner", f"--dbname={restored.url}", dumped(made, tmp_path / "dump"))
        hold = partial(hold_after, actor="anna", why="the database was restored", rules=RULES)
        with open_sync(PostgresServer(restored.url)) as connection:
            _, held = transaction(connection, hold, NOW)
        assert [one.id for one in held] == ["r1"]
        assert await seen(restored) == "the database was restored"
    finally:
        made.server.drop(restored)


def test_later_calls_have_higher_numbers_even_where_the_sequence_is_behind(made: PostgresDatabase) -> None:
    with made.connect() as admin:
        admin.execute(
            "INSERT INTO call_logs (seq, reminder_id, phone_number, state, last_sign_at) VALUES (7, '', '', 'ended', 1)"
        )
    with open_sync(PostgresServer(made.url)) as connection:
        transaction(connection, lambda opened, _now: opened.skip_seq(), NOW)
        assert transaction(connection, lambda opened, _now: opened.skip_seq(), NOW) == 9
        assert not paused(connection)
