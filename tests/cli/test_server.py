"""The commands on a database on a PostgreSQL server: as on a file, and never with the password in what they print."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.conftest import Terminal
from tests.support.postgres import (
    CAREFUL_USER,
    PASSWORD,
    PostgresDatabase,
    server_of_this_process,
    skip_without_postgres,
)


class ServerTerminal(Terminal):
    """Runs commands on a database on a server, and looks for its password in all that they print."""

    def type(self, *words: str, code: int = 0, stdin: str | None = None) -> Result:
        result = super().type(*words, code=code, stdin=stdin)
        assert PASSWORD not in result.output
        return result


@pytest.fixture
def database() -> Iterator[PostgresDatabase]:
    """Yield an empty one."""
    skip_without_postgres()
    server = server_of_this_process()
    made = server.create()
    yield made
    server.drop(made)


@pytest.fixture
def on_server(terminal: Terminal, database: PostgresDatabase) -> ServerTerminal:
    (terminal.folder / "url").write_text(database.server.url(database.name, user=CAREFUL_USER))
    with (terminal.folder / "config.toml").open("a") as config:
        config.write('[database]\nurl_file = "url"\n')
    return ServerTerminal(terminal.folder, terminal.runner)


@pytest.fixture
def name(database: PostgresDatabase) -> str:
    """Return how the database is named for people."""
    return f"postgresql://{CAREFUL_USER}@127.0.0.1:{database.server.port}/{database.name}"


def test_the_first_command_that_writes_makes_the_tables(on_server: ServerTerminal, name: str) -> None:
    assert "there are no tables yet" in on_server.type("list", code=1).stderr
    added = on_server.add("--ref", "A-1")
    assert [row["id"] for row in on_server.json("list")] == [added["id"]]
    assert "pause" in on_server.type("pause", "--reason", "fire drill").stdout
    on_server.type("resume")
    assert on_server.json("show", "A-1")["id"] == added["id"]
    assert on_server.type("cancel", "A-1").exit_code == 0
    assert on_server.type("db", "check").stdout == f"{name}: sound\n"


def test_the_database_is_named_without_the_password(on_server: ServerTerminal, name: str) -> None:
    assert f"database: {name}\n" in on_server.type("check-config").stdout


def test_a_status_has_no_disk_and_no_backup_of_a_server(on_server: ServerTerminal) -> None:
    on_server.add()
    printed = on_server.type("status", code=1).stdout
    assert "disk free" not in printed
    assert "backup" not in printed
    status = json.loads(on_server.type("status", "--json", code=1).stdout)
    assert (status["disk_free_bytes"], status["backup_age_seconds"]) == (None, None)


@pytest.mark.parametrize("words", [["backup", "copy.db"], ["restore", "copy.db"]])
def test_backups_are_left_to_the_servers_own_tools(on_server: ServerTerminal, words: list[str]) -> None:
    on_server.add()
    told = on_server.type("db", *words, code=1)
    assert (
        told.stderr
        == "reminderd does not back up or restore PostgreSQL: use pg_dump and pg_restore, see docs/postgresql.md\n"
    )
    assert not (on_server.folder / "copy.db").exists()


def test_after_a_restore_what_may_have_been_called_is_listed(
    on_server: ServerTerminal, database: PostgresDatabase, name: str
) -> None:
    on_server.add("--ref", "later")
    with database.connect() as other:
        other.execute(
            "INSERT INTO reminders (id, ref, phone_number, message, scheduled_at)"
            " VALUES ('r', 'due', '+4930123457', 'M', 0)"
        )
    told = on_server.type("db", "restored").stdout
    assert told.startswith(f"{name}: restored; last changed ")
    assert "due" in told
    assert "later" not in told
    assert [row["ref"] for row in on_server.json("list", "--needs-human")] == ["due"]
    assert "(the database was restored, last changed " in on_server.type("list").stderr


def test_a_migration_is_explicit(on_server: ServerTerminal, database: PostgresDatabase, name: str) -> None:
    newest = on_server.type("db", "migrate").stdout.removeprefix(f"{name}: created the tables, schema ").strip()
    assert on_server.type("db", "migrate").stdout == f"{name}: schema {newest}, the newest; nothing was changed\n"
    with database.connect() as other:
        other.execute("UPDATE schema_info SET version = version - 1")
    for words in (["list"], ["status"], ["db", "check"], ["pause"]):
        assert "run reminderd db migrate" in on_server.type(*words, code=1).stderr


def test_a_newer_reminderds_tables_are_left_alone(on_server: ServerTerminal, database: PostgresDatabase) -> None:
    on_server.add()
    with database.connect() as other:
        other.execute("UPDATE schema_info SET version = 99, needs = 99")
    for words in (["list"], ["pause"], ["db", "migrate"], ["db", "check"]):
        assert "upgraded by a newer reminderd (needs schema 99" in on_server.type(*words, code=1).stderr
    with database.connect() as other:
        other.execute("UPDATE schema_info SET needs = 1")
    assert len(on_server.json("list")) == 1, "what only adds something does no harm"
    assert "schema 99, newer than this program's" in on_server.type("db", "migrate").stdout


def test_what_another_program_has_dropped_is_found(on_server: ServerTerminal, database: PostgresDatabase) -> None:
    on_server.add()
    with database.connect() as other:
        other.execute("DROP INDEX call_logs_one_open_call")
        other.execute("ALTER TABLE reminders DISABLE TRIGGER reminders_moved")
    told = on_server.type("db", "check", code=1).stderr
    assert "2 mistakes" in told
    assert "call_logs_one_open_call is missing" in told


def test_rows_that_nobody_would_check_are_found(on_server: ServerTerminal, database: PostgresDatabase) -> None:
    added = on_server.add()["id"]
    with database.connect() as other:
        other.execute("SET session_replication_role = replica")
        other.execute("UPDATE reminders SET wake_at = NULL")
    assert f"a waiting reminder has no wake_at: {added}" in on_server.type("db", "check", code=1).stderr


def test_personal_data_is_erased_and_purged(on_server: ServerTerminal, database: PostgresDatabase) -> None:
    on_server.add()
    assert "erased: 1 reminder" in on_server.type("erase", "+49 30 123456", "--yes").stdout
    on_server.type("purge", "--older-than", "30")
    with database.connect() as other:
        assert other.execute("SELECT count(*) FROM settings WHERE key = 'unscrubbed'").fetchone() == (0,)


def test_a_file_is_tried_out_and_imported(on_server: ServerTerminal) -> None:
    (on_server.folder / "list.csv").write_text("phone,at,message\n+4930123456,2030-01-07 09:30,Tomorrow at nine.\n")
    on_server.type("db", "migrate")
    assert "nothing was changed" in on_server.type("import", "list.csv", "--dry-run").stdout
    assert on_server.json("list") == []
    on_server.type("import", "list.csv")
    assert len(on_server.json("list")) == 1


def test_the_sandbox_is_not_run_on_a_clinics_database(on_server: ServerTerminal) -> None:
    on_server.add()
    real = (
        '[provider.generic]\napi_url = "https://voice.example.com"\napi_key = "key"\nwebhook_auth = "none"\n'
        '[web]\npublic_base_url = "https://clinic.example.com"\n'
    )
    config = on_server.folder / "config.toml"
    simulated = config.read_text()
    config.write_text(simulated + real)
    on_server.type("pause")
    config.write_text(simulated)
    assert "has been in use with the provider generic" in on_server.type("run", code=2).stderr


def refused(terminal: Terminal, url: str, *words: str, code: int = 1) -> str:
    """Return the one line with which a command ends."""
    (terminal.folder / "url").write_text(url)
    told = terminal.type(*words, code=code)
    assert told.stdout == ""
    (line,) = told.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    "words", [["list"], ["add", "--phone", "+4930123456", "--at", "2030-01-07 09:30", "--message", "M"]]
)
def test_a_database_that_cannot_be_used_takes_one_line(
    on_server: ServerTerminal, database: PostgresDatabase, name: str, words: list[str]
) -> None:
    server = database.server
    line = refused(on_server, server.url(database.name, user=CAREFUL_USER, password=f"{PASSWORD}-not"), *words)
    assert line.startswith(f"{name}: the server does not accept the user or the password of the URL")
    line = refused(on_server, server.url("nobodys", user=CAREFUL_USER), *words)
    assert "the database does not exist on the server" in line
    line = refused(on_server, f"postgresql://{CAREFUL_USER}:{PASSWORD}@127.0.0.1:1/{database.name}", *words)
    assert "the server does not answer (Connection refused)" in line


def test_without_the_extra_nothing_is_tried(on_server: ServerTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "psycopg", None)  # as if it were not installed
        told = {on_server.type(*words, code=2).stderr for words in (["list"], ["pause"], ["run"])}
    needs = "postgresql:// needs an extra: pip install 'reminderd[postgres]'"
    assert told == {f"config.toml: [database].url_file: {needs}\n"}


def test_a_url_that_could_be_misread_is_wrong_usage(on_server: ServerTerminal) -> None:
    line = refused(on_server, f"postgresql://{CAREFUL_USER}:{PASSWORD}@x@127.0.0.1/clinic", "list", code=2)
    assert line.startswith("config.toml: [database].url_file: contains one @ or / too many")


def test_a_help_text_needs_no_server(on_server: ServerTerminal, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://clinic@127.0.0.1:1/nothing")
    assert "Usage" in on_server.type("db", "migrate", "--help").stdout
