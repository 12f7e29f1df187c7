"""Machines are upgraded one after the other: this version continues after a newer one has added to the tables."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from reminderd.clock import SystemClock
from reminderd.core.answers import Accepted
from reminderd.core.model import Response, Status
from reminderd.databases import PostgresServer
from reminderd.store.any_engine import open_sync
from reminderd.store.database import open_database
from reminderd.store.errors import StoreUnusableError
from reminderd.store.migrations import Migration
from reminderd.store.opt_outs import opt_in, opt_out
from reminderd.store.postgres.shared_schema import migrate, migrations
from reminderd.store.queries import ReminderFilter, calls_of, find_reminder, list_reminders
from reminderd.store.shared_state import paused
from tests.support import schemas
from tests.support.builders import a_report
from tests.support.postgres import USER, PostgresDatabase
from tests.support.store import Store

NEWEST = migrations()[-1].number
PREPARED = 7
"""So often a statement is executed until the server keeps a plan for it, which a new column would make useless."""


def columns_for_all_tables(database: PostgresDatabase) -> str:
    """Return statements of a made-up next step, which adds as much as a step may add without being needed."""
    with database.connect() as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    added = [f"ALTER TABLE {table} ADD COLUMN later TEXT COLLATE \"C\" NOT NULL DEFAULT '';" for (table,) in rows]
    return "\n".join(
        [
            *added,
            'CREATE TABLE more (id BIGINT PRIMARY KEY, reminder_id TEXT COLLATE "C");',
            "CREATE INDEX reminders_by_later ON reminders (later, id);",
            "ALTER TABLE call_logs ADD CONSTRAINT later_is_short CHECK (length(later) < 10);",
        ]
    )


def rows_in(connection: psycopg.Connection, columns: dict[str, list[str]]) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY {names[0]}".encode()).fetchall()
        for table, names in columns.items()
    }


def columns_in(connection: psycopg.Connection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "SELECT c.table_name, c.column_name FROM information_schema.columns AS c"
        " JOIN information_schema.tables AS t USING (table_schema, table_name)"
        " WHERE table_schema = 'public' AND t.table_type = 'BASE TABLE' ORDER BY c.ordinal_position"
    ):
        found.setdefault(table, []).append(column)
    return found


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_a_database_of_every_schema_is_migrated_to_the_newest_with_its_rows(
    empty: PostgresDatabase, version: int
) -> None:
    with empty.connect() as connection:
        migrate(connection, migrations()[:version])
        columns = columns_in(connection)
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM settings")  # the rows have a database_id of their own
        for table, row in schemas.ROWS:
            there = {column: value for column, value in row.items() if column in columns.get(table, ())}
            if there:
                marks = ", ".join("%s" for _ in there)
                sql = f"INSERT INTO {table} ({', '.join(there)}) VALUES ({marks})"
                connection.execute(sql.encode(), tuple(there.values()))
        connection.execute("RESET session_replication_role")
        del columns["schema_info"]
        before = rows_in(connection, columns)
        assert sum(map(len, before.values())) >= 12
        assert migrate(connection, migrations()) == [step.name for step in migrations()[version:]]
        assert rows_in(connection, columns) == before


@pytest.fixture
def upgrade(made: PostgresDatabase) -> Callable[[str], None]:
    """Return a function that does what `db migrate` of a newer version does, with a step that has this head."""

    def upgrade(head: str) -> None:
        step = Migration(NEWEST + 1, f"{NEWEST + 1:04}_later.sql", f"{head}\n{columns_for_all_tables(made)}")
        with made.server.connect(made.name, USER) as connection:
            assert migrate(connection, [*migrations(), step]) == [step.name]

    return upgrade


@pytest.fixture
def store(made: PostgresDatabase) -> Iterator[Store]:
    with open_sync(PostgresServer(made.url)) as connection:
        yield Store(connection, now=SystemClock().now())


def whole_trip(store: Store, number: int) -> None:
    """Write a reminder as another program does, call the patient, who confirms, and read the result."""
    name, phone = f"r{number}", f"+1202555{number:04}"
    store.insert(name, phone)
    [action] = store.claim()
    store.answer(action, Accepted(f"ext-{number}"))
    report = partial(a_report, external_call_id=f"ext-{number}", reminder_id=name, attempt_id=action.call.id)
    store.pick_up(report("in-progress"))
    store.press(report("in-progress"), "1")
    store.report(report("completed"))
    found = find_reminder(store.connection, name)
    assert found is not None
    assert (found["status"], found["response"]) == (Status.CALLED, Response.CONFIRMED)
    assert [call["status"] for call in calls_of(store.connection, name)] == ["completed"]
    assert name in {row["id"] for row in list_reminders(store.connection, wanted=ReminderFilter(), limit=99)}
    store.write(partial(opt_out, phone_number=phone, actor="anna", source="a letter", rules=store.rules))
    store.write(partial(opt_in, phone_number=phone, actor="anna"))


def test_a_daemon_goes_on_while_the_tables_are_added_to(store: Store, upgrade: Callable[[str], None]) -> None:
    for number in range(PREPARED):
        whole_trip(store, number)
    upgrade("-- Adds something.")
    for number in range(PREPARED, 2 * PREPARED):
        whole_trip(store, number)
    assert store.count("webhook_receipts") == 2 * PREPARED


def test_a_daemon_that_starts_after_that_goes_on_too(made: PostgresDatabase, upgrade: Callable[[str], None]) -> None:
    upgrade("-- Adds something.")
    with open_sync(PostgresServer(made.url)) as connection:
        whole_trip(Store(connection, now=SystemClock().now()), 1)


def test_before_its_next_transaction_a_daemon_stops_that_the_tables_have_no_place_for(
    store: Store, upgrade: Callable[[str], None]
) -> None:
    whole_trip(store, 1)
    upgrade(f"-- needs: {NEWEST + 1}")
    with pytest.raises(StoreUnusableError, match="upgraded by a newer reminderd"):
        store.write(partial(opt_in, phone_number="+12025550147", actor="anna"))
    assert store.count("audit") == 3
    assert store.connection.in_transaction is False


async def test_its_tasks_are_told_so(made: PostgresDatabase, upgrade: Callable[[str], None]) -> None:
    async with open_database(PostgresServer(made.url), SystemClock()) as database:
        upgrade(f"-- needs: {NEWEST + 1}")
        for _ in range(2):
            with pytest.raises(StoreUnusableError, match="upgraded by a newer reminderd"):
                await database.write(lambda connection, _now: connection.execute("DELETE FROM settings").rowcount)
        assert await database.read(paused) is False


def test_a_program_that_is_too_old_is_told_so_at_its_start(
    made: PostgresDatabase, upgrade: Callable[[str], None]
) -> None:
    upgrade(f"-- needs: {NEWEST + 1}")
    with (
        pytest.raises(StoreUnusableError, match="upgrade reminderd on this machine, too"),
        open_sync(PostgresServer(made.url)),
    ):
        pass


def test_a_column_that_was_added_can_be_used_at_once_by_the_newer_version(
    store: Store, made: PostgresDatabase, upgrade: Callable[[str], None]
) -> None:
    """The triggers' functions and their plans are older than the column."""
    store.insert()
    upgrade("-- Adds something.")
    with made.connect() as newer:
        newer.execute("UPDATE reminders SET later = 'x', status = 'cancelled' WHERE id = 'r1'")
        assert newer.execute("SELECT later, status FROM reminders").fetchall() == [("x", "cancelled")]
        assert newer.execute("SELECT status, later FROM changes").fetchall() == [("cancelled", "")]
