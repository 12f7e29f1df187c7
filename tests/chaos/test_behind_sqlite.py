"""Test that only SQLite opens the database's files in this process.

If a process closes any handle of its own on such a file, the locks that SQLite holds on the file are dropped. Another
process then believes that it is the last one, and a committed row can be lost: https://sqlite.org/howtocorrupt.html,
2.2.
"""

import os
from pathlib import Path

import pytest

from tests.support.clinic import a_clinic, until_ready
from tests.support.generic_server import send, webhook
from tests.support.program import running

WATCH = (Path(__file__).with_name("watched.py"), "clinic.db")


def behind(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("BEHIND SQLITE")]


async def opened_by(folder: Path, *command: str) -> list[str]:
    """Return the files that one of our commands opens without SQLite."""
    async with running(*command, cwd=folder, entrance=WATCH) as program:
        assert await program.ended() == 0, program.lines
    return behind(program.lines)


@pytest.mark.chaos
async def test_a_running_daemon_leaves_its_databases_files_to_sqlite(tmp_path: Path) -> None:
    """Play a typical day: the first start, calls and their webhooks, readiness, other programs, the stop.

    At the first start, the program creates the file before SQLite opens it, so that it has its mode from the beginning.
    """
    async with a_clinic(tmp_path) as clinic:
        async with running("run", cwd=tmp_path, entrance=WATCH) as program:
            url = await program.url()
            for number in range(3):
                clinic.insert(f"r{number}", f"+1202555000{number}")
            for ring in await clinic.provider.rang(3):
                assert (await send(clinic.client, url, webhook(ring))).status_code == 200
            await until_ready(clinic, url)
            assert await program.terminate() == 0
        [made] = behind(program.lines)
        flags = int(made.rpartition(", ")[2].removesuffix(")"))
        assert flags & os.O_CREAT, made
        assert flags & os.O_EXCL, made  # a file that exists is not opened
        async with running("run", cwd=tmp_path, entrance=WATCH) as program:
            await program.url()
            assert await program.terminate() == 0
        assert behind(program.lines) == []


@pytest.mark.parametrize(
    "command",
    [
        ("add", "--phone", "+4930123456", "--at", "2030-01-07T09:30+01:00", "--message", "Hello."),
        ("list",),
        ("db", "check"),
    ],
    ids=lambda command: command[0],
)
async def test_a_command_leaves_the_databases_files_to_sqlite(tmp_path: Path, command: tuple[str, ...]) -> None:
    async with a_clinic(tmp_path) as clinic:
        clinic.insert("r1")
        assert await opened_by(tmp_path, *command) == []


async def test_the_watch_sees_a_file_being_opened(tmp_path: Path) -> None:
    """The control: the file is given as the configuration, so Python opens it."""
    async with a_clinic(tmp_path):
        (tmp_path / "config.toml").rename(tmp_path / "clinic.db")
        opened = await opened_by(tmp_path, "check-config", "--config", "clinic.db")
        assert opened
