"""Test a disk that is full, fails, is read-only or locked: nothing is lost, and nobody is called unrecorded.

The daemon is a real, separate process that is never restarted: it must recover by itself.
"""

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from attrs import define, field

from reminderd.clock import SystemClock
from reminderd.core.lifecycle.transition import Action
from reminderd.core.model import CallState, Status
from reminderd.core.rules import Rules
from reminderd.engine.context import Context
from reminderd.store import database
from reminderd.store.connection import snapshot
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.copying import copy
from reminderd.store.sqlite.integrity import integrity_errors
from reminderd.store.sqlite.opening import open_sync
from reminderd.store.sqlite.restoring import restore
from reminderd.store.threads import Runner, worker_threads
from tests.support.clinic import Clinic, a_clinic, failing_parts, until_failing, until_ready
from tests.support.clock import HandClock
from tests.support.engine import an_engine
from tests.support.generic_server import Ring, send, webhook
from tests.support.program import Program, running
from tests.support.waiting import PATIENCE

T = TypeVar("T")

pytestmark = pytest.mark.chaos

SMALL = 1400 * 1024
"""Bytes of the small disk; the database takes a fifth of them."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder on a separate disk that is soon full."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("a disk of its own needs root and mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk of its own: {mounted.stderr}")
    try:
        yield disk
    finally:
        subprocess.run([umount, disk], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill all the space that is left with another program's file."""
    ballast = disk / "somebody-elses.log"
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for size in (65536, 4096, 1):
            try:
                while os.write(descriptor, b"\0" * size):
                    pass
            except OSError:
                continue
        yield
    finally:
        os.close(descriptor)
        ballast.unlink()


def rings_only_what_is_recorded(clinic: Clinic) -> None:
    """Check, from now on and while the phone rings, that the call of each ring is committed, by another connection."""

    def look(ring: Ring) -> None:
        assert ring.attempt_id in {call.id for call in clinic.calls(ring.reminder_id)}

    clinic.provider.on_ring = look


@asynccontextmanager
async def a_daemon(folder: Path, **changes: Any) -> AsyncIterator[tuple[Clinic, Program, str, Ring]]:
    """Run a daemon that has placed one call, for `r0`, and waits for the report of that call."""
    async with a_clinic(folder, **changes) as clinic:
        rings_only_what_is_recorded(clinic)
        async with running("run", cwd=folder) as program:
            url = await program.url()
            clinic.insert("r0")
            [ring] = await clinic.provider.rang(1)
            await clinic.until("r0", "processing")
            yield clinic, program, url, ring
            assert await program.terminate() == 0
            assert not [line for line in program.lines if "Traceback" in line]
        async with running("db", "check", cwd=folder) as check:
            assert await check.ended() == 0, check.lines


def insert_soon_due(clinic: Clinic) -> None:
    """Add three reminders that become due while the disk fails, late enough for a slow machine."""
    due = to_ms(SystemClock().now() + timedelta(seconds=2))
    for number in range(1, 4):
        clinic.insert(f"r{number}", f"+1202555001{number}", scheduled_at=due)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of another program that is writing."""
    with open_sync(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


async def refused_then_accepted(
    clinic: Clinic, program: Program, url: str, ring: Ring, fault: AbstractContextManager[None], *, claims_fail: bool
) -> None:
    """Check what must hold during and after a fault; with `claims_fail`, it lasts until a claim has failed."""
    report = webhook(ring, transcript="I'll come.")
    with fault:
        answer = await send(clinic.client, url, report)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert await until_failing(clinic, url, "database")
        if claims_fail:
            await program.line("nothing can be claimed")
            await until_failing(clinic, url, "poll loop")
        assert clinic.provider.rings == [ring]
    await until_ready(clinic, url)
    answer = await send(clinic.client, url, report)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert clinic.reminder("r0").status is Status.CALLED
    assert [call.transcript for call in clinic.calls("r0")] == ["I'll come."]
    for number in range(1, 4):
        await clinic.until(f"r{number}", "processing")
    assert sorted(ring.reminder_id for ring in clinic.provider.rings) == ["r0", "r1", "r2", "r3"]


async def test_on_a_full_disk_webhooks_get_503_and_nobody_is_called_until_there_is_room(small_disk: Path) -> None:
    """If the claim were not committed before the request, phones would ring unrecorded."""
    async with a_daemon(small_disk) as (clinic, program, url, ring):
        insert_soon_due(clinic)
        await refused_then_accepted(clinic, program, url, ring, full(small_disk), claims_fail=True)


async def test_on_a_failing_disk_webhooks_get_503_and_nobody_is_called_until_it_works(tmp_path: Path) -> None:
    """For SQLite, an I/O error is not the same error as a full disk; it must be handled in the same way."""
    async with a_daemon(tmp_path) as (clinic, program, url, ring):
        insert_soon_due(clinic)
        await refused_then_accepted(clinic, program, url, ring, program.unable_to_write(), claims_fail=True)


async def test_on_a_locked_database_webhooks_get_503_and_nobody_is_called_until_unlocked(tmp_path: Path) -> None:
    """The lock is held for longer than the daemon waits for it (5 s); without that limit, a webhook would hang."""
    async with a_daemon(tmp_path) as (clinic, program, url, ring):
        insert_soon_due(clinic)
        await refused_then_accepted(clinic, program, url, ring, locked(tmp_path / "clinic.db"), claims_fail=False)


async def test_an_answer_received_on_a_full_disk_is_recorded_once_there_is_room(small_disk: Path) -> None:
    """If the answer were not written again, the call's id would be lost and the reminder would become unconfirmed."""
    async with a_daemon(small_disk, lease_seconds=4, timeout_seconds=2) as (clinic, program, url, _ring):
        clinic.provider.latency = 0.5
        clinic.insert("r1", "+12025550011")
        rings = await clinic.provider.rang(2)
        with full(small_disk):
            await program.line("not recorded yet")
            assert "full" in await until_failing(clinic, url, "database")
            assert clinic.reminder("r1").status is Status.DIALING
        await clinic.until("r1", "processing")
        assert [call.external_call_id for call in clinic.calls("r1")] == [rings[1].call_id]
        assert len(clinic.provider.rings) == 2


async def test_a_wal_that_a_reader_held_until_the_disk_was_full_shrinks_afterward(
    small_disk: Path,
) -> None:
    """SQLite shrinks its log only after a commit, and a full disk allows none: the writer must do it itself."""
    async with a_daemon(small_disk) as (clinic, _program, url, ring):
        progress = webhook(ring, "ringing")
        with open_sync(small_disk / "clinic.db") as reader:
            reader.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # it takes all the space that it needs
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM reminders").fetchall()
            with trio.fail_after(PATIENCE):
                while (await send(clinic.client, url, progress)).status_code == 200:
                    pass
            assert "full" in (await failing_parts(clinic, url))["database"]
            assert (small_disk / "clinic.db-wal").stat().st_size > SMALL / 2
            reader.execute("ROLLBACK")
        await until_ready(clinic, url)
        assert (await send(clinic.client, url, webhook(ring))).status_code == 200
        assert clinic.reminder("r0").status is Status.CALLED


_READS = {snapshot, database._run, database._run_alone}
"""The functions that only read, of the database's calls."""


@define
class FlakyThreads:
    """Runs the database's calls, except reads while `unreadable`."""

    unreadable: bool = False
    _threads: Runner = field(factory=worker_threads)

    async def __call__(self, call: Callable[[], T], /) -> T:
        if self.unreadable and getattr(call, "func", None) in _READS:
            raise StoreUnavailableError("the disk failed to read")
        return await self._threads(call)


async def test_a_poll_loop_that_could_not_read_for_a_while_recovers(tmp_path: Path) -> None:
    """The loop reads at every turn, and four times a second while it waits; nobody else catches an error."""
    threads = FlakyThreads()
    async with an_engine(tmp_path / "db", HandClock(), interval=timedelta(minutes=1), runner=threads) as engine:
        await engine.insert("r1")
        await engine.until("r1", "processing")
        for _ in range(2):
            threads.unreadable = True
            await engine.until_failure()
            threads.unreadable = False
            await engine.until_failure(ends=True)
        await engine.insert("r2")
        await engine.until("r2", "processing")


async def test_a_request_whose_last_look_fails_is_not_sent_and_leaves_no_work_for_staff(tmp_path: Path) -> None:
    """Nothing was sent: if the row stayed as it is, it would count as unconfirmed at the end of its lease."""
    threads = FlakyThreads()
    async with an_engine(tmp_path / "db", HandClock(), runner=threads) as engine:
        dial = engine.poller.dial
        kept_back = trio.Event()

        async def blindly(action: Action, claimed_at: float, *, context: Context) -> None:
            engine.poller.dial = dial
            threads.unreadable = True
            await dial(action, claimed_at, context=context)
            threads.unreadable = False
            kept_back.set()

        engine.poller.dial = blindly
        await engine.insert("r1")
        await kept_back.wait()
        await engine.until("r1", "processing")
        assert [call.state for call in await engine.calls("r1")] == [CallState.NOT_PLACED, CallState.PLACED]
    assert len(engine.provider.placed) == 1


async def test_a_read_only_disk_is_a_one_line_error_and_nobody_is_called(small_disk: Path) -> None:
    async with a_daemon(small_disk) as (clinic, _program, url, ring):
        assert (await send(clinic.client, url, webhook(ring))).status_code == 200
    mount = shutil.which("mount")
    assert mount is not None
    async with a_clinic(small_disk) as clinic:
        clinic.insert("r1", scheduled_at=to_ms(clinic.reminder("r0").scheduled_at))
        await trio.run_process([mount, "-o", "remount,ro", small_disk])
        async with running("run", cwd=small_disk) as program:
            assert await program.ended() == 1
        [line] = [line for line in program.lines if "ERROR" in line]
        assert "no permission to write" in line
        assert not [line for line in program.lines if "Traceback" in line]
        assert clinic.provider.requests == []
        await trio.run_process([mount, "-o", "remount,rw", small_disk])
        async with running("run", cwd=small_disk) as program:
            await clinic.until("r1", "processing")


def a_database_and_its_backup(disk: Path, backup: Path) -> None:
    """Create a database that has changed since its backup."""
    with open_sync(disk / "reminderd.db") as connection:
        copy(connection, backup)
        connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+12025550147')")


def names(disk: Path) -> list[str]:
    return sorted(file.name for file in disk.iterdir())


def opt_outs_in(disk: Path) -> list[str]:
    with open_sync(disk / "reminderd.db") as connection:
        assert integrity_errors(connection) == []
        return [row["phone_number"] for row in connection.execute("SELECT phone_number FROM opt_outs")]


async def test_a_restore_on_a_full_disk_is_a_one_line_error_and_changes_nothing(
    small_disk: Path, tmp_path: Path
) -> None:
    a_database_and_its_backup(small_disk, tmp_path / "backup.db")
    with full(small_disk):
        async with running("db", "restore", str(tmp_path / "backup.db"), "--force", cwd=small_disk) as program:
            assert await program.ended() == 1
        [line] = program.lines
        assert re.search(r"reminderd\.db: not enough room: \d\.\d MiB are needed there, 0\.0 MiB are free$", line)
    assert (names(small_disk), opt_outs_in(small_disk)) == (["reminderd.db"], ["+12025550147"])


def test_a_disk_that_fills_up_during_a_restore_leaves_the_database_unchanged(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs may fill the disk after it was found to have enough room."""
    a_database_and_its_backup(small_disk, tmp_path / "backup.db")
    ballast = small_disk / "somebody-elses.log"

    def forced(file: Path) -> None:
        if file == small_disk:  # a copy of the replaced file is kept, and none of it is overwritten yet
            ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 65_536))

    monkeypatch.setattr("reminderd.files.force_to_disk", forced)
    with pytest.raises(StoreUnavailableError, match="full"):
        restore(
            small_disk / "reminderd.db",
            tmp_path / "backup.db",
            SystemClock().now(),
            actor="anna",
            replace=True,
            rules=Rules(),
        )
    assert names(small_disk) == ["reminderd.db", ballast.name]
    ballast.unlink()
    assert opt_outs_in(small_disk) == ["+12025550147"]
