"""Several daemons on one database: one of them does what must not be done several times."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
import trio
from attrs import define, evolve, field
from loguru import logger

from reminderd.core.daemons import LEASE, Daemon, Job
from reminderd.daemon import cluster
from reminderd.daemon.cluster import Membership, Share, membership, process_has_ended, process_of
from reminderd.databases import Target
from reminderd.store.any_engine import open_sync
from reminderd.store.daemon_rows import all_daemons, record_alive
from reminderd.store.database import open_database
from tests.support.clock import HandClock
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.also_on_postgres

ALERTS = Share(rules_digest="0", jobs=frozenset({Job.ALERTS}))


@define
class One:
    """A daemon with its own connection, which does its job until it must stop."""

    membership: Membership
    nursery: trio.Nursery
    stopping: trio.Event = field(factory=trio.Event)
    is_at_work: bool = False
    has_kept: trio.CancelScope = field(factory=trio.CancelScope)

    async def _work(self) -> None:
        self.is_at_work = True
        try:
            await self.stopping.wait()
        finally:
            self.is_at_work = False

    async def _keep(self) -> None:
        with self.has_kept:
            await self.membership.keep()

    def start(self) -> None:
        self.nursery.start_soon(self._keep)
        self.nursery.start_soon(self.membership.do_alone, Job.ALERTS, self._work, self.stopping)

    async def works(self, *, is_at_work: bool = True) -> None:
        await until(lambda: self.is_at_work is is_at_work)

    async def has_recorded(self) -> None:
        with trio.fail_after(PATIENCE):
            await self.membership._is_recorded.wait()

    async def die(self) -> None:
        """End as if by a kill: nothing is recorded anymore."""
        self.has_kept.cancel()
        await self.membership.database.write(lambda _connection, _now: None)  # after what was being written


@define
class House:
    """One database, its clock, and all daemons on it."""

    target: Target
    clock: HandClock
    nursery: trio.Nursery

    async def daemon(self) -> One:
        made: One = await self.nursery.start(self._run)
        return made

    async def _run(self, *, task_status: trio.TaskStatus[One]) -> None:
        async with open_database(self.target, self.clock) as database, trio.open_nursery() as nursery:
            made = One(membership(database, self.clock, part="dial"), nursery)
            made.membership.follow(ALERTS)
            made.start()
            task_status.started(made)
            await trio.sleep_forever()

    def rows(self) -> list[Daemon]:
        with open_sync(self.target) as connection:
            return all_daemons(connection)

    def write(self, sql: str) -> None:
        with open_sync(self.target) as connection:
            connection.execute(sql).fetchall()


@pytest.fixture
async def house(target: Target, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(cluster, "BEAT", 0.02)
    monkeypatch.setattr(cluster, "_AGAIN", 0.02)
    async with trio.open_nursery() as nursery:
        yield House(target, HandClock(), nursery)
        nursery.cancel_scope.cancel()


async def test_of_two_daemons_one_has_the_job_and_when_it_stops_the_other_one(house: House) -> None:
    one = await house.daemon()
    await one.works()
    other = await house.daemon()
    await other.has_recorded()
    await other.has_recorded()
    assert (one.is_at_work, other.is_at_work) == (True, False)
    one.stopping.set()
    await one.die()
    await one.membership.leave()
    await other.works()
    assert not one.is_at_work
    assert [row.id for row in house.rows()] == [other.membership.own.id]


async def test_the_job_of_a_daemon_that_died_is_done_by_another_one_after_its_time(house: House) -> None:
    one = await house.daemon()
    await one.works()
    other = await house.daemon()
    await other.has_recorded()
    await one.die()
    await other.has_recorded()
    assert not other.is_at_work
    house.clock.advance(LEASE)
    await other.works()


async def test_a_daemon_that_was_suspended_stops_what_another_one_does_meanwhile(house: House) -> None:
    one = await house.daemon()
    await one.works()
    house.write(f"UPDATE daemons SET id = 'another', jobs_until = jobs_until WHERE id = '{one.membership.own.id}'")
    await one.works(is_at_work=False)
    house.clock.advance(LEASE)
    await one.works()


async def test_without_a_database_a_job_ends_with_its_time_and_begins_again_with_the_database(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "LEASE", timedelta(seconds=0.3))
    one = await house.daemon()
    await one.works()
    with open_sync(house.target) as another_program:
        another_program.begin()
        await one.works(is_at_work=False)
        another_program.roll_back()
    await one.works()


async def test_a_bug_is_logged_and_does_not_end_the_daemon(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_AFTER_AN_ERROR", 0.02)
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}", backtrace=False, diagnose=False)
    with monkeypatch.context() as with_a_bug:
        with_a_bug.setattr(cluster, "record_alive", lambda *_arguments, **_named: 1 / 0)
        one = await house.daemon()
        await until(lambda: any("unexpected error; tried again in a minute" in line for line in lines))
    logger.remove(sink)
    await one.works()


async def test_a_changed_configuration_is_recorded_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "BEAT", 3600)
    one = await house.daemon()
    await one.works()
    one.membership.follow(Share(rules_digest="1", jobs=frozenset()))
    await one.works(is_at_work=False)
    assert [(row.rules_digest, row.jobs) for row in house.rows()] == [("1", frozenset())]


async def test_daemons_of_different_versions_log_it_once(house: House) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}")
    one = await house.daemon()
    await one.works()
    row = evolve(one.membership.own, id="another", version="9.9.9")
    await one.membership.database.write(partial(record_alive, daemon=row, wanted=[]))
    await one.has_recorded()
    await one.has_recorded()
    await one.has_recorded()
    logger.remove(sink)
    assert [line.partition(":")[0] for line in lines if "WARNING" in line] == [
        "WARNING the daemons run different versions"
    ]


def ended_process() -> tuple[int, str]:
    """Return the pid of a process that has ended, and what distinguished it."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = process_of(child.pid)
    child.communicate(b"\n")
    assert process is not None
    return child.pid, process


async def test_the_job_of_a_daemon_that_has_certainly_ended_is_done_at_once(house: House) -> None:
    pid, process = ended_process()
    one = await house.daemon()
    await one.works()
    await one.die()
    house.write(f"UPDATE daemons SET pid = {pid}, process = '{process}'")
    other = await house.daemon()
    await other.works()
    assert [row.id for row in house.rows()] == [other.membership.own.id]


async def test_it_is_known_which_processes_of_this_machine_have_ended(house: House) -> None:
    own = (await house.daemon()).membership.own
    pid, process = ended_process()
    assert not process_has_ended(own)
    assert process_has_ended(evolve(own, pid=pid, process=process))
    assert process_has_ended(evolve(own, process=f"{own.process}0")), "another process has its pid now"
    assert not process_has_ended(evolve(own, pid=pid, process=f"another{process}")), (
        "it is another machine's, or an earlier start's"
    )
    assert not process_has_ended(evolve(own, pid=pid, process="")), "nothing is known of it"


def test_a_process_that_waits_for_its_parent_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_of(child.pid) is not None
    os.kill(child.pid, 9)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_of(child.pid) is None
    child.communicate()
