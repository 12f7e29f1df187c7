"""Hold a lock on a PostgreSQL server for too long: others continue, nothing is lost, nobody is called twice."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Final

import pytest
import trio

from reminderd.clock import SystemClock
from reminderd.store.rows import to_ms
from tests.chaos.cutting_proxy import CuttingProxy
from tests.support.clinic import Clinic, a_clinic
from tests.support.generic_server import Ring, send, webhook
from tests.support.postgres import PostgresDatabase, server_of_this_process, skip_without_postgres
from tests.support.program import Program, running
from tests.support.waiting import until

pytestmark = pytest.mark.chaos

TIMEOUT: Final = 5.0
"""Seconds for which a process waits for a lock, and for which an idle transaction may hold one."""
_SLACK: Final = 8.0
"""Further seconds for a busy machine."""


@pytest.fixture
def database() -> Iterator[PostgresDatabase]:
    skip_without_postgres()
    made = server_of_this_process().create()
    yield made
    made.server.drop(made)


def insert(database: PostgresDatabase, name: str, *, after: float = 0.0) -> None:
    """Add a reminder that is due after this number of seconds, with its own phone number."""
    due = SystemClock().now() + timedelta(seconds=after)
    with database.connect() as other:
        other.execute(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (%s, %s, 'Hello.', %s)",
            (name, f"+1202555{int(name[1:]):04}", to_ms(due)),
        )


async def reached(database: PostgresDatabase, name: str, status: str) -> float:
    """Wait until a reminder has a status; return how many seconds that took."""
    began = trio.current_time()
    look = "SELECT status FROM reminders WHERE id = %s"
    with database.connect() as other:
        await until(lambda: other.execute(look, (name,)).fetchone() == (status,))
    return trio.current_time() - began


@contextmanager
def held(database: PostgresDatabase, lock: str) -> Iterator[None]:
    """Hold a lock in a transaction of another program, which forgets to end it."""
    with database.connect() as other, other.transaction():
        other.execute(lock.encode())
        yield


@asynccontextmanager
async def a_daemon(clinic: Clinic, url: str, only: str) -> AsyncIterator[Program]:
    arguments = ("run", "--only", only) if only else ("run",)
    async with running(*arguments, cwd=clinic.folder, env={"DATABASE_URL": url}) as program:
        await program.line("started")
        yield program


def called(clinic: Clinic) -> Counter[str]:
    return Counter(ring.reminder_id for ring in clinic.provider.rings)


async def test_a_suspended_daemon_that_holds_the_cluster_write_lock_stops_the_others_for_five_seconds(
    tmp_path: Path, database: PostgresDatabase
) -> None:
    """When it wakes, its transaction no longer exists, and it does nothing of what it was about to do."""
    proxy = CuttingProxy(database.server.port, Random(1))
    through = database.url.replace(f":{database.server.port}/", ":{}/")
    with proxy.running():
        async with (
            a_clinic(tmp_path) as clinic,
            a_daemon(clinic, through.format(proxy.port), "dial") as suspended,
            a_daemon(clinic, database.url, "dial") as another,
        ):
            proxy.begins = suspended.suspend
            insert(database, "r1")
            await until(lambda: suspended.state() == "T")
            insert(database, "r2")
            assert await reached(database, "r2", "processing") < TIMEOUT + _SLACK
            await reached(database, "r1", "processing")
            proxy.begins = lambda: None
            suspended.resume()
            insert(database, "r3")
            await reached(database, "r3", "processing")
            assert await another.terminate() == 0
            insert(database, "r4")
            await reached(database, "r4", "processing")
            assert await suspended.terminate() == 0
            assert called(clinic) == Counter(["r1", "r2", "r3", "r4"])
            assert not [line for line in suspended.lines + another.lines if "Traceback" in line]


async def test_a_row_that_another_program_has_locked_is_left_out_and_called_later(
    tmp_path: Path, database: PostgresDatabase
) -> None:
    async with a_clinic(tmp_path) as clinic, a_daemon(clinic, database.url, "dial") as program:
        insert(database, "r1", after=2.0)
        with held(database, "SELECT 1 FROM reminders WHERE id = 'r1' FOR UPDATE"):
            await trio.sleep(2.0)
            insert(database, "r2")
            assert await reached(database, "r2", "processing") < TIMEOUT
            assert called(clinic) == Counter(["r2"])
        await reached(database, "r1", "processing")
        assert await program.terminate() == 0
        assert called(clinic) == Counter(["r1", "r2"])
        assert not [line for line in program.lines if "Traceback" in line]


async def test_a_table_that_another_program_has_locked_stops_everything_and_nothing_is_lost(
    tmp_path: Path, database: PostgresDatabase
) -> None:
    """Meanwhile, reports are answered with 503, within the time for which a process waits for a lock."""
    async with a_clinic(tmp_path) as clinic, a_daemon(clinic, database.url, "") as program:
        url = await program.url()
        insert(database, "r1")
        [ring] = await clinic.provider.rang(1)
        await reached(database, "r1", "processing")

        async def report(one: Ring) -> tuple[int, float]:
            began = trio.current_time()
            return (await send(clinic.client, url, webhook(one))).status_code, trio.current_time() - began

        with held(database, "LOCK TABLE call_logs IN ACCESS EXCLUSIVE MODE"):
            status, seconds = await report(ring)
        assert (status, seconds < TIMEOUT + _SLACK) == (503, True)
        insert(database, "r2")
        await reached(database, "r2", "processing")
        for one in clinic.provider.rings:
            assert (await report(one))[0] == 200
        await reached(database, "r1", "called")
        await reached(database, "r2", "called")
        assert await program.terminate() == 0
        assert called(clinic) == Counter(["r1", "r2"])
        assert not [line for line in program.lines if "Traceback" in line]
