"""The folder while the daemon runs: what comes is imported and logged, and nothing that fails in it stops anything."""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trio
from loguru import logger

from reminderd.config import Config, load_config
from reminderd.core.imports import FOLDER
from reminderd.daemon.daily_jobs import FilesOfPatients, Timing, old_files
from reminderd.daemon.drop_folder import DropFolder, import_what_is_dropped
from reminderd.files import locked_folder
from reminderd.imports.folder import Folder, delete_moved_files
from reminderd.store.database import Database, open_database
from reminderd.store.import_records import begin_import
from tests.daemon.test_daily_jobs import AT_NOON
from tests.support.builders import DAY, NOW
from tests.support.clock import HandClock
from tests.support.waiting import until

HEADER = "ref,phone,message,at\n"
GOOD = "7,+4930123456,Tomorrow at nine.,2040-01-07 09:30\n"
OFTEN = timedelta(milliseconds=5)


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def loaded(inbox: Path, more: str = "") -> Config:
    text = f'[calling]\ntimezone = "Europe/Berlin"\n[import]\nfolder = "inbox"\n{more}'
    (inbox.parent / "config.toml").write_text(text)
    return load_config(None, {}, inbox.parent)


def drop(inbox: Path, name: str, text: str) -> None:
    """Move a file into the folder that was finished long ago."""
    (inbox / f"{name}.part").write_text(text)
    os.utime(inbox / f"{name}.part", (1_000_000, 1_000_000))
    (inbox / f"{name}.part").rename(inbox / name)


@asynccontextmanager
async def watching(
    inbox: Path, log: list[str], *, more: str = "", clock: HandClock | None = None
) -> AsyncIterator[Database]:
    config, stopping, clock = loaded(inbox, more), trio.Event(), clock or HandClock()
    sink = logger.add(lambda line: log.append(str(line).rstrip()), format="{level} {message}")
    try:
        async with open_database(config.database.target, clock) as database, trio.open_nursery() as nursery:
            folder = DropFolder(
                folder=Folder(inbox),
                config=config,
                database=database,
                clock=clock,
                stopping=stopping,
                look=OFTEN,
                again_after=OFTEN,
            )
            nursery.start_soon(import_what_is_dropped, folder)
            yield database
            stopping.set()
    finally:
        logger.remove(sink)


async def logged(log: list[str], words: str) -> None:
    await until(lambda: any(words in line for line in log))


async def test_each_file_has_one_line_in_the_log(inbox: Path, log: list[str]) -> None:
    async with watching(inbox, log):
        drop(inbox, "good.csv", HEADER + GOOD)
        await logged(log, "good.csv")
        drop(inbox, "partly.csv", HEADER + GOOD + "8,030,Hello.,2040-01-07 09:30\n")
        await logged(log, "partly.csv")
        drop(inbox, "o.csv", "")
        await logged(log, "ERROR o.csv")
    assert log == [
        "INFO imported good.csv: 1 added, 0 changed, 0 unchanged, 0 rejected; moved to done/good.csv",
        "WARNING imported partly.csv: 0 added, 0 changed, 1 unchanged, 1 rejected; moved to done/partly.csv",
        "ERROR o.csv was not imported: it is empty; expected a header and rows below it; moved to rejected/o.csv",
    ]


async def test_of_two_daemons_on_one_folder_one_imports_each_file(inbox: Path, log: list[str]) -> None:
    async with watching(inbox, log) as database, watching(inbox, []):
        for number in range(10):
            drop(inbox, f"{number}.csv", HEADER + GOOD.replace("7", str(number), 1))
            await logged(log, f"moved to done/{number}.csv")
        imports = await database.read(lambda connection: connection.execute("SELECT file FROM imports").fetchall())
    assert sorted(row["file"] for row in imports) == [f"{number}.csv" for number in range(10)]
    assert not [line for line in log if not line.startswith("INFO imported")]


async def test_a_file_waits_while_another_process_works_in_the_folder(
    inbox: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, tries = Folder.lock, list[Folder]()

    def tried(folder: Folder) -> AbstractContextManager[bool]:
        tries.append(folder)
        return alone(folder)

    monkeypatch.setattr(Folder, "lock", tried)
    with locked_folder(inbox) as is_alone:
        assert is_alone
        async with watching(inbox, log):
            drop(inbox, "good.csv", HEADER + GOOD)
            before = len(tries)
            await until(lambda: len(tries) > before + 2)
            assert (inbox / "good.csv").exists()
    async with watching(inbox, log):
        await logged(log, "moved to done/good.csv")


async def test_a_bug_that_a_file_brings_to_light_sets_it_aside_and_the_next_one_is_imported(
    inbox: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr("reminderd.imports.one_file.import_rows", broken)
    async with watching(inbox, log):
        drop(inbox, "odd.csv", HEADER + GOOD)
        await logged(log, "unexpected error")
        await until((inbox / "rejected" / "odd.csv.txt").exists)
        monkeypatch.undo()
        drop(inbox, "good.csv", HEADER + GOOD)
        await logged(log, "imported good.csv")
    assert "unexpected error of reminderd" in (inbox / "rejected" / "odd.csv.txt").read_text()


async def test_a_folder_that_cannot_be_read_is_an_error_and_tried_again(inbox: Path, log: list[str]) -> None:
    await trio.Path(inbox).rmdir()
    await trio.Path(inbox).write_text("no folder")
    async with watching(inbox, log):
        await logged(log, "ERROR nothing is imported from [import].folder: ")
        await trio.Path(inbox).unlink()
        await trio.Path(inbox).mkdir(exist_ok=True)
        drop(inbox, "good.csv", HEADER + GOOD)
        await logged(log, "imported good.csv")


async def test_a_file_that_fails_for_now_stays_and_is_imported_later(
    inbox: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> bool:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("reminderd.imports.one_file.import_rows", failing)
    async with watching(inbox, log):
        drop(inbox, "good.csv", HEADER + GOOD)
        await logged(log, "Input/output error; tried again in a minute")
        monkeypatch.undo()
        await logged(log, "imported good.csv")


async def test_a_file_that_stays_open_for_writing_is_a_warning_once_and_is_imported_when_it_is_closed(
    inbox: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reminderd.imports.folder._WARN_SECONDS", 0.0)
    async with watching(inbox, log):
        drop(inbox, "good.csv", HEADER)
        with (inbox / "list.csv").open("w") as file:
            file.write(HEADER + GOOD)
            await logged(log, "list.csv is not imported: a program has had it open for writing")
        os.utime(inbox / "list.csv", (1, 1))
        await logged(log, "imported list.csv")
    assert len([line for line in log if "open for writing" in line]) == 1


async def test_a_file_that_does_not_come_in_time_is_an_error_once(inbox: Path, log: list[str]) -> None:
    clock = HandClock(time=NOW.replace(hour=5, minute=0))
    async with watching(inbox, log, more='expect_by = "06:30"', clock=clock) as database:
        await database.write(lambda c, now: begin_import(c, now - DAY, file="x", profile=None, actor=FOLDER))
        drop(inbox, "other.csv", "")
        await logged(log, "other.csv")
        clock.advance(timedelta(hours=1))
        missing = "ERROR no file has arrived in [import].folder: one was expected by 2026-03-02 06:30"
        await logged(log, missing)
        drop(inbox, "good.csv", HEADER + GOOD)
        await logged(log, "imported good.csv")
    assert log.count(missing) == 1


async def test_old_files_are_deleted_when_what_the_database_holds_is(inbox: Path, log: list[str]) -> None:
    async with watching(inbox, log):
        drop(inbox, "good.csv", HEADER + GOOD)
        await logged(log, "good.csv")
    clock = HandClock(time=datetime.now(NOW.tzinfo) + 31 * DAY)  # noqa: TID251 - the files' own time
    files = FilesOfPatients("[import].folder", partial(delete_moved_files, inbox))
    job = old_files(files, Timing(daily=AT_NOON, clock=clock, stopping=trio.Event()), days=30)
    sink = logger.add(lambda line: log.append(str(line).rstrip()), format="{level} {message}")
    await job.do()
    await job.do()
    logger.remove(sink)
    assert log[-1] == "INFO deleted from [import].folder: 1 files of more than 30 days ago"
    assert not list((inbox / "done").iterdir())
