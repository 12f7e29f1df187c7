"""Two versions side by side on one PostgreSQL: the newer upgrades the tables, and the older continues or stops."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import pytest
from attrs import frozen

from reminderd.clock import SystemClock
from reminderd.store.rows import to_ms
from tests.support.clinic import Clinic
from tests.support.generic_server import send, webhook
from tests.support.postgres import PostgresDatabase, server_of_this_process, skip_without_postgres
from tests.support.program import Program, running

# This version with one more step, as if it had been released with it.
NEWER = """
from reminderd.store import migrations

known = migrations.migrations_of

def with_one_more(package):
    steps = known(package)
    if package.endswith("postgres"):
        steps.append(migrations.Migration(steps[-1].number + 1, "later.sql", {sql!r}.format(steps[-1].number + 1)))
    return steps

migrations.migrations_of = with_one_more

from reminderd.__main__ import main

main()
"""
ADDS = "ALTER TABLE reminders ADD COLUMN later TEXT; CREATE TABLE more (id BIGINT PRIMARY KEY);"
BREAKS = f"-- needs: {{}}\n{ADDS}"


@frozen
class House:
    """A clinic whose machines share a database on a server."""

    clinic: Clinic
    database: PostgresDatabase

    def older(self, *words: str) -> AbstractAsyncContextManager[Program]:
        return running(*words, cwd=self.clinic.folder, env={"DATABASE_URL": self.database.url})

    def newer(self, *words: str, sql: str) -> AbstractAsyncContextManager[Program]:
        entrance = ("-c", NEWER.format(sql=sql))
        return running(*words, cwd=self.clinic.folder, env={"DATABASE_URL": self.database.url}, entrance=entrance)

    def insert(self, *numbers: int) -> None:
        with self.database.connect() as connection:
            for number in numbers:
                connection.execute(
                    "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (%s, %s, 'm', %s)",
                    (f"r{number}", f"+1202555{number:04}", to_ms(SystemClock().now())),
                )

    def statuses(self) -> set[str]:
        with self.database.connect() as connection:
            return {status for (status,) in connection.execute("SELECT status FROM reminders")}

    async def report(self, reminder: int, url: str) -> None:
        """Wait until this patient is called, and report to a daemon how the call has ended."""
        [ring] = [ring for ring in await self.clinic.provider.rang(reminder + 1) if ring.reminder_id == f"r{reminder}"]
        answer = await send(self.clinic.client, url, webhook(ring))
        assert answer.status_code == 200


@pytest.fixture
def house(clinic: Clinic) -> Iterator[House]:
    skip_without_postgres()
    server = server_of_this_process()
    database = server.create()
    yield House(clinic, database)
    server.drop(database)


async def upgrade(house: House, sql: str) -> None:
    async with house.newer("db", "migrate", sql=sql) as migrate:
        assert await migrate.ended() == 0, migrate.lines


async def test_two_versions_share_the_work_after_a_step_that_only_adds(house: House) -> None:
    async with house.older("run") as older:
        older_url = await older.url()
        house.insert(0)
        await house.report(0, older_url)
        await upgrade(house, ADDS)
        house.insert(1)
        await house.report(1, older_url)
        async with house.newer("run", sql=ADDS) as newer:
            newer_url = await newer.url()
            for number in range(2, 6):
                house.insert(number)
                await house.report(number, older_url if number % 2 else newer_url)
            assert await older.terminate() == 0
            house.insert(6)
            await house.report(6, newer_url)
            assert await newer.terminate() == 0
    assert house.statuses() == {"called"}
    assert sorted(ring.reminder_id for ring in house.clinic.provider.rings) == [f"r{number}" for number in range(7)]


async def test_the_older_version_stops_after_a_step_that_it_can_not_live_with(house: House) -> None:
    async with house.older("run") as older:
        url = await older.url()
        house.insert(0)
        await house.report(0, url)
        await upgrade(house, BREAKS)
        house.insert(1)
        assert await older.ended() == 1
        assert [line for line in older.lines if "upgraded by a newer reminderd" in line]
        assert not [line for line in older.lines if "Traceback" in line]
    async with house.older("run") as again:
        assert await again.ended() == 1
    async with house.newer("run", sql=BREAKS) as newer:
        await house.report(1, await newer.url())
        assert await newer.terminate() == 0
    assert [ring.reminder_id for ring in house.clinic.provider.rings] == ["r0", "r1"]
    assert house.statuses() == {"called"}


async def test_no_daemon_of_the_newer_version_starts_before_the_tables_are_upgraded(house: House) -> None:
    async with house.older("run") as older:
        await older.url()
        async with house.newer("run", sql=ADDS) as newer:
            assert await newer.ended() == 1
            assert [line for line in newer.lines if "run reminderd db migrate" in line]
        assert await older.terminate() == 0
