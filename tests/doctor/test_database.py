from functools import partial
from pathlib import Path

import pytest
import trio
from attrs import evolve

from reminderd.clock import SystemClock
from reminderd.config import Config, with_provider
from reminderd.config.installation import DatabaseConfig
from reminderd.config.schema import ClinicConfig
from reminderd.core.diagnosis import Finding, Mark
from reminderd.doctor.machine import check_daemons, check_database
from reminderd.providers.twilio.settings import TwilioSettings
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import transaction
from reminderd.store.daemon_rows import record_alive
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.driver import connect, sqlite_warning
from reminderd.store.sqlite.migrate import migrations
from tests.doctor.conftest import marks_of
from tests.support.builders import NOW, a_daemon
from tests.support.rows import insert_row

SQLITE = {} if sqlite_warning() is None else {"SQLite": "warning"}
WELL = {"database": "good", "schema": "good", "write-ahead log": "good"} | SQLITE


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(database=DatabaseConfig(folder=tmp_path))


def looked(config: Config, *, seconds: float = 30) -> list[Finding]:
    return trio.run(lambda: check_database(config, SystemClock(), seconds=seconds))


def file_of(config: Config) -> Path:
    return config.database.folder / "reminderd.db"


def insert(config: Config, *ids: str, **columns: str) -> None:
    with open_sync(config.database.target) as connection:
        for reminder_id in ids:
            row = {"id": reminder_id, "phone_number": "+12025550100", "message": "Hi.", "scheduled_at": to_ms(NOW)}
            row |= columns
            insert_row(connection, "reminders", row)


def test_a_sound_database_is_good(config: Config) -> None:
    insert(config, "r1")
    assert marks_of(looked(config)) == WELL


def test_a_missing_database_is_not_an_error_and_not_created(config: Config) -> None:
    assert marks_of(looked(config)) == {"database": "unknown"}
    assert not file_of(config).exists()


def test_a_database_of_an_older_version_is_reported_and_not_migrated(config: Config) -> None:
    insert(config, "r1")
    newest = migrations()[-1].number
    older = connect(str(file_of(config)))
    older.execute(f"PRAGMA user_version = {newest - 1}")
    assert marks_of(looked(config)) == WELL | {"schema": "warning"}
    assert older.execute("PRAGMA user_version").fetchone()[0] == newest - 1
    older.close()


def test_a_file_that_is_not_our_database_is_an_error(config: Config) -> None:
    file_of(config).write_text("This is no database, however much it looks like a file." * 100)
    (found,) = looked(config)
    assert found.mark is Mark.WRONG
    assert "not a SQLite database" in found.text


def test_a_database_that_run_would_refuse_without_a_provider_is_an_error(config: Config) -> None:
    insert(config, "r1")
    with open_sync(config.database.target) as connection:
        connection.execute("INSERT INTO settings (key, value) VALUES ('real_provider', 'twilio')")
    wrong = [finding for finding in looked(config) if finding.mark is Mark.WRONG]
    assert [finding.about for finding in wrong] == ["database"]
    assert "has been in use with the provider twilio, and none is configured" in wrong[0].text
    sandbox = evolve(config, provider=evolve(config.provider, is_stated=True))
    for stated in (sandbox, with_provider(config, TwilioSettings())):
        assert marks_of(looked(stated)) == WELL


def test_a_folder_in_place_of_the_database_is_an_error(config: Config) -> None:
    file_of(config).mkdir()
    (found,) = looked(config)
    assert found.mark is Mark.WRONG
    assert found.text.endswith("is no file")


def test_a_database_that_cannot_be_read_in_time_is_not_called_sound(config: Config) -> None:
    with open_sync(config.database.target) as connection:
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
            " INSERT INTO reminders (id, phone_number, message, scheduled_at)"
            " SELECT 'r' || i, '+12025550100', 'Hello.', 0 FROM n"
        )
    assert marks_of(looked(config, seconds=0)) == WELL | {"database": "unknown"}


@pytest.mark.parametrize(("broken", "lines"), [(1, 1), (4, 4), (5, 4), (7, 4)])
def test_the_first_errors_are_shown_and_the_rest_are_counted(broken: int, lines: int, config: Config) -> None:
    insert(config, *(f"r{number}" for number in range(broken)))
    with open_sync(config.database.target) as connection:
        connection.execute("UPDATE reminders SET status = 'processing', wake_at = NULL, revision = 1")
    found = [finding for finding in looked(config) if finding.about == "database"]
    assert [finding.mark for finding in found] == [Mark.WRONG] * lines
    assert found[0].text == "a waiting reminder has no wake_at: r0"
    assert (found[-1].text == f"{broken - 3} more") == (broken > 4)


@pytest.mark.parametrize("wrong", [{"timezone": "EST"}, {"phone_number": "12025550147"}, {"message": " "}])
def test_a_waiting_reminder_that_cannot_be_called_is_reported(config: Config, wrong: dict[str, str]) -> None:
    insert(config, "r1", timezone="Asia/Tokyo")
    assert marks_of(looked(config)) == WELL
    insert(config, "r2", **wrong)
    assert marks_of(looked(config)) == WELL | {"reminders": "wrong"}


def test_reminders_that_a_new_country_no_longer_allows_are_reported(config: Config) -> None:
    insert(config, "r1")
    assert marks_of(looked(evolve(config, clinic=ClinicConfig(country="US")))) == WELL
    found = looked(evolve(config, clinic=ClinicConfig(country="DE")))
    assert "1 waiting reminder can't be called: phone_number: a number of United States (US)" in found[-1].text


def test_an_opt_out_that_stops_no_call_is_reported(config: Config) -> None:
    with open_sync(config.database.target) as connection:
        connection.execute("DROP TRIGGER opt_outs_inserted_in_e164")
        connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('12025550194')")
    (finding,) = [finding for finding in looked(config) if finding.about == "database"]
    assert finding.mark is Mark.WRONG
    assert finding.text.startswith("opt_outs: a number that ends in '94' is not E.164, so it stops no call; correct it")


def test_a_write_ahead_log_that_keeps_growing_is_reported(config: Config) -> None:
    insert(config, "r1")
    with open_sync(config.database.target) as reader, open_sync(config.database.target) as writer:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM reminders").fetchone()
        for _ in range(5):
            writer.execute("INSERT INTO settings (key, value) VALUES ('x', hex(zeroblob(7500000)))")
            writer.execute("DELETE FROM settings")
        assert marks_of(looked(config)) == WELL | {"write-ahead log": "warning"}
        reader.execute("ROLLBACK")


def test_a_failing_public_address_is_reported(config: Config) -> None:
    insert(config, "r1")
    with open_sync(config.database.target) as connection:
        connection.execute("INSERT INTO settings (key, value) VALUES ('unreached_since', ?)", (str(to_ms(NOW)),))
    found = looked(config)
    assert marks_of(found) == WELL | {"public address": "wrong"}
    assert "[web].public_base_url" in next(one.text for one in found if one.about == "public address")


def daemons_in(config: Config) -> list[Finding]:
    return check_daemons(config, NOW)


def test_daemons_that_are_alike_are_good(config: Config) -> None:
    assert daemons_in(config) == [], "without a database"
    insert(config, "r1")
    [finding] = daemons_in(config)
    assert (finding.mark, finding.text) == (Mark.GOOD, "none is running on this database")
    with open_sync(config.database.target) as connection:
        transaction(connection, partial(record_alive, daemon=a_daemon(), wanted=[]), NOW)
    [finding] = daemons_in(config)
    assert (finding.mark, finding.text) == (Mark.GOOD, "running: version 1.2.0 at north (pid 1)")


def test_daemons_that_differ_are_a_warning_that_says_what_to_do(config: Config) -> None:
    with open_sync(config.database.target) as connection:
        for daemon in (a_daemon(), a_daemon("b", version="1.3.0")):
            transaction(connection, partial(record_alive, daemon=daemon, wanted=[]), NOW)
    [finding] = daemons_in(config)
    assert finding.mark is Mark.WARNING
    assert finding.text == "the daemons run different versions: 1.2.0 on north (pid 1), 1.3.0 on north (pid 1)"
    assert finding.fix == "install the same version on all machines, and restart the daemons"
