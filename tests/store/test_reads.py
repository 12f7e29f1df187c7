"""Short reads that wait together share a snapshot, and nothing else: no older state, no error, no cancellation."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import trio
from attrs import define, field
from trio.testing import wait_all_tasks_blocked

from reminderd.databases import Target
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection
from reminderd.store.database import READS_TOGETHER, Database, SharedReads
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.threads import OnThread
from tests.support.store import setting_keys
from tests.support.waiting import PATIENCE, until

T = TypeVar("T")


@define
class Results:
    """The results of some reads, each under its own name."""

    database: Database
    nursery: trio.Nursery
    found: dict[str, object] = field(factory=dict)
    then: dict[str, Callable[[], None]] = field(factory=dict)
    """What is done as soon as a read ends, before any other task runs."""

    def ask(self, name: str, fn: Callable[[Connection], object] = setting_keys) -> trio.CancelScope:
        return self._begin(name, partial(self.database.read_together, fn))

    def ask_alone(self, name: str, fn: Callable[[Connection], object]) -> trio.CancelScope:
        return self._begin(name, partial(self.database.read, fn))

    def _begin(self, name: str, read: Callable[[], Awaitable[object]]) -> trio.CancelScope:
        scope = trio.CancelScope()
        self.nursery.start_soon(self._ask, name, read, scope)
        return scope

    async def _ask(self, name: str, read: Callable[[], Awaitable[object]], scope: trio.CancelScope) -> None:
        with scope:
            try:
                self.found[name] = await read()
            except (ZeroDivisionError, StoreUnavailableError) as error:
                self.found[name] = type(error)
            if name in self.then:
                self.then[name]()


@asynccontextmanager
async def while_one_reads(database: Database) -> AsyncIterator[Results]:
    """Keep the thread busy within the block, so that what is asked there waits together; then let all end."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> list[str]:
        keys = setting_keys(connection)
        begun.set()
        go_on.wait(60)
        return keys

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            results = Results(database, nursery)
            results.ask_alone("slow", slow)
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
        found.append(await reads.read_together(lambda _connection: number))

    async with trio.open_nursery() as nursery:
        for number in range(READS_TOGETHER + 1):
            nursery.start_soon(ask, number)
    assert sorted(found) == [*range(READS_TOGETHER + 1)]
    assert counted.calls == 2


async def test_a_read_sees_all_that_was_committed_before_it_was_asked_for(database: Database, target: Target) -> None:
    async with while_one_reads(database) as results:
        results.ask("before")
        add(target, "a")
        results.ask("after")
    assert results.found["slow"] == []
    assert results.found["after"] == ["a"]


async def test_a_short_read_waits_for_no_long_one_that_was_asked_for_later(database: Database) -> None:
    """What it has read would be old by then, and a request for a call follows from it."""
    short_is_over = threading.Event()
    async with while_one_reads(database) as results:
        results.then["short"] = short_is_over.set
        results.ask("short")
        await wait_all_tasks_blocked()
        results.ask_alone("long", lambda _connection: short_is_over.wait(30))
    assert results.found["long"] is True


async def test_after_a_failure_each_read_of_the_group_has_a_turn_of_its_own(database: Database) -> None:
    """If the database can't be reached, each takes as long as a connection may take; the others can be cancelled."""
    counted, found = Counted(database._reads._connection), set[object]()
    reads = SharedReads(counted)

    async def ask(number: int) -> None:
        try:
            found.add(await reads.read_together(lambda _connection: 2 // number))
        except ZeroDivisionError as error:
            found.add(type(error))

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(ask, number)
    assert found == {ZeroDivisionError, 2, 1}
    assert counted.calls == 3


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


async def test_a_read_whose_caller_is_cancelled_while_an_earlier_one_of_its_group_runs_does_not_begin(
    database: Database,
) -> None:
    begun, go_on, others = threading.Event(), threading.Event(), list[str]()

    def first(_connection: Connection) -> None:
        begun.set()
        go_on.wait(60)

    async def cancel(scope: trio.CancelScope) -> None:
        await trio.to_thread.run_sync(begun.wait)
        scope.cancel()
        await until(lambda: scope.cancelled_caught)
        go_on.set()

    async with while_one_reads(database) as results:
        results.ask("first", first)
        await wait_all_tasks_blocked()
        second = results.ask("second", lambda _connection: others.append("second"))
        await wait_all_tasks_blocked()
        results.ask("third", lambda _connection: others.append("third"))
        results.nursery.start_soon(cancel, second)
    assert others == ["third"]


async def test_a_caller_that_is_cancelled_as_its_turn_comes_takes_nobody_with_it(database: Database) -> None:
    begun: list[str] = []
    async with while_one_reads(database) as results:
        first = results.ask("first", lambda _connection: begun.append("first"))
        await wait_all_tasks_blocked()
        results.ask("second")
        results.then["slow"] = first.cancel
    assert first.cancelled_caught
    assert begun == []
    assert results.found == {"slow": [], "second": []}
    assert await database.read_together(setting_keys) == []


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
