"""Test that every outcome is sent exactly once by its id, although the process is killed at each of its writes."""

import csv
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import trio

from reminderd.store.sqlite.driver import connect
from reminderd.store.sqlite.opening import open_sync
from tests.support.hostile_provider import Line, answer, hear, hostile
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.chaos

PATIENTS = 4
KILLS = 9


@asynccontextmanager
async def the_clinics_system(accepted: list[dict[str, str]]) -> AsyncIterator[str]:
    """Run a server that accepts two of three requests, and records what it has accepted."""
    asked = 0

    async def play(line: Line) -> None:
        nonlocal asked
        await hear(line)
        asked += 1
        if asked % 3 == 0:
            await line.stream.send_all(answer(503))
            return
        accepted.append(json.loads(line.server.requests[-1].body)["data"])
        await line.stream.send_all(answer(204))

    async with hostile((play,)) as server:
        yield server.url


def happened(path: Path, number: int) -> None:
    """Have the patients answer, in another program's transaction."""
    with closing(connect(str(path), isolation_level=None)) as program:
        for patient in range(PATIENTS):
            program.execute(f"UPDATE reminders SET response = 'answer {number}' WHERE id = 'r{patient}'").fetchall()


async def deliver(path: Path, url: str, folder: Path, kill: int, moment: str) -> int:
    command = [sys.executable, "-m", "tests.chaos.delivering", str(path), url, str(folder), str(kill), moment]
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(command, check=False, capture_stderr=True)
    assert "Traceback" not in done.stderr.decode(), done.stderr.decode()
    return done.returncode


async def test_each_change_arrives_and_is_in_one_file_though_the_process_is_killed_at_each_write(
    tmp_path: Path,
) -> None:
    path, folder = tmp_path / "clinic.db", tmp_path / "out"
    folder.mkdir()
    with open_sync(path) as connection:
        for patient in range(PATIENTS):
            connection.execute(
                "INSERT INTO reminders (id, phone_number, message, scheduled_at, status)"
                f" VALUES ('r{patient}', '+1202555010{patient}', 'Hello', 0, 'called')"
            ).fetchall()
    accepted: list[dict[str, str]] = []
    kills = 0
    async with the_clinics_system(accepted) as url:
        for moment in ("before", "after"):
            for kill in range(1, KILLS + 1):
                happened(path, kills)
                kills += await deliver(path, url, folder, kill, moment) != 0
        assert kills == 2 * KILLS
        assert await deliver(path, url, folder, 0, "never") == 0
    with open_sync(path) as connection:
        all_of_them = [row["event_id"] for row in connection.execute("SELECT event_id FROM changes ORDER BY seq")]
    assert len(all_of_them) == PATIENTS * (1 + kills)
    in_files: list[str] = []
    for file in sorted(folder.glob("answers-*")):  # a kill may leave an unfinished file
        with file.open(encoding="utf-8", newline="") as text:
            in_files += [row["change_id"] for row in csv.DictReader(text)]
    assert in_files == all_of_them, "each once, in order"
    arrived = [change["id"] for change in accepted]
    assert set(arrived) == set(all_of_them)
    assert max(Counter(arrived).values()) <= 1 + kills
    place = {event_id: number for number, event_id in enumerate(all_of_them)}
    for patient in range(PATIENTS):
        of_one = list(dict.fromkeys(one["id"] for one in accepted if one["reminder_id"] == f"r{patient}"))
        assert of_one == sorted(of_one, key=place.__getitem__), "the changes of one reminder in their order"
