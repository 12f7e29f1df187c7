"""Reads that wait together share a snapshot, and nothing else: no older state, no error, no cancellation."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio
from attrs import define, field
from trio.testing import wait_all_tasks_blocked

from reminderd.databases import Target
from reminderd.store.connection import Connection
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.opening import open_sync
from reminderd.store.reads import BATCH_LIMIT, SharedReads
from reminderd.store.threads import OnThread
from tests.support.store import setting_keys

T = TypeVar("T")


@define
class Results:
    """What became of some reads, each under a name of its own."""

    database: Database
    nursery: trio.Nursery
    found: dict[str, object] = field(factory=dict)
    then: Callable[[], None] = lambda: None
    """What is done in the very step in which the read that kept the thread busy ends."""

    def ask(self, name: str, fn: Callable[[Connection], object] = setting_keys) -> trio.CancelScope:
        scope = trio.CancelScope()
        self.nursery.start_soon(self._ask, name, fn, scope)
        return scope

    async def _ask(self, name: str, fn: Callable[[Connection], object], scope: trio.CancelScope) -> None:
        with scope:
            try:
                self.found[name] = await self.database.read(fn)
            except (ZeroDivisionError, StoreUnavailableError) as error:
                self.found[name] = type(error)
            if name == "slow":
                self.then()


@asynccontextmanager
async def while_one_reads(database: Database) -> AsyncIterator[Results]:
    """Keep the thread busy within the block, so that what is asked there waits together; then let all end."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> list[str]:
        keys = setting_keys(connection)
        begun.set()
        go_on.wait(60)
        return keys

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            results = Results(database, nursery)
            results.ask("slow", slow)
            await trio.to_thread.run_sync(begun.wait)
            try:
                yield results
                await wait_all_tasks_blocked()
            finally:
                go_on.set()


def add(target: Target, key: str) -> None:
    """Commit a setting as another program does."""
    with open_sync(target) as other:
        other.execute("INSERT INTO settings VALUES (?, '')", (key,))


async def test_reads_that_wait_together_share_a_snapshot(database: Database, target: Target) -> None:
    def add_meanwhile(connection: Connection) -> list[str]:
        keys = setting_keys(connection)
        add(target, "a")
        return keys

    async with while_one_reads(database) as results:
        results.ask("first", add_meanwhile)
        await wait_all_tasks_blocked()
        results.ask("second")
        results.ask("third")
    assert results.found == {"slow": [], "first": [], "second": [], "third": []}
    assert await database.read(setting_keys) == ["a"]


@define(eq=False)
class Counted:
    """A connection that counts the calls on its thread."""

    connection: OnThread
    calls: int = 0

    async def run(self, fn: Callable[[Connection], T]) -> T:
        self.calls += 1
        return await self.connection.run(fn)


async def test_they_share_one_switch_to_the_thread(database: Database) -> None:
    counted, found = Counted(database._reads._connection), list[int]()
    reads = SharedReads(counted)

    async def ask(number: int) -> None:
        found.append(await reads.read(lambda _connection: number))

    async with trio.open_nursery() as nursery:
        for number in range(BATCH_LIMIT + 1):
            nursery.start_soon(ask, number)
    assert sorted(found) == [*range(BATCH_LIMIT + 1)]
    assert counted.calls == 2


async def test_a_read_sees_all_that_was_committed_before_it_was_asked_for(database: Database, target: Target) -> None:
    async with while_one_reads(database) as results:
        results.ask("before")
        add(target, "a")
        results.ask("after")
    assert results.found["slow"] == []
    assert results.found["after"] == ["a"]


async def test_a_read_that_fails_fails_alone(database: Database) -> None:
    def fails(connection: Connection) -> None:
        setting_keys(connection)
        raise ZeroDivisionError

    def writes(connection: Connection) -> int:
        return connection.execute("DELETE FROM settings").rowcount

    async with while_one_reads(database) as results:
        results.ask("one")
        results.ask("fails", fails)
        results.ask("two")
        results.ask("writes", writes)
        results.ask("three")
    assert results.found == {
        "slow": [],
        "one": [],
        "fails": ZeroDivisionError,
        "two": [],
        "writes": StoreUnavailableError,
        "three": [],
    }


async def test_a_read_whose_caller_is_cancelled_while_it_waits_does_not_begin(database: Database) -> None:
    begun: list[str] = []
    async with while_one_reads(database) as results:
        first = results.ask("first", lambda _connection: begun.append("first"))
        results.ask("second")
        third = results.ask("third", lambda _connection: begun.append("third"))
        await wait_all_tasks_blocked()
        first.cancel()
        third.cancel()
        await wait_all_tasks_blocked()
        assert first.cancelled_caught
        assert third.cancelled_caught
    assert begun == []
    assert results.found == {"slow": [], "second": []}


async def test_a_caller_that_is_cancelled_as_its_turn_comes_takes_nobody_with_it(database: Database) -> None:
    begun: list[str] = []
    async with while_one_reads(database) as results:
        first = results.ask("first", lambda _connection: begun.append("first"))
        await wait_all_tasks_blocked()
        results.ask("second")
        results.then = first.cancel
    assert first.cancelled_caught
    assert begun == []
    assert results.found == {"slow": [], "second": []}
    assert await database.read(setting_keys) == []


async def test_a_caller_that_is_cancelled_while_its_read_runs_waits_for_its_end(database: Database) -> None:
    begun, go_on, is_over = threading.Event(), threading.Event(), threading.Event()

    def slow(_connection: Connection) -> None:
        begun.set()
        go_on.wait(60)
        is_over.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.read, slow)
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            assert not is_over.is_set()
            go_on.set()
    assert is_over.is_set()
