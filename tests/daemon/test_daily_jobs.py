"""Daily jobs: when they run, what they log, and that their errors disturb nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trio
from attrs import define, evolve, field
from loguru import logger

from reminderd.config.load import load_config
from reminderd.core.logins import counters
from reminderd.core.schedule.time_zones import Daily
from reminderd.daemon.daily_jobs import (
    AGAIN_AFTER,
    DailyJob,
    Timing,
    backups,
    change_retention,
    daily_jobs,
    do_daily,
    retention,
)
from reminderd.databases import SqliteFile, Target
from reminderd.files import locked_folder
from reminderd.store.connection import Connection
from reminderd.store.database import Database, open_database
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.outcome_changes import WEBHOOK, queue_deliveries
from reminderd.store.personal_data import mark_unscrubbed, traces_left
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import database_id
from reminderd.store.sqlite.backups import backups_in
from reminderd.store.sqlite.opening import open_sync
from reminderd.store.sqlite.upkeep import scrub
from reminderd.store.users import note_failure
from tests.support.builders import DAY, HOUR, MINUTE, NOW
from tests.support.clock import HandClock, SeenClock
from tests.support.rows import insert_row, sqlite
from tests.support.waiting import PATIENCE, until

AT_NOON = Daily(at=time(12, 0), zone=ZoneInfo("UTC"))
"""`NOW` is ten o'clock."""

OFTEN = timedelta(milliseconds=5)


async def id_of(database: Database) -> str:
    return str(await database.read(database_id))


def _set() -> trio.Event:
    event = trio.Event()
    event.set()
    return event


@define
class Done:
    """Records when the job ran; it fails while `broken`."""

    clock: HandClock
    at: list[datetime] = field(factory=list)
    broken: bool = False
    failure: Exception | None = None
    ends: trio.Event = field(factory=_set)
    """The job ends when this is set."""
    _news: trio.Event = field(factory=trio.Event)

    async def __call__(self) -> None:
        self.at.append(self.clock.now())
        self._news.set()
        self._news = trio.Event()
        await self.ends.wait()
        if self.failure is not None:
            raise self.failure
        if self.broken:
            raise StoreUnavailableError("the disk is full")

    async def times(self, number: int) -> None:
        with trio.fail_after(PATIENCE):
            while len(self.at) < number:
                await self._news.wait()


@pytest.fixture
def lines() -> Any:
    """Return the log lines with their levels."""
    found: list[str] = []
    sink = logger.add(lambda message: found.append(f"{message.record['level'].name} {message.record['message']}"))
    yield found
    logger.remove(sink)


@asynccontextmanager
async def running_job(job: DailyJob) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(do_daily, evolve(job, timing=evolve(job.timing, look=OFTEN)))
        yield
        job.timing.stopping.set()


def at_noon(clock: HandClock, turn: trio.Lock | None = None) -> Timing:
    return Timing(daily=AT_NOON, clock=clock, stopping=trio.Event(), turn=turn or trio.Lock())


def a_job(done: Done, last: datetime | None, turn: trio.Lock | None = None) -> DailyJob:
    return DailyJob("not done", at_noon(done.clock, turn), done, lambda: last)


async def test_a_job_runs_once_a_day_at_its_time() -> None:
    clock = HandClock()
    done = Done(clock)
    async with running_job(a_job(done, NOW - 22 * HOUR)):
        for number, by in enumerate((2 * HOUR, DAY, DAY), start=1):
            clock.advance(by)
            await done.times(number)
    assert done.at == [NOW + 2 * HOUR, NOW + DAY + 2 * HOUR, NOW + 2 * DAY + 2 * HOUR]


async def test_a_job_missed_while_the_daemon_was_off_runs_at_its_start() -> None:
    done = Done(HandClock())
    async with running_job(a_job(done, NOW - 23 * HOUR)):
        await done.times(1)
    assert done.at == [NOW]


async def test_a_job_does_not_run_before_its_time() -> None:
    clock = SeenClock()
    done = Done(clock)
    async with running_job(a_job(done, NOW - HOUR)):
        await clock.is_looked_at_again()
        clock.advance(2 * HOUR - MINUTE)
        await clock.is_looked_at_again()
        assert done.at == []


async def test_a_job_does_not_run_again_before_the_next_day() -> None:
    clock = SeenClock()
    done = Done(clock)
    async with running_job(a_job(done, None)):
        await done.times(1)
        clock.advance(2 * HOUR - MINUTE)
        await clock.is_looked_at_again()
        assert done.at == [NOW]


async def test_a_failed_job_is_logged_as_an_error_and_tried_again_after_an_hour(lines: list[str]) -> None:
    clock = HandClock()
    done = Done(clock, broken=True)
    async with running_job(a_job(done, None)):
        await done.times(1)
        await until(lambda: bool(lines))
        done.broken = False
        clock.advance(AGAIN_AFTER)
        await done.times(2)
    assert lines == ["ERROR not done: the disk is full; tried again in an hour"]
    assert done.at == [NOW, NOW + AGAIN_AFTER]


async def test_an_unexpected_error_is_logged_with_its_traceback_and_tried_again() -> None:
    clock = HandClock()
    done = Done(clock, failure=KeyError("a bug"))
    logged: list[str] = []
    sink = logger.add(lambda message: logged.append(str(message)), format="{message}", backtrace=False, diagnose=False)
    async with running_job(a_job(done, None)):
        await done.times(1)
        await until(lambda: bool(logged))
        clock.advance(AGAIN_AFTER)
        await done.times(2)
    logger.remove(sink)
    assert logged[0].startswith("not done: unexpected error; tried again in an hour\nTraceback ")
    assert "test_daily_jobs.py" in logged[0]


async def test_jobs_run_one_after_the_other() -> None:
    clock, turn = HandClock(), trio.Lock()
    first, second = Done(clock, ends=trio.Event()), Done(clock)
    async with running_job(a_job(first, None, turn)):
        await first.times(1)
        async with running_job(a_job(second, None, turn)):
            await until(lambda: turn.statistics().tasks_waiting == 1)
            assert second.at == []
            first.ends.set()
            await second.times(1)


async def test_a_job_whose_turn_comes_after_the_stop_does_not_begin() -> None:
    clock, turn = HandClock(), trio.Lock()
    done = Done(clock)
    async with turn, trio.open_nursery() as nursery:
        job = a_job(done, None, turn)
        nursery.start_soon(do_daily, job)
        await until(lambda: turn.statistics().tasks_waiting == 1)
        job.timing.stopping.set()
        turn.release()
        await until(lambda: not nursery.child_tasks)
        await turn.acquire()
    assert done.at == []


async def test_the_daemons_jobs_share_one_lock(tmp_path: Path) -> None:
    environ = {"REMINDERD__BACKUP__FOLDER": "copies", "REMINDERD__PROVIDER__KIND": "sandbox"}
    config = load_config(None, environ, tmp_path)
    async with open_database(SqliteFile(tmp_path / "db"), HandClock()) as database:
        found = daily_jobs(config, [], database=database, clock=HandClock(), stopping=trio.Event())
    assert len(found) == 3
    assert len({id(job.timing.turn) for job in found}) == 1


async def test_a_backup_dated_in_the_future_is_logged_and_does_not_prevent_a_new_one(
    tmp_path: Path, lines: list[str]
) -> None:
    clock = HandClock()
    async with open_database(SqliteFile(tmp_path / "db"), clock) as database:
        family = f"db-{await id_of(database):.8}"
        future = tmp_path / f"{family}-20990101T000000Z.db"
        future.touch()
        job = backups(tmp_path / "db", tmp_path, at_noon(clock), keep=1)
        async with running_job(job):
            await until(lambda: len(lines) == 2)
    assert lines[0].startswith(f"INFO backup made: {family}-20260302T100000Z.db, ")
    assert lines[1] == f"WARNING not counted and not deleted: {future.name}, as its date is in the future"


async def test_a_backup_is_made_logged_and_found_after_a_restart(tmp_path: Path, lines: list[str]) -> None:
    clock = SeenClock()
    database, folder = tmp_path / "reminderd.db", tmp_path / "copies"
    async with open_database(SqliteFile(database), clock) as opened:
        own_id = await id_of(opened)
        for _ in range(2):
            job = backups(database, folder, at_noon(clock), keep=3)
            async with running_job(job):
                await until(lambda: bool(lines))
                await clock.is_looked_at_again(20)  # more often than for a backup: it waits for the next day
            clock.advance(MINUTE)
    assert [backup.made_at for backup in backups_in(folder, database, own_id)] == [NOW]
    [line] = lines
    assert line.startswith(f"INFO backup made: reminderd-{own_id:.8}-20260302T100000Z.db, ")


async def test_of_two_daemons_one_makes_the_backup(tmp_path: Path, lines: list[str]) -> None:
    clock = SeenClock()
    database, folder = tmp_path / "reminderd.db", tmp_path / "copies"
    async with open_database(SqliteFile(database), clock) as opened:
        own_id = await id_of(opened)
        one, other = (backups(database, folder, at_noon(clock), keep=3) for _ in range(2))
        async with running_job(one), running_job(other):
            await until(lambda: lines and not (one.timing.turn.locked() or other.timing.turn.locked()))
            clock.advance(DAY)  # not while the other waits to make that of the day before
            await until(lambda: len(lines) == 2)
            await clock.is_looked_at_again(20)
    assert [backup.made_at for backup in backups_in(folder, database, own_id)] == [NOW, NOW + DAY]
    assert len(lines) == 2


async def test_a_backup_waits_for_a_process_that_is_making_one_and_is_made_if_that_fails(
    tmp_path: Path, lines: list[str]
) -> None:
    clock = SeenClock()
    async with open_database(SqliteFile(tmp_path / "db"), clock) as opened:

        def job_of_a_run() -> DailyJob:
            return backups(tmp_path / "db", tmp_path, at_noon(clock), keep=3)

        with locked_folder(tmp_path) as is_alone:
            assert is_alone
            job = job_of_a_run()
            async with running_job(job):
                await until(job.timing.turn.locked)
                assert backups_in(tmp_path, tmp_path / "db", await id_of(opened)) == []
            assert lines == [], "a stop does not wait for it"
        async with running_job(job_of_a_run()):
            await until(lambda: bool(lines))


async def test_a_failed_backup_is_logged_and_tried_again(tmp_path: Path, lines: list[str]) -> None:
    clock = HandClock()
    folder = tmp_path / "missing" / "copies"
    async with open_database(SqliteFile(tmp_path / "db"), clock):
        job = backups(tmp_path / "db", folder, at_noon(clock), keep=3)
        async with running_job(job):
            await until(lambda: bool(lines))
    what = "there is no folder above it: make the folder, or mount its disk"
    assert lines == [f"ERROR no backup was made: [backup].folder: {what}; tried again in an hour"]


async def test_errors_in_the_database_are_logged_after_its_backup(tmp_path: Path, lines: list[str]) -> None:
    clock = HandClock()
    async with open_database(SqliteFile(tmp_path / "db"), clock) as database:
        await insert(database, "r1", status="called", wake_at=None)
        with open_sync(tmp_path / "db") as clinics_own:
            clinics_own.execute("PRAGMA foreign_keys = OFF")
            clinics_own.execute("CREATE TABLE clinics_own (call_id TEXT REFERENCES call_logs (id))")
            clinics_own.execute("INSERT INTO clinics_own VALUES ('deleted')")
        job = backups(tmp_path / "db", tmp_path, at_noon(clock), keep=3)
        async with running_job(job):
            await until(lambda: len(lines) == 2)
    assert lines[1] == "ERROR the database, and so its backup, has 1 errors: see reminderd db check"


@pytest.mark.also_on_postgres
async def test_old_reminders_are_purged_at_the_start_and_then_every_day(target: Target, lines: list[str]) -> None:
    clock = HandClock()
    async with open_database(target, clock) as database:
        for name, age in (("old", 31 * DAY), ("young", 30 * DAY - HOUR)):
            at = to_ms(NOW - age)
            await insert(database, name, status="called", wake_at=None, scheduled_at=at, updated_at=at)
        job = retention(database, at_noon(clock), days=30)
        async with running_job(job):
            await until(lambda: bool(lines))
            assert await messages(database) == {"old": "", "young": "Secret words"}
            clock.advance(2 * HOUR)
            await until(lambda: len(lines) == 2)
            assert await messages(database) == {"old": "", "young": ""}
    assert lines == ["INFO purged: 1 reminders of more than 30 days ago"] * 2
    if isinstance(target, SqliteFile):
        assert b"Secret words" not in target.path.read_bytes()


@pytest.mark.also_on_postgres
async def test_old_changes_of_outcomes_are_deleted(target: Target) -> None:
    clock = HandClock()

    async def kept() -> bool:
        return await database.read(lambda c: [row[0] for row in c.execute("SELECT seq FROM changes")]) == [3, 4]

    async with open_database(target, clock) as database:
        for number, age in enumerate((9, 8, 7, 1)):
            at = to_ms(NOW - age * DAY)
            await insert(database, f"r{number}", status="called", wake_at=None, scheduled_at=at, updated_at=at)
            dated = f"UPDATE changes SET at = {at} WHERE seq = {number + 1}"
            await database.write(lambda c, _now, dated=dated: c.execute(dated).fetchall())  # type: ignore[misc] # bound
        await database.write(queue_deliveries)
        job_of = partial(change_retention, database, at_noon(clock), days=5)
        for ways, waiting in (((WEBHOOK,), 4), ((), 0)):
            await job_of(ways=ways).do()
            assert await database.read(lambda c: c.execute("SELECT count(*) FROM deliveries").fetchone()[0]) == waiting
        job = job_of(ways=())
        async with running_job(job):
            await until(kept)


@pytest.mark.also_on_postgres
async def test_old_failures_to_log_in_are_forgotten_even_if_nothing_is_purged(target: Target) -> None:
    clock = HandClock()

    async def are_forgotten() -> bool:
        return await database.read(lambda c: c.execute("SELECT counter FROM login_failures").fetchone()) is None

    async with open_database(target, clock) as database:
        stranger = counters("anna", "198.51.100.7", exists=False, is_known=False)
        await database.write(partial(note_failure, counted=stranger, detail=""))
        assert not await are_forgotten()
        clock.advance(DAY)
        async with running_job(retention(database, at_noon(clock), days=0)):
            await until(are_forgotten)


@pytest.mark.parametrize("days", [0, 30])
async def test_an_interrupted_rewrite_is_finished_at_the_next_start(tmp_path: Path, days: int) -> None:
    clock = HandClock()
    async with open_database(SqliteFile(tmp_path / "db"), clock) as database:
        await leave_traces(database)
        assert await unused_pages(database) > 0
        job = retention(database, at_noon(clock), days=days)
        async with running_job(job):
            await until(lambda: is_scrubbed(database))
        assert await unused_pages(database) == 0


async def test_a_failed_rewrite_is_tried_again_after_an_hour(
    tmp_path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [StoreUnavailableError("the disk is full")]

    def scrub_after_an_error(connection: Connection) -> bool:
        if errors:
            raise errors.pop()
        return scrub(sqlite(connection))

    monkeypatch.setattr("reminderd.daemon.daily_jobs.scrub", scrub_after_an_error)
    clock = HandClock()
    async with open_database(SqliteFile(tmp_path / "db"), clock) as database:
        at = to_ms(NOW - 31 * DAY)
        await insert(database, "old", status="called", wake_at=None, scheduled_at=at, updated_at=at)
        job = retention(database, at_noon(clock), days=30)
        async with running_job(job):
            await until(lambda: len(lines) == 2)
            assert not await is_scrubbed(database)
            clock.advance(AGAIN_AFTER)
            await until(lambda: is_scrubbed(database))
    assert lines[1] == "ERROR the purge failed: the disk is full; tried again in an hour"


async def test_a_wal_that_a_reader_holds_is_emptied_an_hour_later(tmp_path: Path, lines: list[str]) -> None:
    clock = HandClock()
    async with open_database(SqliteFile(tmp_path / "db"), clock) as database:
        await leave_traces(database)
        job = retention(database, at_noon(clock), days=30)
        with open_sync(tmp_path / "db") as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM reminders").fetchone()
            async with running_job(job):
                await until(lambda: bool(lines))
                reader.execute("ROLLBACK")
                assert not await is_scrubbed(database)
                clock.advance(AGAIN_AFTER)
                await until(lambda: is_scrubbed(database))
    [line] = lines
    assert line.startswith("WARNING traces of purged reminders are in the -wal file, as another program reads")
    assert line.endswith("; tried again in an hour")


async def test_a_file_too_large_to_rewrite_is_logged(tmp_path: Path, lines: list[str]) -> None:
    clock = HandClock()
    async with open_database(SqliteFile(tmp_path / "db"), clock) as database:
        at = to_ms(NOW - 31 * DAY)
        await insert(database, "old", status="called", wake_at=None, scheduled_at=at, updated_at=at)
        job = retention(database, at_noon(clock), days=30, most_bytes=8192)
        async with running_job(job):
            await until(lambda: len(lines) == 2)
        assert await messages(database) == {"old": ""}
    assert lines[1] == (
        "WARNING traces of purged reminders may be left in the file: run reminderd purge at a quiet time"
    )


async def insert(database: Database, name: str, **columns: Any) -> None:
    row = {"id": name, "phone_number": "+12025550147", "message": "Secret words", "scheduled_at": to_ms(NOW), **columns}
    await database.write(lambda connection, _now: insert_row(connection, "reminders", row))


async def leave_traces(database: Database) -> None:
    """Leave what a purge leaves that was interrupted before the rewrite."""
    await insert(database, "deleted", message="x" * 50_000)
    await execute(database, "DELETE FROM reminders WHERE id = 'deleted'")
    await database.write(lambda connection, _now: mark_unscrubbed(connection))


async def unused_pages(database: Database) -> int:
    return await database.read(lambda c: int(c.execute("PRAGMA freelist_count").fetchone()[0]))


async def is_scrubbed(database: Database) -> bool:
    return await database.read(traces_left) is None


async def execute(database: Database, sql: str, *values: Any) -> None:
    await database.write(lambda connection, _now: connection.execute(sql, values).fetchall())


async def messages(database: Database) -> dict[str, str]:
    return await database.read(lambda c: {row[0]: row[1] for row in c.execute("SELECT id, message FROM reminders")})
