"""What a command prints can't be written: one line that says so and exit code 1, or a quiet end if nobody reads it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from reminderd.cli.main import reminderd
from tests.support.program import clean_environment, run_loaded

TABLE = (
    "ref,phone,message,at\n"
    "7,+4930123456,Tomorrow at nine.,2030-01-07 09:30\n"
    "8,+4930123456,Tomorrow at ten.,2030-01-07 09:30\n"
    "9,+4930123456,Tomorrow at eleven.,2030-01-07 09:30\n"
)
CHANGED = "ref,phone,message,at\n9,+4930123459,Tomorrow at eleven.,2030-01-07 09:30\n"
ADDED = ("add", "--phone", "+4930123457", "--at", "2030-01-07 09:30", "--message", "Tomorrow at nine.")
COMMANDS = [
    ("--version",),
    ("demo",),
    ("check-config",),
    ("doctor", "--json"),
    ADDED,
    ("import", "list.csv"),
    ("list",),
    ("list", "--json"),
    ("report", "--csv"),
    ("show", "7"),
    ("cancel", "7"),
    ("call-again", "8"),
    ("accept", "9"),
    ("done", "7"),
    ("appointment", "list"),
    ("messages", "preview"),
    ("opt-out", "add", "+4930123458"),
    ("opt-out", "list", "--csv"),
    ("status",),
    ("pause",),
    ("resume",),
    ("export", "+4930123456"),
    ("erase", "--yes", "+4930123456"),
    ("user", "list"),
    ("purge", "--older-than", "30"),
    ("db", "backup", "copy.db"),
    ("db", "check"),
    ("db", "migrate"),
    ("db", "restore", "before.db", "--force"),
]


def begun(folder: Path, command: tuple[str, ...], redirected: str = "", **streams: Any) -> subprocess.Popen[str]:
    """A command that runs, with streams redirected as a shell does it."""
    return subprocess.Popen(
        ["/bin/sh", "-c", f'exec "$@" {redirected}', "sh", sys.executable, "-m", "reminderd", *command],
        cwd=folder,
        env=clean_environment(),
        text=True,
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams,
    )


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clinic with a backup, and the reminders `7`, `8`, which is cancelled, and `9`, which has another number now."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "config.toml").write_text('[calling]\ntimezone = "Europe/Berlin"\n')
    (folder / "list.csv").write_text(TABLE)
    (folder / "changed.csv").write_text(CHANGED)
    for command in (("import", "list.csv"), ("import", "changed.csv"), ("cancel", "8"), ("db", "backup", "before.db")):
        with begun(folder, command) as process:
            assert process.wait() == 0
    return folder


def a_pipe_that_nobody_reads() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_unwritable_output_is_a_one_line_error_and_a_closed_pipe_ends_quietly(
    clinic: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    full, closed, unread = (shutil.copytree(clinic, tmp_path / name) for name in ("full", "closed", "unread"))
    with begun(closed, command, ">&-") as on_closed:  # Python opens no stream for it, so that it must start itself
        code, said = run_loaded(*command, cwd=full, stdout=os.open("/dev/full", os.O_WRONLY))
        cannot_write(code, said, "No space left on device")
        code, said = run_loaded(*command, cwd=unread, stdout=a_pipe_that_nobody_reads())
        assert code == -signal.SIGPIPE, said
        assert "standard output" not in said
        assert "Traceback" not in said
        _, said = on_closed.communicate(timeout=60)
    cannot_write(on_closed.returncode, said, "it is closed")


def cannot_write(code: int, said: str, reason: str) -> None:
    assert code == 1, said
    *_, last = said.splitlines()
    assert last.startswith(f"standard output can't be written: {reason}; "), said
    assert "Traceback" not in said


def test_every_command_is_covered() -> None:
    tried = {command[0] for command in COMMANDS}
    quiet = {"run", "sandbox", "call-test"}  # what these print is a log, and how a real call goes
    assert tried | quiet >= set(reminderd.list_commands(click.Context(reminderd)))


@pytest.mark.parametrize("redirected", ["2>/dev/full", "2>&-"])
def test_an_unwritable_error_message_does_not_change_the_exit_code(clinic: Path, redirected: str) -> None:
    for command, code in ((("list",), 0), (("show", "nobody"), 1), (("nonsense",), 2)):
        with begun(clinic, command, redirected) as process:
            assert process.wait() == code


def test_a_database_never_gets_the_descriptor_of_a_closed_stream(clinic: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(clinic, tmp_path / "clinic")
    with begun(folder, ("show", "nobody"), "<&- >&- 2>&-") as process:
        assert process.wait() == 1
    with begun(folder, ("add", *ADDED[1:]), "<&- 2>&-") as process:
        assert process.wait() == 0
    with begun(folder, ("db", "check")) as check:
        assert check.wait() == 0


def test_a_confirmation_without_input_is_not_given(clinic: Path) -> None:
    with begun(clinic, ("erase", "+4930123456"), "<&-") as process:
        _, said = process.communicate()
    assert process.returncode == 1
    assert "Aborted!" in said


def test_a_name_that_the_terminal_cannot_show_is_escaped(clinic: Path) -> None:
    name = b"caf\xe9.csv"
    (clinic / os.fsdecode(name)).write_text(TABLE)
    environ = clean_environment({"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8:strict"})
    done = subprocess.run(
        [sys.executable, "-m", "reminderd", "import", "--dry-run", name],
        cwd=clinic,
        env=environ,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"caf\\udce9.csv: UTF-8, commas between cells" in done.stdout


def test_a_daemon_continues_after_its_log_pipe_is_closed(clinic: Path) -> None:
    environ = clean_environment({"WEBHOOK_PORT": "0"})
    program = [sys.executable, "-m", "reminderd", "run"]
    with subprocess.Popen(program, cwd=clinic, env=environ, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None
        assert any("listening for webhooks" in line for line in daemon.stderr)
        daemon.stderr.close()
        daemon.send_signal(signal.SIGHUP)  # it has a line to say about this
        daemon.terminate()
        assert daemon.wait(timeout=60) == 0
