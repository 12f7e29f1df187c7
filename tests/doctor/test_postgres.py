"""What the doctor says of a database on a PostgreSQL server."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from attrs import evolve

from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.config.installation import DatabaseConfig, ResultsConfig
from reminderd.core.diagnosis import Finding, Mark
from reminderd.doctor.machine import check_database, check_drop_folder, check_files, check_server
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import transaction
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import remember_real_provider
from tests.doctor.conftest import marks_of
from tests.support.builders import NOW
from tests.support.postgres import PASSWORD, PostgresDatabase, server_of_this_process, skip_without_postgres
from tests.support.rows import insert_row

EMPTY = {
    "database": "good",
    "schema": "unknown",
    "server": "good",
    "encryption": "good",
    "durability": "wrong",  # the tests' own server is fast, not safe
    "server's clock": "good",
    "round trip": "good",
    "connections": "good",
}
WELL = EMPTY | {"schema": "good"}


@pytest.fixture
def database() -> Iterator[PostgresDatabase]:
    """Yield an empty one."""
    skip_without_postgres()
    server = server_of_this_process()
    made = server.create()
    yield made
    server.drop(made)


@pytest.fixture
def config(database: PostgresDatabase, tmp_path: Path) -> Config:
    return Config(database=DatabaseConfig(url=database.url, folder=tmp_path, state=tmp_path))


def looked(config: Config, *, seconds: float = 30) -> list[Finding]:
    found = trio.run(lambda: check_server(config, SystemClock(), seconds=seconds))
    assert PASSWORD not in str(found)
    return found


def add_a_reminder(config: Config) -> None:
    with open_sync(config.database.target) as connection:
        row = {"id": "r1", "phone_number": "+12025550100", "message": "Hi.", "scheduled_at": to_ms(NOW)}
        insert_row(connection, "reminders", row)


def test_an_empty_database_is_looked_at_and_stays_empty(config: Config, database: PostgresDatabase) -> None:
    assert marks_of(looked(config)) == EMPTY
    with database.connect() as other:
        assert other.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def test_a_sound_database_is_good(config: Config) -> None:
    add_a_reminder(config)
    assert marks_of(looked(config)) == WELL


def test_an_older_schema_is_reported_and_not_migrated(config: Config, database: PostgresDatabase) -> None:
    add_a_reminder(config)
    with database.connect() as other:
        other.execute("UPDATE schema_info SET version = version - 1")
    assert marks_of(looked(config)) == WELL | {"schema": "warning"}


def test_tables_of_a_newer_version_that_this_one_can_use_are_good(config: Config, database: PostgresDatabase) -> None:
    add_a_reminder(config)
    with database.connect() as other:
        other.execute("UPDATE schema_info SET version = 99")
    assert marks_of(looked(config)) == WELL
    with database.connect() as other:
        other.execute("UPDATE schema_info SET needs = 99")
    (found,) = looked(config)
    assert (found.mark, "upgrade reminderd on this machine" in found.text) == (Mark.WRONG, True)


def test_what_another_program_has_dropped_is_wrong(config: Config, database: PostgresDatabase) -> None:
    add_a_reminder(config)
    with database.connect() as other:
        other.execute("DROP INDEX call_logs_one_open_call")
    assert marks_of(looked(config)) == WELL | {"database": "wrong"}


def test_a_row_that_nobody_would_check_is_wrong(config: Config, database: PostgresDatabase) -> None:
    add_a_reminder(config)
    with database.connect() as other:
        other.execute("SET session_replication_role = replica")
        other.execute("UPDATE reminders SET wake_at = NULL")
    assert Mark.WRONG in {finding.mark for finding in looked(config) if finding.about == "database"}


def test_rows_that_take_too_long_to_read_are_not_checked(config: Config, database: PostgresDatabase) -> None:
    add_a_reminder(config)
    with database.connect() as other:
        other.execute(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at)"
            " SELECT CAST(n AS TEXT), '+12025550100', 'Hi.', 0 FROM generate_series(1, 20000) AS n"
        )
    assert marks_of(looked(config, seconds=0)) == WELL | {"database": "unknown"}


def test_a_database_that_run_would_refuse_without_a_provider_is_wrong(config: Config) -> None:
    with open_sync(config.database.target) as connection:
        transaction(connection, partial(remember_real_provider, kind="twilio"), NOW)
    assert Mark.WRONG in {finding.mark for finding in looked(config) if finding.about == "database"}


def test_results_that_were_not_received_are_looked_at(config: Config) -> None:
    add_a_reminder(config)
    config = evolve(config, results=ResultsConfig(url="https://clinic.example", secret="whsec_" + "A" * 32))
    assert marks_of(looked(config)) == WELL | {"results": "good"}


def test_a_server_that_cannot_be_reached_takes_one_line(config: Config, tmp_path: Path) -> None:
    url = f"postgresql://clinic:{PASSWORD}@127.0.0.1:1/clinic"
    (found,) = looked(evolve(config, database=DatabaseConfig(url=url, folder=tmp_path)))
    assert found.mark is Mark.WRONG
    assert found.text.startswith("postgresql://clinic@127.0.0.1:1/clinic: the server does not answer")


def test_a_server_has_no_file_and_a_file_has_no_server(config: Config, tmp_path: Path) -> None:
    assert trio.run(lambda: check_database(config, SystemClock(), seconds=1)) == []
    assert looked(Config(database=DatabaseConfig(folder=tmp_path))) == []
    assert marks_of(check_files(config)) == {"files": "good", "disk": "good"}
    assert check_drop_folder(config, NOW) == []


def test_a_server_that_can_not_be_examined_without_psycopg_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in sys.modules if name.startswith("reminderd.store.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    config = Config(database=DatabaseConfig(url="postgresql:///clinic", folder=tmp_path, state=tmp_path))
    [finding] = looked(config)
    assert finding.mark is Mark.WRONG
    assert "pip install 'reminderd[postgres]'" in finding.text
