"""A standby that had not received everything takes over: nobody is called whom the primary had called."""

from functools import partial
from itertools import count

import pytest
import trio

from reminderd.clock import SystemClock
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.databases import PostgresServer
from reminderd.store.claims import Capacity, claim
from reminderd.store.connection import Connection
from reminderd.store.database import Database, open_database
from reminderd.store.restored import check_history
from reminderd.store.shared_state import last_pause, set_pause
from tests.support.builders import MINUTE, RULES
from tests.support.postgres import PASSWORD, USER, a_server, skip_without_postgres

pytestmark = pytest.mark.chaos

_ADD = """
INSERT INTO reminders (id, phone_number, message, scheduled_at, created_at, updated_at)
SELECT 'r1', '+12025550001', 'Tomorrow at nine.', reminderd_now(), reminderd_now(), reminderd_now()
"""


async def claimed(database: Database) -> int:
    """Return how many calls are to be placed now."""
    numbers = count(1)
    capacity = Capacity(requests=10, checks=10, request_in=MINUTE)
    witness = Witness(monotonic=0.0, signs={}, first={})
    take = partial(claim, capacity=capacity, rules=RULES, witness=witness, mint=lambda: f"call-{next(numbers)}")
    return sum(one.action is not None for one in await database.write(take))


def outcome(connection: Connection) -> tuple[str, str | None]:
    row = connection.execute("SELECT status, end_code FROM reminders").fetchone()
    return row["status"], row["end_code"]


async def why_paused(database: Database) -> str:
    pause = await database.read(last_pause) or {}
    return str(pause["detail"]).partition(", last changed")[0]


async def test_nobody_is_called_again_whom_the_new_primary_has_forgotten() -> None:
    skip_without_postgres()
    look = partial(check_history, rules=RULES, failover_is_lossless=False)
    with a_server() as primary:
        made = primary.create()
        with trio.fail_after(120):
            async with open_database(PostgresServer(made.url), SystemClock(), on_session=look) as first:
                await first.write(lambda connection, _now: connection.execute(_ADD))
            standby = await trio.to_thread.run_sync(primary.standby)
            try:
                hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
                both = PostgresServer(f"postgresql://{USER}:{PASSWORD}@{hosts}/{made.name}")
                async with open_database(both, SystemClock(), on_session=look) as database:
                    assert await claimed(database) == 1
                    await trio.to_thread.run_sync(primary.stop)
                    await trio.to_thread.run_sync(standby.promote)
                    assert await claimed(database) == 0
                    assert await database.read(outcome) == ("failed", "restored")
                    assert await why_paused(database) == "the server has lost a commit that it had confirmed"
                    await database.write(partial(set_pause, on=False, reason=None, actor="anna"))
                    assert await claimed(database) == 0
            finally:
                standby.end()
            primary.start()


async def test_a_daemon_that_did_not_run_meanwhile_notices_the_new_primary() -> None:
    skip_without_postgres()
    look = partial(check_history, rules=RULES, failover_is_lossless=False)
    with a_server() as primary:
        made = primary.create()
        with trio.fail_after(120):
            async with open_database(PostgresServer(made.url), SystemClock(), on_session=look) as database:
                await database.write(lambda connection, _now: connection.execute(_ADD))
            standby = await trio.to_thread.run_sync(primary.standby)
            try:
                await trio.to_thread.run_sync(standby.promote)
                there = PostgresServer(standby.url(made.name))
                async with open_database(there, SystemClock(), on_session=look) as database:
                    assert await claimed(database) == 0
                    why = "a standby has taken over, or the server was restored to an earlier time"
                    assert await why_paused(database) == why
            finally:
                standby.end()
