"""Each change is in exactly one file, whole, whatever ends the process in between."""

import csv
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, time, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trio

from reminderd.clock import SystemClock
from reminderd.core.schedule.time_zones import Daily
from reminderd.databases import Target
from reminderd.results import answer_files
from reminderd.results.answer_files import Files, due_every, forget_answers, keep_writing
from reminderd.results.forms import Form
from reminderd.store.database import Database, open_database
from reminderd.store.outcome_changes import FOLDER, read_progress
from tests.support.builders import NOW
from tests.support.clock import HandClock, SeenClock
from tests.support.waiting import until

pytestmark = pytest.mark.also_on_postgres

ZONE = ZoneInfo("Europe/Berlin")
CLOCK = SystemClock()
OWN: Mapping[str, str] = MappingProxyType({})


class KilledError(Exception):
    """The process was killed here."""


def files(
    database: Database,
    into: Path,
    clock: HandClock,
    due: Callable[[datetime | None, datetime], datetime] = due_every(1),  # noqa: B008 - it never changes
) -> Files:
    form = Form(format="csv", columns=OWN, zone=ZONE)
    return Files(folder=into, form=form, profile="", due=due, database=database, clock=clock, stopping=trio.Event())


@asynccontextmanager
async def writing(some: Files) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_writing, some)
        yield
        some.stopping.set()


async def ended(database: Database, *names: str) -> None:
    rows = ", ".join(f"('{name}', '{name}', '+12025550101', 'Secret words', 0, 'called')" for name in names)
    sql = f"INSERT INTO reminders (id, ref, phone_number, message, scheduled_at, status) VALUES {rows}"
    await database.write(lambda connection, _now: connection.execute(sql).fetchall())


async def until_noted(database: Database, seq: int) -> None:
    async def is_noted() -> bool:
        cursor = (await database.read(lambda connection: read_progress(connection, FOLDER))).cursor
        return cursor is not None and cursor.seq == seq

    await until(is_noted)


def names(into: Path) -> list[str]:
    return sorted(file.name for file in into.iterdir())


def rows(into: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for file in sorted(into.iterdir()):
        with file.open(encoding="utf-8", newline="") as text:
            found += csv.DictReader(text)
    return found


def refs(into: Path) -> list[str]:
    return [row["ref"] for row in rows(into)]


async def test_each_file_has_what_has_changed_since_the_one_before(tmp_path: Path, target: Target) -> None:
    clock, into = HandClock(), tmp_path / "out"
    into.mkdir()
    async with open_database(target, CLOCK) as database:
        await ended(database, "a", "b")
        async with writing(files(database, into, clock)):
            await until_noted(database, 2)
        await ended(database, "c")
        clock.advance(timedelta(minutes=2))
        for _ in range(2):
            async with writing(files(database, into, clock)):
                await until_noted(database, 3)
    assert refs(into) == ["a", "b", "c"]
    assert [name[:25] for name in names(into)] == ["answers-00000001-00000002", "answers-00000003-00000003"]
    assert len({row["change_id"] for row in rows(into)}) == 3
    assert "Secret" not in "".join(file.read_text() for file in into.iterdir())


@pytest.mark.parametrize("place", ["put_in_place", "note_file"])
async def test_after_a_kill_the_same_file_is_there_once_and_later_changes_are_in_the_next_one(
    tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    clock, into = HandClock(), tmp_path / "out"
    into.mkdir()

    def die(*_: object, **__: object) -> None:
        raise KilledError

    async with open_database(target, CLOCK) as database:
        await ended(database, "a", "b")
        with monkeypatch.context() as killing:
            killing.setattr(answer_files, place, die)
            with pytest.raises(KilledError):
                await keep_writing(files(database, into, clock))
        await ended(database, "c")
        async with writing(files(database, into, clock)):
            await until_noted(database, 2)
        clock.advance(timedelta(minutes=2))
        async with writing(files(database, into, clock)):
            await until_noted(database, 3)
    assert refs(into) == ["a", "b", "c"]
    assert len(names(into)) == 2, "and nothing unfinished is left"


async def test_one_file_is_written_after_each_day(
    tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_files, "_LOOK", 0.01)
    clock, into = SeenClock(), tmp_path / "out"
    into.mkdir()
    daily = Daily(at=time(), zone=ZONE).due
    async with open_database(target, clock) as database:
        await ended(database, "a")
        async with writing(files(database, into, clock, daily)):
            await until_noted(database, 1)
        await ended(database, "b")
        clock.advance(timedelta(hours=12))
        async with writing(files(database, into, clock, daily)):
            await clock.is_looked_at_again()
        assert refs(into) == ["a"], "it is 23 o'clock in Berlin"
        clock.advance(timedelta(hours=2))
        async with writing(files(database, into, clock, daily)):
            await until_noted(database, 2)
    assert refs(into) == ["a", "b"]


async def test_a_clock_that_was_ahead_does_not_hold_up_the_next_file(tmp_path: Path, target: Target) -> None:
    into = tmp_path / "out"
    into.mkdir()
    ahead = HandClock()
    ahead.advance(timedelta(days=300))
    async with open_database(target, ahead) as database:
        await ended(database, "a")
        async with writing(files(database, into, ahead)):
            await until_noted(database, 1)
        await ended(database, "b")
        async with writing(files(database, into, HandClock(), Daily(at=time(), zone=ZONE).due)):
            await until_noted(database, 2)


async def test_a_folder_that_cannot_be_written_is_an_error_once_and_nothing_is_lost(
    tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    monkeypatch.setattr(answer_files, "_LOOK", 0.01)
    clock, into = SeenClock(), tmp_path / "out"
    async with open_database(target, CLOCK) as database:
        await ended(database, "a")
        async with writing(files(database, into, clock)):
            await until(lambda: bool(lines))
            await clock.is_looked_at_again()
            into.mkdir()
            await until_noted(database, 1)
    assert refs(into) == ["a"]
    errors = [line for line in lines if line.startswith("ERROR")]
    what = "ERROR results: no file could be written to [results].folder: No such file or directory"
    assert errors == [f"{what}; make the folder, and let the daemon write to it; it is tried again until it works"]


async def test_after_a_restore_everything_that_is_kept_is_in_files_with_other_names(
    tmp_path: Path, target: Target
) -> None:
    clock, into = HandClock(), tmp_path / "out"
    into.mkdir()
    async with open_database(target, CLOCK) as database:
        await ended(database, "a", "b")
        async with writing(files(database, into, clock)):
            await until_noted(database, 2)
        other_ids = "UPDATE changes SET event_id = substr(event_id, 2) || substr(event_id, 1, 1)"
        await database.write(lambda connection, _now: connection.execute(other_ids).fetchall())
        clock.advance(timedelta(minutes=2))
        async with writing(files(database, into, clock)):
            await until(lambda: len(names(into)) == 2)
            await until_noted(database, 2)
    assert sorted(refs(into)) == ["a", "a", "b", "b"]


def test_old_files_are_deleted_and_nothing_else_is(tmp_path: Path) -> None:
    ours, young = "answers-00000001-00000002-3f9a12bc.csv", "answers-00000003-00000004-3f9a12bc.hl7"
    for name in (ours, young, "answers-old.csv", "other.csv"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1_000_000, 1_000_000))
    os.utime(tmp_path / young)
    (tmp_path / ours.replace("1-", "5-")).symlink_to(tmp_path / "other.csv")
    assert forget_answers(tmp_path, NOW) == 1
    assert {path.name for path in tmp_path.iterdir()} == {
        young,
        "answers-old.csv",
        "other.csv",
        ours.replace("1-", "5-"),
    }
