"""Signals that arrive while the daemon is still starting: none ends it half way, and none is lost."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio

from reminderd.core.model import Status
from tests.support.clinic import Clinic
from tests.support.program import FRESH, Program, running
from tests.support.waiting import PATIENCE, until


@asynccontextmanager
async def held_at_its_configuration(clinic: Clinic) -> AsyncIterator[tuple[Program, trio.Event]]:
    """Run a daemon that waits in its start for its configuration, a pipe, until the event is set."""
    pipe, written = clinic.folder / "pipe.toml", trio.Event()
    os.mkfifo(pipe)

    async def write() -> None:
        writer = await trio.to_thread.run_sync(lambda: pipe.open("w"))  # waits for the daemon to read
        reached.set()
        await written.wait()
        with suppress(BrokenPipeError), writer:  # it may have ended
            writer.write((clinic.folder / "config.toml").read_text())
            (clinic.folder / "config.toml").rename(pipe)  # for a reload

    reached = trio.Event()
    start = running("run", "--config", "pipe.toml", cwd=clinic.folder, entrance=FRESH)
    async with trio.open_nursery() as nursery, start as program:
        nursery.start_soon(write)
        with trio.fail_after(PATIENCE):
            await reached.wait()
        yield program, written
        written.set()


async def test_a_sighup_during_the_start_is_a_reload_once_the_daemon_runs(clinic: Clinic) -> None:
    async with held_at_its_configuration(clinic) as (program, go_on):
        program.process.send_signal(signal.SIGHUP)
        go_on.set()
        await program.line("started")
        await program.line("configuration reloaded, changed: nothing")
        assert await program.terminate() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_during_the_start_is_graceful_and_nobody_is_called(clinic: Clinic, number: signal.Signals) -> None:
    clinic.insert("r1")
    async with held_at_its_configuration(clinic) as (program, go_on):
        program.process.send_signal(number)
        go_on.set()
        assert await program.ended() == 0
        await program.line(f"{number.name}: stopping, it came during the start")
        await program.line("stopped")
        assert not [line for line in program.lines if "Traceback" in line]
    assert clinic.reminder("r1").status is Status.SCHEDULED
    assert clinic.provider.rings == []
    async with running("db", "check", cwd=clinic.folder, env={"REMINDERD_CONFIG": "pipe.toml"}) as check:
        assert await check.ended() == 0


async def test_a_second_stop_during_the_start_ends_it_at_once(clinic: Clinic) -> None:
    async with held_at_its_configuration(clinic) as (program, _):
        program.process.terminate()

        def has_ended() -> bool:
            program.process.terminate()  # again and again, as two that arrive together are one
            return program.process.poll() is not None

        await until(has_ended)
        assert program.process.returncode == -signal.SIGTERM
