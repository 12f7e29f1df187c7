"""What a command loads at its start, and the errors of a mistyped command."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from reminderd.cli.main import COMMANDS, reminderd
from tests.cli.conftest import Terminal
from tests.support.program import LISTING, clean_environment

SERVER: Final = {"httpx", "quart", "hypercorn", "trio", "prometheus_client", "apprise"}
ALL: Final = SERVER | {
    "attr",
    "cattrs",
    "phonenumbers",
    "loguru",
    "rich",
    "babel",
    "sqlite3",
    "asyncio",
    "reminderd.config",
}


def loaded_by(*words: str, folder: Path) -> set[str]:
    command = [sys.executable, "-c", LISTING, *words]
    env = clean_environment() | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("loaded: ")[2].split())


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_no_commands_libraries_are_loaded_before_it_is_chosen(tmp_path: Path, words: list[str]) -> None:
    assert not loaded_by(*words, folder=tmp_path) & ALL


@pytest.mark.parametrize(
    "words",
    [
        ["check-config"],
        ["add", "--phone", "+12025550147", "--at", "2030-01-07T09:30Z", "--message", "Tomorrow at nine."],
        *([command, "--help"] for command in ("import", "list", "report", "show", "opt-out", "pause", "purge", "db")),
    ],
    ids=lambda words: words[0],
)
def test_a_staff_command_does_not_load_the_server(tmp_path: Path, words: list[str]) -> None:
    assert not loaded_by(*words, folder=tmp_path) & SERVER


OF_OTHER_COMMANDS: Final = {
    "asyncio",
    "loguru",
    "reminderd.core.booking",
    "reminderd.core.imports",
    "reminderd.core.lifecycle.staff",
    "reminderd.core.lifecycle.transition",
    "reminderd.core.monitoring",
    "reminderd.doctor",
    "reminderd.imports",
    "reminderd.providers.base",
    "reminderd.providers.http",
    "reminderd.staff.standing",
    "reminderd.staff.status",
    "reminderd.store.ledger",
    "reminderd.store.personal_data",
    "reminderd.store.sqlite.copying",
    "reminderd.store.sqlite.integrity",
}
"""Modules that are needed only to decide, to import, to copy or to erase."""


def test_the_list_does_not_load_what_only_other_commands_need(tmp_path: Path) -> None:
    loaded_by("add", "--phone", "+12025550147", "--at", "2030-01-07T09:30Z", "--message", "Tomorrow.", folder=tmp_path)
    found = loaded_by("list", folder=tmp_path)
    assert "reminderd.store.queries" in found
    assert sorted(found & (SERVER | OF_OTHER_COMMANDS)) == []


def test_no_garbage_is_collected_while_a_command_is_loaded_nor_later_among_what_was_loaded() -> None:
    script = """
import gc
from reminderd.cli.main import reminderd
collections = []
gc.callbacks.append(lambda phase, info: collections.append(phase))
command = reminderd.get_command(None, "run")
looked_at = any(one is command for one in gc.get_objects())
print(collections.count("stop"), gc.isenabled(), looked_at)
"""
    env = clean_environment()
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout in {"0 True False\n", "1 True False\n"}  # one may follow at the end; there were two hundred


def test_garbage_that_loading_left_is_collected_when_that_is_asked_for() -> None:
    script = """
import gc, weakref
from reminderd.startup import collect_what_loading_left, load_module

class Left: ...

load_module("reminderd.cli.main")
left = Left()
left.itself, seen = left, weakref.ref(left)
del left
gc.freeze()
gc.collect()
before = seen() is None
collect_what_loading_left()
print(before, seen() is None, gc.get_freeze_count() > 0)
"""
    env = clean_environment()
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "False True True\n"


def test_the_help_shows_each_command_on_one_line_of_80_columns(terminal: Terminal) -> None:
    lines = terminal.runner.invoke(reminderd, ["--help"], terminal_width=80).stdout.splitlines()
    listed = lines[lines.index("Commands:") + 1 :]
    assert [line.split()[0] for line in listed] == list(COMMANDS)


def test_every_command_has_help(terminal: Terminal) -> None:
    for command in (None, *COMMANDS):
        assert "--help" in terminal.type(*([] if command is None else [command]), "--help").stdout


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("import", "    1  some lines were rejected, or the import failed"),
        ("status", "held       reminders that wait longer than their time, and why"),
    ],
)
def test_a_list_in_the_help_is_not_joined_to_one_paragraph(terminal: Terminal, command: str, line: str) -> None:
    assert line in [one.removeprefix("  ") for one in terminal.type(command, "--help").stdout.splitlines()]


@pytest.mark.parametrize("command", ["cancel", "accept", "call-again", "done"])
def test_an_act_of_staff_says_which_names_it_takes(terminal: Terminal, command: str) -> None:
    said = " ".join(terminal.type(command, "--help").stdout.split())
    assert "ID is the id or ref of the reminder. The id or ref of its appointment is enough, if only one" in said


def test_a_mistyped_command_gets_suggestions(terminal: Terminal) -> None:
    assert "No such command 'lst'. Did you mean 'list'?" in terminal.type("lst", code=2).stderr
    assert "No such command 'help'. Did you mean 'reminderd --help'?" in terminal.type("help", code=2).stderr
    assert "No such command 'xyz'." in terminal.type("xyz", code=2).stderr


def test_a_config_option_before_the_command_is_refused_with_the_right_position(terminal: Terminal) -> None:
    said = terminal.type("--config", "other.toml", "status", code=2).stderr
    assert "--config belongs after the command, as in: reminderd status --config other.toml" in said
