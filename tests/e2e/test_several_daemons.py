"""Several daemons on one database: together they call no faster than one, and what one does for all is done once."""

import json
from contextlib import AsyncExitStack
from itertools import pairwise

from reminderd.core.daemons import Job
from reminderd.store.daemon_rows import all_daemons
from reminderd.store.sqlite.opening import open_sync
from tests.support.clinic import Clinic
from tests.support.generic_server import SECRET
from tests.support.hostile_provider import answering, hostile
from tests.support.program import Program, running
from tests.support.waiting import until

SPACING = 0.25
"""Seconds from one request to the next."""


async def until_both_are_recorded(clinic: Clinic) -> None:
    with open_sync(clinic.folder / "clinic.db") as connection:
        await until(lambda: len(all_daemons(connection)) >= 2)


def pid_of_the_one_that_does(clinic: Clinic, job: Job) -> int:
    with open_sync(clinic.folder / "clinic.db") as connection:
        [pid] = [one.pid for one in all_daemons(connection) if job in one.jobs]
    return pid


async def test_two_dialers_together_keep_the_calls_per_second(clinic: Clinic) -> None:
    environment = {"REMINDERD__PROVIDER__CALLS_PER_SECOND": str(1 / SPACING)}
    async with AsyncExitStack() as stack:
        for _ in range(2):
            program = await stack.enter_async_context(
                running("run", "--only", "dial", cwd=clinic.folder, env=environment)
            )
            await program.line("started")
        await until_both_are_recorded(clinic)
        for number in range(12):
            clinic.insert(f"r{number}", f"+1202555{number:04}")
        await clinic.provider.rang(12)
    with open_sync(clinic.folder / "clinic.db") as connection:  # a busy machine sends some requests a little later
        claimed = [
            row["created_at"] for row in connection.execute("SELECT created_at FROM call_logs ORDER BY created_at")
        ]
    assert len(claimed) == 12
    assert all(later - earlier >= SPACING * 1_000 - 1 for earlier, later in pairwise(claimed))


async def test_an_alert_and_a_result_are_sent_once_and_by_the_other_daemon_after_a_crash(clinic: Clinic) -> None:
    async with hostile(answering(204)) as system, hostile(answering(200)) as receiver:
        with (clinic.folder / "config.toml").open("a") as file:
            file.write(f'[results]\nurl = "{system.url}"\nsecret = "{SECRET}"\n')
        environment = {
            "REMINDERD__ALERTS__URLS": receiver.url.replace("http", "json"),
            "REMINDERD__ALERTS__EVERY_SECONDS": "0.05",
        }
        async with (
            running("run", "--only", "dial", cwd=clinic.folder, env=environment) as one,
            running("run", "--only", "dial", cwd=clinic.folder, env=environment) as other,
        ):
            by_pid: dict[int, Program] = {one.process.pid: one, other.process.pid: other}
            await one.line("started")
            await other.line("started")
            await until_both_are_recorded(clinic)
            clinic.insert("r1", "not a number")
            await system.heard(1)
            await receiver.heard(1)
            # Otherwise, the next daemon would send them again after the kill.
            await until(lambda: clinic.count("deliveries") == 0 and clinic.count("alerts"))
            pid = pid_of_the_one_that_does(clinic, Job.ALERTS)
            assert pid == pid_of_the_one_that_does(clinic, Job.RESULTS_WEBHOOK)
            await by_pid.pop(pid).kill()
            [left] = by_pid.values()
            clinic.insert("r2", "neither")
            await left.line("this daemon's jobs for all daemons: alerts")
            await system.heard(2)
            await receiver.heard(2)
            assert await left.terminate() == 0
    results = [json.loads(request.body)["data"]["reminder_id"] for request in system.requests]
    alerts = [json.loads(request.body)["message"] for request in receiver.requests]
    assert results == ["r1", "r2"]
    assert ["r1: not reached" in text for text in alerts] == [True, False]
    assert ["r2: not reached" in text for text in alerts] == [False, True]
    with open_sync(clinic.folder / "clinic.db") as connection:
        assert all_daemons(connection) == [], (
            "the one that was killed has no row, and the other one has deleted its own"
        )
