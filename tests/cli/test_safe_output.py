"""Text from others never controls a terminal or a spreadsheet, in the output of any command."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from reminderd.cli.main import reminderd
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal
from tests.support.builders import NOW
from tests.support.program import clean_environment
from tests.support.waiting import PATIENCE

NASTY = "a\x1b[31mb\x07c\x9bd\u202ee\u2066f\u200bg\u2028h\rj"
FORMULA = "=HYPERLINK(1)"
COMMANDS = [
    ["list"],
    ["list", "--json"],
    ["report", "--date", "2026-03-02"],
    ["report", "--date", "2026-03-02", "--json"],
    ["report", "--date", "2026-03-02", "--csv"],
    ["show", "r1"],
    ["show", "r1", "--json"],
    ["export", "+4930123456"],
    ["opt-out", "list"],
    ["opt-out", "list", "--json"],
    ["opt-out", "list", "--csv"],
    ["status"],
    ["status", "--json"],
    ["db", "check"],
    ["resume"],
    ["show", NASTY],
    ["cancel", NASTY],
    ["accept", NASTY],
    ["call-again", NASTY],
    ["erase", NASTY],
    ["opt-out", "add", NASTY],
    ["list", "--date", NASTY],
    ["import", "list.csv", "--map", NASTY],
    ["import", NASTY],
    ["db", "restore", NASTY],
    ["check-config", "--config", NASTY],
    [NASTY],
    ["--" + NASTY],
    ["list", "--" + NASTY],
    ["list", "--limit", NASTY],
    ["import", "list.csv"],
    ["import", "list.csv", "--dry-run"],
]


@pytest.fixture
def written_by_others(terminal: Terminal) -> Terminal:
    with open_sync(terminal.folder / "reminderd.db") as connection:
        connection.execute(
            "INSERT INTO reminders (id, ref, phone_number, message, scheduled_at, status, response, last_error)"
            " VALUES ('r1', ?, '+4930123456', ?, ?, 'failed', ?, ?)",
            (NASTY, NASTY, to_ms(NOW), NASTY, NASTY),
        )
        connection.execute(
            "INSERT INTO call_logs (id, reminder_id, phone_number, state, status, transcript, answered_by, error,"
            " last_sign_at, received_at) VALUES ('c1', 'r1', '+4930123456', 'ended', ?, ?, ?, ?, 1, 1)",
            (NASTY, NASTY, NASTY, NASTY),
        )
        connection.execute(
            "INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest)"
            " VALUES ('c1', 'r1', 0, ?, '')",
            (to_ms(NOW),),
        )
        connection.execute("INSERT INTO opt_outs (phone_number, source) VALUES ('+4930123456', ?)", (NASTY,))
        connection.execute("INSERT INTO settings (key, value) VALUES ('paused', 'true')")
        connection.execute(
            "INSERT INTO audit (at, actor, act, reminder_id, detail) VALUES (1, ?, 'pause', 'r1', ?)", (NASTY, NASTY)
        )
    (terminal.folder / "list.csv").write_text(f"ref,phone,message,at,{NASTY[:4]}\n{NASTY[:3]},no,{NASTY[:9]},\x1b[1m\n")
    return terminal


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words).encode("unicode_escape").decode())
def test_no_control_or_bidi_character_reaches_the_terminal(written_by_others: Terminal, words: list[str]) -> None:
    result = written_by_others.runner.invoke(reminderd, words, env={"COLUMNS": "200"}, color=True)
    assert result.output
    assert "Traceback" not in result.output
    assert [line for line in result.output.split("\n") if not line.isprintable()] == []


def test_a_program_that_reads_json_gets_every_character(written_by_others: Terminal) -> None:
    shown = written_by_others.json("show", "r1")
    assert (shown["ref"], shown["message"], shown["calls"][0]["transcript"]) == (NASTY, NASTY, NASTY)


async def test_a_real_terminal_shows_escape_sequences_without_obeying_them(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "reminderd", "show", "a\x1b[31mb"]
    (tmp_path / "config.toml").write_text("")
    with open_sync(tmp_path / "reminderd.db"):
        pass
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            command, cwd=tmp_path, env=clean_environment(), stdout=theirs, stderr=theirs, check=False
        )
    os.close(theirs)
    said = os.read(ours, 4096)
    os.close(ours)
    assert done.returncode == 1
    assert b"no reminder has the id or ref a\\x1b[31mb" in said
    assert b"\x1b" not in said


def test_exported_tables_have_no_formulas_and_can_be_imported_again(terminal: Terminal) -> None:
    terminal.type("opt-out", "add", "+4930123456", "--source", FORMULA)
    table = terminal.type("opt-out", "list", "--csv").stdout
    [row] = csv.DictReader(io.StringIO(table))
    assert (row["phone_number"], row["source"]) == ("'+4930123456", f"'{FORMULA}")
    terminal.type("opt-out", "remove", "+4930123456")
    (terminal.folder / "numbers.csv").write_text(table)
    assert "1 number opted out" in terminal.type("opt-out", "import", "numbers.csv").stdout


def test_the_rejected_file_has_no_formulas_and_reads_back_unchanged(terminal: Terminal) -> None:
    line = f"-7,+4930123456,{FORMULA},"
    (terminal.folder / "list.csv").write_text(f"ref,phone,message,at\n{line}yesterday\n")
    terminal.type("import", "list.csv", code=1)
    file = terminal.folder / "list.rejected.csv"
    [row] = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig")))
    assert (row["ref"], row["phone"], row["message"]) == ("'-7", "'+4930123456", f"'{FORMULA}")
    file.write_text(file.read_text(encoding="utf-8-sig").replace("yesterday", "2030-01-07 09:30"), encoding="utf-8")
    assert "1 added" in terminal.type("import", str(file), "--rejected", "again.csv").stdout
    [stored] = terminal.json("list")
    assert (stored["ref"], stored["phone_number"], stored["message"]) == ("-7", "+4930123456", FORMULA)


@pytest.mark.parametrize("words", [["opt-out", "list"], ["opt-out", "list", "--json"]])
async def test_characters_the_terminal_cannot_encode_are_shown_as_escapes(tmp_path: Path, words: list[str]) -> None:
    with open_sync(tmp_path / "reminderd.db") as connection:
        connection.execute("INSERT INTO opt_outs (phone_number, source) VALUES ('+4930123456', 'Müller')")
    environment = clean_environment() | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "reminderd", *words]
    done = await trio.run_process(command, cwd=tmp_path, env=environment, capture_stdout=True)
    said = done.stdout.decode("ascii")
    assert "Müller" in (json.loads(said)[0]["source"] if "--json" in words else said.replace("\\xfc", "ü"))


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    with open_sync(tmp_path / "reminderd.db") as connection:
        rows = [(f"+4930{number:07}", "x" * 200) for number in range(2_000)]
        connection.executemany("INSERT INTO opt_outs (phone_number, source) VALUES (?, ?)", rows)
    command = f"{sys.executable} -m reminderd opt-out list --csv | head -1"
    done = subprocess.run(  # noqa: S602 - a pipe is the point
        command, shell=True, cwd=tmp_path, env=clean_environment(), capture_output=True, check=False
    )
    assert done.stdout == b"phone_number,source,created_at\n"
    assert done.stderr == b""
