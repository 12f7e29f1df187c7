"""`reminderd db …`: backups, restores and migrations."""

from contextlib import closing

import pytest

from reminderd.store.sqlite.driver import connect
from reminderd.store.sqlite.migrate import migrations
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal
from tests.support import schemas

NEWEST = migrations()[-1].number


def set_version(terminal: Terminal, version: int) -> None:
    with closing(connect(str(terminal.folder / "reminderd.db"), isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")


def test_a_backup_names_its_file_and_replaces_it_only_with_force(terminal: Terminal) -> None:
    terminal.add()
    assert "copy.db: " in terminal.type("db", "backup", "copy.db").stdout
    assert terminal.type("db", "backup", "copy.db", code=1).stderr == "copy.db: exists; --force replaces it\n"
    terminal.type("db", "backup", "copy.db", "--force")


def test_invalid_rows_cause_a_warning_but_do_not_prevent_a_backup(terminal: Terminal) -> None:
    reminder_id = terminal.add()["id"]
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute("UPDATE reminders SET status = 'processing', wake_at = NULL, revision = 1")
    said = terminal.type("db", "backup", "copy.db")
    assert said.stderr == f"warning: as in the database itself, a waiting reminder has no wake_at: {reminder_id}\n"
    assert "a waiting reminder has no wake_at" in terminal.type("db", "restore", "copy.db", "--force").stderr


def test_another_clinics_backup_is_never_replaced_and_restored_only_with_from_another(
    terminal: Terminal,
) -> None:
    terminal.add()
    terminal.type("db", "backup", "theirs.db")
    theirs = (terminal.folder / "theirs.db").read_bytes()
    (terminal.folder / "reminderd.db").unlink()
    terminal.add("--ref", "ours")
    said = terminal.type("db", "backup", "theirs.db", "--force", code=1).stderr
    assert said.startswith("theirs.db: exists, and is not an earlier backup of this database; expected another name")
    assert (terminal.folder / "theirs.db").read_bytes() == theirs
    said = terminal.type("db", "restore", "theirs.db", "--force", code=1).stderr
    assert said == (
        "theirs.db: is a backup of another database; expected one of this database; --from-another restores it anyway\n"
    )
    assert [row["ref"] for row in terminal.json("list")] == ["ours"]
    terminal.type("db", "restore", "theirs.db", "--force", "--from-another")
    assert [row["ref"] for row in terminal.json("list")] == [None]
    terminal.type("db", "backup", "theirs.db", "--force", code=1)


@pytest.mark.parametrize("name", ["config.toml", "reminderd.db", "reminderd.db-wal", "list.csv"])
def test_a_backup_replaces_no_file_except_an_earlier_backup(terminal: Terminal, name: str) -> None:
    terminal.add()
    (terminal.folder / "list.csv").write_text("a table that took a day to write")
    before = {file: file.read_bytes() for file in terminal.folder.iterdir()}
    assert f"{name}: " in terminal.type("db", "backup", name, "--force", code=1).stderr
    assert {file: file.read_bytes() for file in terminal.folder.iterdir()} == before


@pytest.mark.parametrize("words", [["backup", "copy.db"], ["migrate"], ["check"]])
def test_db_commands_do_not_create_a_missing_database(terminal: Terminal, words: list[str]) -> None:
    assert "there is no database yet" in terminal.type("db", *words, code=1).stderr
    assert not list(terminal.folder.glob("*.db*"))


def test_a_restore_prints_what_it_replaced_and_which_patients_to_call_manually(terminal: Terminal) -> None:
    terminal.json("add", "--phone", "+4930123456", "--at", "2030-01-07 09:30", "--message", "M", "--ref", "later")
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute(
            "INSERT INTO reminders (id, ref, phone_number, message, scheduled_at)"
            " VALUES ('r', 'due', '+4930123457', 'M', 0)"
        )
    terminal.type("db", "backup", "copy.db")
    refused = terminal.type("db", "restore", "copy.db", code=1).stderr
    assert refused.endswith("reminderd.db: exists; --force replaces it, and keeps the old one next to it\n")
    said = terminal.type("db", "restore", "copy.db", "--force").stdout
    assert "reminderd.db.replaced-" in said
    assert "0 opt-outs" in said
    assert "call manually" in said
    assert "due" in said
    assert "later" not in said
    assert said.endswith("repeat what was added, cancelled and opted out since, then reminderd resume\n")
    assert "dialing is paused by" in terminal.type("list").stderr
    assert [row["ref"] for row in terminal.json("list", "--needs-human")] == ["due"]


def test_unreadable_opt_outs_in_the_replaced_database_cause_a_warning(terminal: Terminal) -> None:
    terminal.add()
    terminal.type("db", "backup", "copy.db")
    with open_sync(terminal.folder / "reminderd.db") as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'opt_outs'").fetchone()[0]
    content = bytearray((terminal.folder / "reminderd.db").read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    (terminal.folder / "reminderd.db").write_bytes(content)
    said = terminal.type("db", "restore", "copy.db", "--force")
    assert said.stderr == (
        "warning: the opt-outs of the replaced database could not be read, so none were copied:"
        " add again the numbers that have opted out since the backup\n"
    )
    assert "taken over" not in said.stdout


def test_a_restore_without_an_existing_database_needs_no_force(terminal: Terminal) -> None:
    terminal.add()
    terminal.type("db", "backup", "copy.db")
    (terminal.folder / "reminderd.db").unlink()
    done = terminal.type("db", "restore", "copy.db")
    said = done.stdout
    assert done.stderr == ""
    assert "replaced" not in said
    assert len(terminal.json("list")) == 1


def test_restoring_a_missing_file_or_a_non_database_is_a_one_line_error(terminal: Terminal) -> None:
    assert terminal.type("db", "restore", "missing.db", code=1).stderr == "missing.db: there is no such file\n"
    terminal.add()
    assert terminal.type("db", "restore", "missing.db", code=1).stderr == "missing.db: there is no such file\n", (
        "with one, too"
    )
    (terminal.folder / "reminderd.db").unlink()
    said = terminal.type("db", "restore", "config.toml", code=1).stderr
    assert said == "config.toml: not a SQLite database (file is not a database)\n"
    assert not list(terminal.folder.glob("*.db*"))


def test_a_migration_prints_both_schemas_and_the_copy_it_made(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = schemas.one_more(monkeypatch)
    schemas.build(1, terminal.folder / "reminderd.db")
    said = terminal.type("db", "migrate").stdout
    assert f"reminderd.db: schema 1 is now {newest}\n" in said
    assert "reminderd.db.schema-1; delete it once the upgrade has worked" in said
    assert (terminal.folder / "reminderd.db.schema-1").exists()
    assert f"schema {newest}, the newest; nothing was changed" in terminal.type("db", "migrate").stdout


@pytest.mark.parametrize("words", ["list", "show waits", "report", "status", "opt-out list", "db check"])
def test_commands_that_only_read_do_not_migrate_an_older_database(
    terminal: Terminal, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = schemas.one_more(monkeypatch)
    schemas.build(1, terminal.folder / "reminderd.db")
    before = (terminal.folder / "reminderd.db").read_bytes()
    said = terminal.type(*words.split(), code=1).stderr
    assert said.endswith(
        f"reminderd.db: the database has an older schema (1, this one knows {newest}):"
        " stop the daemon, then reminderd db migrate\n"
    )
    assert (terminal.folder / "reminderd.db").read_bytes() == before


@pytest.mark.parametrize("words", [["db", "migrate"], ["db", "backup", "copy.db"], ["list"]])
def test_an_older_program_refuses_a_newer_database(terminal: Terminal, words: list[str]) -> None:
    terminal.add()
    set_version(terminal, 99)
    said = terminal.type(*words, code=1).stderr
    assert said.endswith(f"reminderd.db: made by a newer reminderd (schema 99, this one knows {NEWEST}): upgrade\n")
    assert said.count("\n") == 1


def test_a_migration_can_be_undone_by_restoring_its_copy(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    schemas.one_more(monkeypatch)
    schemas.build(1, terminal.folder / "reminderd.db")
    terminal.type("db", "migrate")
    terminal.type("db", "restore", "reminderd.db.schema-1", "--force")
    assert len(terminal.json("list")) == 4


def test_after_a_restore_by_other_means_the_command_prints_which_patients_to_call_manually(terminal: Terminal) -> None:
    assert "there is no database yet" in terminal.type("db", "restored", code=1).stderr
    terminal.json("add", "--phone", "+4930123456", "--at", "2030-01-07 09:30", "--message", "M", "--ref", "later")
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute(
            "INSERT INTO reminders (id, ref, phone_number, message, scheduled_at)"
            " VALUES ('r', 'due', '+4930123457', 'M', 0)"
        )
    said = terminal.type("db", "restored").stdout
    assert "reminderd.db: restored; last changed " in said
    assert "call manually" in said
    assert "due" in said
    assert "later" not in said
    assert said.endswith("repeat what was added, cancelled and opted out since, then reminderd resume\n")
    assert "(the database was restored, last changed " in terminal.type("list").stderr
    assert [row["ref"] for row in terminal.json("list", "--needs-human")] == ["due"]
