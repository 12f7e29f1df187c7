"""`reminderd pause` and `resume`."""

import re

import pytest

from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal


def test_a_pause_is_recorded_and_shown_by_every_command(terminal: Terminal) -> None:
    reminder_id = terminal.add()["id"]
    assert "resume ends it" in terminal.type("pause", "--reason", "wrong messages").stdout
    for words in (["list"], ["show", reminder_id]):
        said = terminal.type(*words).stderr
        assert "dialing is paused by" in said
        assert "(wrong messages)" in said
    assert terminal.json("show", reminder_id)["status"] == "scheduled", "no row is touched"


def test_pause_and_resume_each_leave_one_audit_line(terminal: Terminal) -> None:
    terminal.add()
    terminal.type("pause")
    assert "was paused already" in terminal.type("pause").stdout
    assert terminal.type("resume").stdout == "dialing is resumed\n"
    assert "was not paused" in terminal.type("resume").stdout
    assert terminal.type("list").stderr == ""
    with open_sync(terminal.folder / "reminderd.db") as connection:
        assert [row["act"] for row in connection.execute("SELECT act FROM audit")] == ["add", "pause", "resume"]


def test_a_pause_by_another_programs_sql_is_reported_too(terminal: Terminal) -> None:
    terminal.add()
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute("INSERT INTO settings VALUES ('paused', 'true')")
    assert terminal.type("list").stderr == "dialing is paused; reminderd resume ends it\n"


def test_commands_about_waiting_reminders_and_resume_say_that_the_provider_does_not_reach_us(
    terminal: Terminal,
) -> None:
    reminder_id = terminal.add()["id"]
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute("INSERT INTO settings VALUES ('unreached_since', '1780000000000')")
    for words in (["list"], ["show", reminder_id], ["report"], ["resume"]):
        said = terminal.type(*words).stderr
        assert re.match(r"dialing is paused since 2026-[-\d: ]+: answered calls never asked what to say", said), words
        assert "[web].public_base_url" in said


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_pausing_a_missing_database_is_an_error(terminal: Terminal, command: str) -> None:
    assert "there is no database yet" in terminal.type(command, code=1).stderr
    assert not list(terminal.folder.glob("*.db*"))


def test_the_audit_masks_phone_numbers_in_a_reason(terminal: Terminal) -> None:
    terminal.add()
    terminal.type("pause", "--reason", "+49 30 123456 complained")
    with open_sync(terminal.folder / "reminderd.db") as connection:
        details = [row["detail"] for row in connection.execute("SELECT detail FROM audit WHERE act = 'pause'")]
    assert details == ["+**********56 complained"]
    assert "(+**********56 complained)" in terminal.type("list").stderr


def test_pausing_again_with_a_reason_records_and_shows_it(terminal: Terminal) -> None:
    terminal.add()
    terminal.type("pause")
    assert (
        terminal.type("pause", "--reason", "wrong list").stdout
        == "dialing was paused already; the reason is recorded\n"
    )
    assert "(wrong list)" in terminal.type("list").stderr


@pytest.mark.parametrize("number", ["+49 30 123456", "030 123456", "0171-2345678", "(030) 12 34 56", "030/123456"])
def test_phone_numbers_in_a_reason_are_masked(terminal: Terminal, number: str) -> None:
    terminal.add()
    terminal.type("pause", "--reason", f"wrong text to {number} at 9:30 on floor 12")
    [shown] = re.findall(r"\((wrong .*)\)", terminal.type("list").stderr)
    assert re.fullmatch(rf"wrong text to [+*]+{number[-2:]} at 9:30 on floor 12", shown)


def test_the_quiet_time_after_a_restore_is_shown_until_it_is_over(terminal: Terminal) -> None:
    terminal.add()
    terminal.type("db", "backup", "copy.db")
    terminal.type("db", "restore", "copy.db", "--force")
    quiet = r"the database was restored: nobody is called before \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert "resume ends it" in terminal.type("list").stderr, "a pause comes first"
    assert re.fullmatch(quiet + "\n", terminal.type("resume").stderr)
    assert re.fullmatch(quiet + "\n", terminal.type("list").stderr)
    assert re.search(f"dialing +{quiet}", terminal.type("status", code=1).stdout)
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute("UPDATE settings SET value = value - 900000 WHERE key = 'restored_at'")
    assert terminal.type("list").stderr == ""
    assert re.search("dialing +not paused", terminal.type("status", code=1).stdout)


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_an_error_elsewhere_in_the_configuration_does_not_prevent_a_pause(terminal: Terminal, command: str) -> None:
    terminal.add()
    database = '[database]\nurl = "sqlite:///reminderd.db"\n'
    (terminal.folder / "config.toml").write_text(f'{database}[calling]\nbegins = "09:00"\n')
    done = terminal.type(command)
    assert done.exit_code == 0
    assert "[calling].begins: unknown key" in done.stderr
    assert f"only the database is used: {terminal.folder / 'reminderd.db'}" in done.stderr
    assert "dialing" in done.stdout


@pytest.mark.parametrize(
    "written",
    [
        '[database]\nurl = "postgres://"\n',
        '[databank]\nurl = "sqlite:///other.db"\n',
        '[database\nurl = "sqlite:///reminderd.db"',
    ],
    ids=["a wrong URL", "a mistyped section", "no TOML"],
)
def test_nothing_is_paused_if_the_database_is_uncertain(terminal: Terminal, written: str) -> None:
    terminal.add()
    (terminal.folder / "config.toml").write_text(written)
    terminal.type("pause", code=2)
    with open_sync(terminal.folder / "reminderd.db") as connection:
        assert connection.execute("SELECT count(*) FROM settings WHERE key = 'paused'").fetchone()[0] == 0
