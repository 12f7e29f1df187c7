import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

import reminderd
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.migrations import Migration
from reminderd.store.postgres import shared_schema
from reminderd.store.postgres.shared_schema import (
    CLUSTER_WRITE_LOCK,
    Schema,
    make_or_check,
    migrate,
    migrations,
    refuse_if_it_needs_more,
    schema_of,
)
from reminderd.store.sqlite import migrate as sqlite_migrate
from tests.support.postgres import USER, PostgresDatabase

NEWEST = migrations()[-1].number

# Counts the steps that it finds in the archive named by its argument.
FROM_ARCHIVE = """
import sys
sys.path.insert(0, sys.argv[1])
from reminderd.store import migrations
print(migrations.__file__, len(migrations.migrations_of("reminderd.store.postgres")))
"""

Connection = psycopg.Connection[Any]


@pytest.fixture
def plain(empty: PostgresDatabase) -> Iterator[Connection]:
    """Yield a connection to an empty database, as its owner."""
    with empty.server.connect(empty.name, USER) as connection:
        yield connection


@pytest.fixture
def other(empty: PostgresDatabase) -> Iterator[Connection]:
    with empty.server.connect(empty.name, USER) as connection:
        yield connection


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_schema, "_BEGIN", shared_schema._BEGIN.replace("'5s'", "'20ms'"))


def later(number: int, sql: str) -> Migration:
    return Migration(number, f"{number:04}_later.sql", sql)


ADDS = later(NEWEST + 1, "-- Adds something.\nALTER TABLE reminders ADD COLUMN later TEXT;\n")
BREAKS = later(
    NEWEST + 1, f"-- needs: {NEWEST + 1}\n-- Means something else.\nALTER TABLE reminders DROP COLUMN source;\n"
)


def tables(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {name for (name,) in rows}


def add(connection: Connection) -> None:
    connection.execute("INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES ('r', '+49', 'm', 1)")


def test_migrations_have_the_numbers_and_names_of_sqlites() -> None:
    assert [step.name for step in migrations()] == [step.name for step in sqlite_migrate.migrations()]


def test_migrations_are_found_in_an_installed_package(tmp_path: Path) -> None:
    package = Path(next(iter(reminderd.__path__)))
    archive = tmp_path / "installed.zip"
    with zipfile.ZipFile(archive, "w") as files:
        for file in [*package.glob("*.py"), *package.glob("store/**/*.*")]:
            files.write(file, file.relative_to(package.parent))
    done = subprocess.run(
        [sys.executable, "-c", FROM_ARCHIVE, archive], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.split() == [f"{archive}/reminderd/store/migrations.py", str(len(migrations()))]


@pytest.mark.parametrize("begin", [make_or_check, migrate])
def test_an_empty_database_gets_all_tables(plain: Connection, begin: Any) -> None:
    assert schema_of(plain) is None
    assert begin(plain, migrations()) == [step.name for step in migrations()]
    assert schema_of(plain) == Schema(version=NEWEST, needs=1)
    assert begin(plain, migrations()) == []


def test_what_an_extension_has_made_is_nobodys_table(empty: PostgresDatabase, plain: Connection) -> None:
    with empty.connect() as admin:
        admin.execute("CREATE EXTENSION pg_stat_statements")
    assert make_or_check(plain, migrations())


@pytest.mark.parametrize("begin", [make_or_check, migrate])
@pytest.mark.parametrize(
    "foreign",
    ["CREATE TABLE patients (id INT)", "CREATE TABLE schema_info (version INT)", "CREATE VIEW reminders AS SELECT 1"],
)
def test_another_programs_database_is_refused(plain: Connection, foreign: bytes, begin: Any) -> None:
    plain.execute(foreign)
    before = tables(plain)
    with pytest.raises(StoreUnusableError, match="made by another program, not by reminderd"):
        begin(plain, migrations())
    assert tables(plain) == before


def test_a_database_that_does_not_say_its_schema_is_refused(plain: Connection) -> None:
    make_or_check(plain, migrations())
    plain.execute("DELETE FROM schema_info")
    with pytest.raises(StoreUnusableError, match="schema_info is empty"):
        migrate(plain, migrations())


def test_an_older_database_is_upgraded_only_on_request(plain: Connection) -> None:
    make_or_check(plain, migrations())
    add(plain)
    with pytest.raises(
        StoreUnusableError, match=f"schema {NEWEST}, this one has {NEWEST + 1}.*run reminderd db migrate"
    ):
        make_or_check(plain, [*migrations(), ADDS])
    assert schema_of(plain) == Schema(version=NEWEST, needs=1)
    assert migrate(plain, [*migrations(), ADDS]) == [ADDS.name]
    assert plain.execute("SELECT id, later FROM reminders").fetchall() == [("r", None)]


def test_an_older_program_goes_on_after_a_step_that_only_adds(plain: Connection) -> None:
    migrate(plain, [*migrations(), ADDS])
    assert schema_of(plain) == Schema(version=NEWEST + 1, needs=1)
    assert make_or_check(plain, migrations()) == []
    assert migrate(plain, migrations()) == []


def test_an_older_program_stops_after_a_step_that_it_cannot_live_with(plain: Connection) -> None:
    migrate(plain, [*migrations(), BREAKS])
    assert schema_of(plain) == Schema(version=NEWEST + 1, needs=NEWEST + 1)
    for begin in (make_or_check, migrate):
        with pytest.raises(StoreUnusableError, match=f"needs schema {NEWEST + 1}, this one knows {NEWEST}.*upgrade"):
            begin(plain, migrations())
    with pytest.raises(StoreUnusableError, match="upgrade reminderd on this machine, too"):
        refuse_if_it_needs_more(NEWEST + 1, newest=NEWEST)
    assert make_or_check(plain, [*migrations(), BREAKS]) == []


def test_what_a_database_needs_never_becomes_less(plain: Connection) -> None:
    last = later(NEWEST + 2, "SELECT 1;\n")
    migrate(plain, [*migrations(), BREAKS, last])
    assert schema_of(plain) == Schema(version=NEWEST + 2, needs=NEWEST + 1)


def test_a_comment_further_down_says_nothing_of_what_is_needed(plain: Connection) -> None:
    migrate(plain, [*migrations(), later(NEWEST + 1, f"SELECT 1;\n-- needs: {NEWEST + 1}\n")])
    assert schema_of(plain) == Schema(version=NEWEST + 1, needs=1)


def test_of_several_processes_one_does_all_the_work(empty: PostgresDatabase) -> None:
    def one(_: int) -> list[str]:
        with empty.server.connect(empty.name, USER) as connection:
            return make_or_check(connection, migrations())

    with ThreadPoolExecutor(4) as processes:
        done = sorted(processes.map(one, range(4)))
    assert done == [[], [], [], [step.name for step in migrations()]]


def test_a_failed_step_leaves_all_as_it_was(plain: Connection) -> None:
    make_or_check(plain, migrations())
    before = tables(plain)
    broken = later(NEWEST + 2, "CREATE TABLE half (x BIGINT);\nCREATE TABLE half (x BIGINT);\n")
    with pytest.raises(StoreUnusableError, match='relation "half" already exists; nothing was changed'):
        migrate(plain, [*migrations(), ADDS, broken])
    assert schema_of(plain) == Schema(version=NEWEST, needs=1)
    assert tables(plain) == before
    assert plain.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@pytest.mark.usefixtures("no_patience")
def test_the_tables_are_made_while_nobody_else_writes(plain: Connection, other: Connection) -> None:
    with other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", (CLUSTER_WRITE_LOCK,))
        with pytest.raises(StoreUnavailableError, match="another program has held a lock for 5 seconds"):
            make_or_check(plain, migrations())
    assert schema_of(plain) is None
    assert make_or_check(plain, migrations())


@pytest.mark.usefixtures("no_patience")
def test_a_transaction_that_another_program_has_left_open_does_not_stop_the_cluster(
    plain: Connection, other: Connection
) -> None:
    make_or_check(plain, migrations())
    with other.transaction():
        add(other)
        with pytest.raises(StoreUnavailableError, match="end its transaction"):
            migrate(plain, [*migrations(), ADDS])
        assert schema_of(plain) == Schema(version=NEWEST, needs=1)


def test_a_database_that_is_up_to_date_needs_no_lock(plain: Connection, other: Connection) -> None:
    make_or_check(plain, migrations())
    with other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", (CLUSTER_WRITE_LOCK,))
        assert migrate(plain, migrations()) == []
        assert make_or_check(plain, migrations()) == []


def test_another_encoding_than_utf8_is_refused(empty: PostgresDatabase) -> None:
    with empty.connect() as admin:
        admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'")
    try:
        with (
            empty.server.connect("latin") as connection,
            pytest.raises(StoreUnusableError, match="its encoding is LATIN1; expected UTF8"),
        ):
            make_or_check(connection, migrations())
    finally:
        empty.server.drop(PostgresDatabase(empty.server, "latin"))


def test_without_a_schema_there_is_no_place_for_tables(plain: Connection) -> None:
    plain.execute("SET search_path = nowhere")
    with pytest.raises(StoreUnusableError, match="no schema in the search_path exists"):
        make_or_check(plain, migrations())


def test_who_may_not_make_tables_is_told(empty: PostgresDatabase) -> None:
    with empty.connect() as admin:
        admin.execute("SET ROLE pg_monitor")
        with pytest.raises(
            StoreUnusableError, match="permission denied for schema public; nothing was changed: use the role"
        ):
            make_or_check(admin, migrations())


def test_a_server_that_is_too_old_is_refused(plain: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_schema, "OLDEST_SERVER", 99)
    with pytest.raises(StoreUnusableError, match=r"PostgreSQL 1\d\.\S+( \(.+\))? is too old: expected 99 or later"):
        make_or_check(plain, migrations())


def test_a_lost_connection_is_said_in_one_line(empty: PostgresDatabase, plain: Connection) -> None:
    with empty.connect() as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (plain.info.backend_pid,))
    with pytest.raises(StoreUnavailableError) as caught:
        make_or_check(plain, migrations())
    assert "\n" not in str(caught.value)
