"""`reminderd purge`: the personal data in old reminders is erased."""

import pytest

from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal

PHONE = "+12025550147"


def old(terminal: Terminal) -> None:
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute(
            "INSERT INTO reminders (id, ref, phone_number, message, scheduled_at, updated_at, status, wake_at)"
            f" VALUES ('r', 'old', '{PHONE}', 'Secret words', 0, 0, 'failed', NULL)"
        )


def test_a_dry_run_only_counts(terminal: Terminal) -> None:
    old(terminal)
    said = terminal.type("purge", "--older-than", "365", "--dry-run").stdout
    assert said == "1 reminder would be purged; nothing was changed\n"
    assert terminal.json("show", "old")["message"] == "Secret words"


def test_a_purge_counts_records_and_erases(terminal: Terminal) -> None:
    old(terminal)
    terminal.add()
    assert terminal.type("purge", "--older-than", "365").stdout == "1 reminder purged\n"
    shown = terminal.json("show", "old")
    assert (shown["phone_number"], shown["message"], shown["status"]) == ("", "", "failed")
    assert b"Secret words" not in (terminal.folder / "reminderd.db").read_bytes()
    assert terminal.type("purge", "--older-than", "365").stdout == "0 reminders purged\n"


def test_a_purged_reminder_can_be_shown_and_not_called_again(terminal: Terminal) -> None:
    old(terminal)
    terminal.type("purge", "--older-than", "365")
    assert "failed" in terminal.type("show", "old").stdout
    assert "old" in terminal.type("list").stdout
    refused = terminal.type("call-again", "old", code=1).stderr
    assert refused == "not called again: its phone number and message were purged\n"


@pytest.mark.parametrize("days", ["7", "0", "-3", "many"])
def test_invalid_days_and_days_within_the_limits_are_refused(terminal: Terminal, days: str) -> None:
    old(terminal)
    assert "--older-than" in terminal.type("purge", "--older-than", days, code=2).stderr
    assert terminal.json("show", "old")["message"] == "Secret words"
