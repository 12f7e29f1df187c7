import os
import resource
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import trio
from attrs import define, field
from trio.testing import MockClock

from reminderd.daemon.readiness import Heartbeat, Supervisor, keep_notified, supervisor_of
from tests.support.systemd import SystemdStandIn, a_supervisor

WATCHDOG = timedelta(seconds=60)
PATIENCE = 30.0


@define
class Life:
    """A run whose heartbeat the test controls."""

    clock: MockClock
    ready: trio.Event = field(factory=trio.Event)
    stopping: trio.Event = field(factory=trio.Event)
    ended: trio.Event = field(factory=trio.Event)
    last_sign: float | None = None
    """The time of the last sign of life; None if it stays alive."""
    error: str | None = None

    def silence(self) -> float:
        return 0.0 if self.last_sign is None else self.clock.current_time() - self.last_sign

    async def notifies(self, who: Supervisor) -> None:
        heartbeat = Heartbeat(ready=self.ready.wait, silence=self.silence, error=lambda: self.error)
        await keep_notified(who, heartbeat, stopping=self.stopping, stop_within=timedelta(seconds=25))
        self.ended.set()


@asynccontextmanager
async def attended(name: str, life: Life) -> AsyncIterator[SystemdStandIn]:
    async with a_supervisor(name, WATCHDOG, patience=7200) as systemd, trio.open_nursery() as nursery:
        nursery.start_soon(life.notifies, supervisor_of(systemd.environ))
        yield systemd
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("is_abstract", [False, True])
async def test_the_supervisor_is_notified_of_the_start_and_of_the_stop_with_its_timeout(
    tmp_path: Path, autojump_clock: MockClock, *, is_abstract: bool
) -> None:
    life = Life(autojump_clock)
    async with attended(f"@{tmp_path}" if is_abstract else str(tmp_path / "notify"), life) as systemd:
        life.ready.set()
        await systemd.hear("READY=1")
        life.stopping.set()
        await systemd.hear("EXTEND_TIMEOUT_USEC=25000000")
    assert systemd.heard[0] == "READY=1"
    assert systemd.heard[-3:] == ["STOPPING=1", "STATUS=stopping", "EXTEND_TIMEOUT_USEC=25000000"]


async def test_nothing_is_notified_before_the_run_is_ready(tmp_path: Path, autojump_clock: MockClock) -> None:
    life = Life(autojump_clock)
    async with attended(str(tmp_path / "notify"), life) as systemd:
        await trio.sleep(3600)
        assert systemd.heard == []


async def test_a_stop_before_readiness_only_notifies_of_the_stop(tmp_path: Path, autojump_clock: MockClock) -> None:
    life = Life(autojump_clock)
    async with attended(str(tmp_path / "notify"), life) as systemd:
        life.stopping.set()
        await systemd.hear("EXTEND_TIMEOUT_USEC=25000000")
    assert systemd.heard[0] == "STOPPING=1"


async def test_the_watchdog_is_fed_at_half_its_interval_while_the_run_is_alive(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    life = Life(autojump_clock)
    life.ready.set()
    async with attended(str(tmp_path / "notify"), life) as systemd:
        began = autojump_clock.current_time()
        await systemd.feeds(121)
        assert autojump_clock.current_time() - began == pytest.approx(3600)
        assert not systemd.fired.is_set()


async def test_without_a_heartbeat_the_watchdog_is_not_fed_and_fires(tmp_path: Path, autojump_clock: MockClock) -> None:
    life = Life(autojump_clock)
    life.ready.set()
    async with attended(str(tmp_path / "notify"), life) as systemd:
        await systemd.feeds(3)
        life.last_sign = autojump_clock.current_time()
        await systemd.until_fired()
        # Silent for half a minute it is still believed, once: then the watchdog's own minute runs.
        assert autojump_clock.current_time() - life.last_sign <= PATIENCE + WATCHDOG.total_seconds()
        await systemd.hear_status("no heartbeat for 60 s")


async def test_the_watchdog_is_fed_as_soon_as_the_heartbeat_is_back(tmp_path: Path, autojump_clock: MockClock) -> None:
    life = Life(autojump_clock)
    life.ready.set()
    async with attended(str(tmp_path / "notify"), life) as systemd:
        await systemd.feeds(1)
        life.last_sign = autojump_clock.current_time() - 20  # at the next look it will be silent for fifty seconds
        await systemd.hear_status("no heartbeat for 55 s")
        life.last_sign = None
        await systemd.feeds(1)
        assert not systemd.fired.is_set()


async def test_a_survivable_error_is_one_status_line_and_does_not_stop_the_watchdog(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    life = Life(autojump_clock, error="dialing is paused: 503\nREADY=0")
    life.ready.set()
    async with attended(str(tmp_path / "notify"), life) as systemd:
        await systemd.feeds(10)
        await systemd.hear("STATUS=dialing is paused: 503 READY=0")
        assert "READY=0" not in systemd.heard
        life.error = None
        await systemd.hear("STATUS=running")


async def test_a_supervisor_without_a_watchdog_gets_the_status(tmp_path: Path, autojump_clock: MockClock) -> None:
    life = Life(autojump_clock)
    life.ready.set()
    async with (
        a_supervisor(str(tmp_path / "notify"), WATCHDOG, patience=7200) as systemd,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(life.notifies, Supervisor(str(tmp_path / "notify")))
        await systemd.hear("STATUS=running")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("who", [Supervisor(), Supervisor("/nowhere/to/be/found", WATCHDOG)])
async def test_a_run_continues_without_a_supervisor(who: Supervisor, autojump_clock: MockClock) -> None:
    life = Life(autojump_clock)
    life.ready.set()
    life.stopping.set()
    await life.notifies(who)
    assert life.ended.is_set()


def test_a_process_without_free_descriptors_continues_without_notifying(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            Supervisor(str(tmp_path / "notify")).notify("WATCHDOG=1")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with pytest.raises(BlockingIOError):
            systemd.recv(100)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Supervisor()),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, Supervisor()),
        ({"NOTIFY_SOCKET": "/run/n"}, Supervisor("/run/n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "90000000"}, Supervisor("@n", timedelta(seconds=90))),
        pytest.param(
            {"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "1", "WATCHDOG_PID": str(os.getpid())},
            Supervisor("@n", timedelta(microseconds=1)),
            id="the PID of this process",  # several workers must give the case one name
        ),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}, Supervisor("@n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "0"}, Supervisor("@n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "soon"}, Supervisor("@n")),
        ({"WATCHDOG_USEC": "90000000"}, Supervisor()),
    ],
)
def test_the_environment_names_the_supervisor(environ: Mapping[str, str], expected: Supervisor) -> None:
    assert supervisor_of(environ) == expected
