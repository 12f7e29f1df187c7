import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial

import pytest
import trio
import trio.testing
from attrs import define

from reminderd.clock import Clock
from reminderd.databases import Target
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection
from reminderd.store.database import _connected
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.sqlite.driver import Error
from reminderd.store.writer import BATCH_LIMIT, Writer
from tests.support.builders import NOW, SECOND
from tests.support.rows import refused_as_second, sqlite
from tests.support.store import setting_keys

SHORT = timedelta(milliseconds=20)


@define
class TickingClock:
    """A second later each time it is asked: two functions with the same `now` shared a transaction."""

    time: datetime = NOW

    def now(self) -> datetime:
        self.time += SECOND
        return self.time

    def monotonic(self) -> float:
        raise AssertionError("the store has no use for it")


@define
class BrokenClock(TickingClock):
    broken: bool = True

    def now(self) -> datetime:
        if self.broken:
            raise RuntimeError("no time")
        return super().now()


@define
class BlockingWrite:
    """Keeps the writer at work until the test sets `go_on`."""

    begun: threading.Event
    go_on: threading.Event

    def __call__(self, _connection: Connection, now: datetime) -> datetime:
        self.begun.set()
        self.go_on.wait()
        return now


def a_blocking_write() -> BlockingWrite:
    return BlockingWrite(threading.Event(), threading.Event())


@asynccontextmanager
async def writing(
    target: Target,
    clock: Clock | None = None,
    waiting: int = 256,
    committed: Callable[[int], None] = lambda _writes: None,
) -> AsyncIterator[Writer]:
    async with _connected(target, SHORT, None) as connections, trio.open_nursery() as nursery:
        writer = Writer(connections.writes, clock or TickingClock(), waiting, committed)
        nursery.start_soon(writer.run)
        try:
            yield writer
        finally:
            writer.close()


@asynccontextmanager
async def held_up(writer: Writer) -> AsyncIterator[trio.Nursery]:
    """Keep the writer busy, so that writes started in the nursery wait together."""
    blocker = a_blocking_write()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(writer.write, blocker, wait=True))
        await trio.to_thread.run_sync(blocker.begun.wait)
        try:
            yield nursery
            await trio.testing.wait_all_tasks_blocked()
        finally:
            blocker.go_on.set()


def setting(key: str, value: str = "") -> Callable[[Connection, datetime], datetime]:
    def insert(connection: Connection, now: datetime) -> datetime:
        connection.execute("INSERT INTO settings VALUES (?, ?)", (key, value))
        return now

    return insert


def pragma(text: str) -> Callable[[Connection, datetime], int]:
    return lambda connection, _now: int(connection.execute(f"PRAGMA {text}").fetchone()[0])


def keys(target: Target) -> list[str]:
    """Return the keys as another program sees them, which could also write now."""
    with open_sync(target, busy_timeout=SHORT) as connection:
        connection.begin()
        return setting_keys(connection)


@define
class Outcomes:
    """The results and errors of simultaneous writes."""

    writer: Writer
    results: dict[str, object]
    errors: dict[str, BaseException]

    async def write(self, name: str, fn: Callable[[Connection, datetime], object]) -> None:
        try:
            self.results[name] = await self.writer.write(fn, wait=True)
        except BaseException as error:
            if isinstance(error, trio.Cancelled):
                raise
            self.errors[name] = error


async def together(writer: Writer, **functions: Callable[[Connection, datetime], object]) -> Outcomes:
    outcomes = Outcomes(writer, {}, {})
    async with held_up(writer) as nursery:
        for name, fn in functions.items():
            nursery.start_soon(outcomes.write, name, fn)
            await trio.testing.wait_all_tasks_blocked()
    return outcomes


async def test_a_write_is_committed_when_its_result_comes_back(target: Target) -> None:
    async with writing(target) as writer:
        assert await writer.write(setting("a"), wait=True) == NOW + SECOND
        assert keys(target) == ["a"]


async def test_writes_that_wait_together_share_a_transaction_and_its_time(target: Target) -> None:
    async with writing(target) as writer:
        outcomes = await together(writer, **{f"{n:02}": setting(f"{n:02}") for n in range(20)})
        assert set(outcomes.results.values()) == {NOW + 2 * SECOND}
        assert len(keys(target)) == 20


async def test_a_transaction_takes_a_bounded_number_of_writes(target: Target) -> None:
    async with writing(target) as writer:
        outcomes = await together(writer, **{f"{n:03}": setting(f"{n:03}") for n in range(BATCH_LIMIT + 1)})
    times = sorted(str(time) for time in outcomes.results.values())
    assert times == [str(NOW + 2 * SECOND)] * BATCH_LIMIT + [str(NOW + 3 * SECOND)]


async def test_writes_are_done_in_order(target: Target) -> None:
    done: list[str] = []
    async with writing(target) as writer:
        await together(
            writer, a=lambda *_: done.append("a"), b=lambda *_: done.append("b"), c=lambda *_: done.append("c")
        )
    assert done == ["a", "b", "c"]


@pytest.mark.parametrize("error", [ValueError("a bug"), SystemExit("a bug"), KeyboardInterrupt("a bug")])
async def test_a_write_that_raises_fails_alone(target: Target, error: BaseException) -> None:
    def bad(connection: Connection, now: datetime) -> None:
        setting("bad")(connection, now)
        raise error

    async with writing(target) as writer:
        outcomes = await together(writer, a=setting("a"), bad=bad, b=setting("b"))
        assert outcomes.errors == {"bad": error}
        assert sorted(outcomes.results) == ["a", "b"]
        assert keys(target) == ["a", "b"]


@pytest.mark.sqlite_only("its trace of statements")
async def test_savepoints_are_set_only_after_a_failure(target: Target) -> None:
    statements: list[str] = []
    async with writing(target) as writer:
        await writer.write(lambda connection, _now: sqlite(connection).set_trace_callback(statements.append), wait=True)
        await together(writer, a=setting("a"), b=setting("b"))
        assert not any("SAVEPOINT" in one for one in statements)
        outcomes = await together(writer, c=setting("c"), again=setting("c"), d=setting("d"))
        assert list(outcomes.errors) == ["again"]
        assert any("SAVEPOINT" in one for one in statements)
        assert keys(target) == ["a", "b", "c", "d"]


async def test_a_write_that_breaks_a_constraint_fails_alone(target: Target) -> None:
    async with writing(target) as writer:
        outcomes = await together(writer, a=setting("a"), again=setting("a"), b=setting("b"))
        with refused_as_second("settings.key", "settings_pkey"):
            raise outcomes.errors["again"]
        assert keys(target) == ["a", "b"]


@pytest.mark.sqlite_only("its statements can be half read")
@pytest.mark.parametrize("raises", [False, True])
async def test_a_write_with_an_unfinished_statement_fails_alone(target: Target, *, raises: bool) -> None:
    def bad(connection: Connection, _now: datetime) -> object:
        cursor = connection.execute("INSERT INTO settings VALUES ('bad', ''), ('worse', '') RETURNING key")
        cursor.fetchone()
        if raises:
            raise ValueError("a bug")
        return cursor

    async with writing(target) as writer:
        outcomes = await together(writer, a=setting("a"), bad=bad, b=setting("b"))
        assert list(outcomes.errors) == ["bad"]
        assert ("a bug" if raises else "statements in progress") in str(outcomes.errors["bad"])
        assert keys(target) == ["a", "b"]


@pytest.mark.sqlite_only("its limit of pages")
async def test_a_full_disk_fails_all_waiting_writes_and_the_writer_recovers(target: Target) -> None:
    async with writing(target) as writer:
        pages = await writer.write(pragma("page_count"), wait=True)
        await writer.write(pragma(f"max_page_count = {pages + 2}"), wait=True)
        functions = {"a": setting("a"), "big": setting("big", "x" * 1_000_000), "b": setting("b")}
        outcomes = await together(writer, **functions)
        assert [type(outcomes.errors[name]) for name in functions] == [StoreUnavailableError] * 3
        assert {str(error).partition(" (")[0] for error in outcomes.errors.values()} == {"the disk is full"}
        assert len({id(error) for error in outcomes.errors.values()}) == 3
        assert keys(target) == []

        await writer.write(pragma("max_page_count = 1000000"), wait=True)
        outcomes = await together(writer, **functions)
        assert outcomes.errors == {}
        assert keys(target) == ["a", "b", "big"]


@pytest.mark.sqlite_only("PostgreSQL ends no transaction by itself")
@pytest.mark.parametrize("then", [None, ValueError("a bug")])
async def test_no_write_is_confirmed_if_sqlite_rolled_back_the_transaction(
    target: Target, then: Exception | None
) -> None:
    def bad(connection: Connection, _now: datetime) -> None:
        connection.execute("ROLLBACK")  # as SQLite does by itself after some errors
        if then is not None:
            raise then

    async with writing(target) as writer:
        outcomes = await together(writer, a=setting("a"), bad=bad, b=setting("b"))
        assert [type(outcomes.errors[name]) for name in ("a", "bad", "b")] == [StoreUnavailableError] * 3
        assert keys(target) == []
        await writer.write(setting("c"), wait=True)
        assert keys(target) == ["c"]


@pytest.mark.sqlite_only("its limit of pages")
async def test_a_write_that_hides_a_full_disk_does_not_break_the_writer(target: Target) -> None:
    def stubborn(connection: Connection, _now: datetime) -> None:
        with suppress(Error):
            connection.execute("INSERT INTO settings VALUES ('big', ?)", ("x" * 1_000_000,))

    async with writing(target) as writer:
        pages = await writer.write(pragma("page_count"), wait=True)
        await writer.write(pragma(f"max_page_count = {pages + 2}"), wait=True)
        outcomes = await together(writer, a=setting("a"), stubborn=stubborn, b=setting("b"))
        assert keys(target) == sorted(outcomes.results.keys() - {"stubborn"})
        await writer.write(setting("c"), wait=True)
        assert "c" in keys(target)


@pytest.mark.sqlite_only("PostgreSQL ends the session of a program that holds the lock and does nothing")
async def test_another_programs_lock_fails_waiting_writes_and_the_writer_continues(target: Target) -> None:
    async with writing(target) as writer:
        with open_sync(target) as other:
            other.begin()
            with pytest.raises(StoreUnavailableError, match="locked by another program"):
                await writer.write(setting("a"), wait=True)
            other.roll_back()
        await writer.write(setting("b"), wait=True)
        assert keys(target) == ["b"]


async def test_a_clock_that_fails_leaves_no_transaction_open(target: Target) -> None:
    clock = BrokenClock()
    async with writing(target, clock) as writer:
        with pytest.raises(RuntimeError, match="no time"):
            await writer.write(setting("a"), wait=True)
        assert keys(target) == []
        clock.broken = False
        await writer.write(setting("b"), wait=True)
        assert keys(target) == ["b"]


async def test_the_write_of_a_cancelled_task_happens_completely(target: Target) -> None:
    async with writing(target) as writer:
        async with held_up(writer):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(partial(writer.write, setting("a"), wait=True))
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
            assert scope.cancelled_caught
        await writer.write(setting("b"), wait=True)
        assert keys(target) == ["a", "b"]


async def test_a_task_cancelled_before_its_place_in_the_queue_writes_nothing(target: Target) -> None:
    async with writing(target) as writer:
        with trio.CancelScope() as scope:
            scope.cancel()
            await writer.write(setting("a"), wait=True)
        await writer.write(setting("b"), wait=True)
        assert keys(target) == ["b"]


async def test_a_write_that_does_not_wait_fails_at_once_if_the_queue_is_full(target: Target) -> None:
    async with writing(target, waiting=1) as writer:
        async with held_up(writer) as nursery:
            nursery.start_soon(partial(writer.write, setting("a"), wait=False))
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(StoreUnavailableError, match="the writer is behind"):
                await writer.write(setting("b"), wait=False)
            nursery.start_soon(partial(writer.write, setting("c"), wait=True))
        assert keys(target) == ["a", "c"]


async def test_closing_finishes_queued_writes_and_refuses_later_ones(target: Target) -> None:
    async with writing(target) as writer:
        async with held_up(writer) as nursery:
            nursery.start_soon(partial(writer.write, setting("a"), wait=True))
            await trio.testing.wait_all_tasks_blocked()
            writer.close()
            for wait in (True, False):
                with pytest.raises(StoreUnavailableError, match="being closed"):
                    await writer.write(setting("b"), wait=wait)
        assert keys(target) == ["a"]


async def test_closing_fails_writes_that_wait_for_a_place_in_the_queue(target: Target) -> None:
    async with writing(target, waiting=0) as writer:
        blocker = a_blocking_write()
        outcomes = Outcomes(writer, {}, {})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outcomes.write, "blocker", blocker)
            await trio.to_thread.run_sync(blocker.begun.wait)
            nursery.start_soon(outcomes.write, "late", setting("late"))
            await trio.testing.wait_all_tasks_blocked()
            writer.close()
            await trio.testing.wait_all_tasks_blocked()
            assert isinstance(outcomes.errors["late"], StoreUnavailableError)
            blocker.go_on.set()
        assert keys(target) == []


async def test_the_number_of_waiting_writes_and_of_writes_per_transaction_is_shown(target: Target) -> None:
    shared: list[int] = []
    async with writing(target, committed=shared.append) as writer:
        async with held_up(writer) as meanwhile:
            for name in ("a", "b", "c"):
                meanwhile.start_soon(partial(writer.write, setting(name), wait=True))
            await trio.testing.wait_all_tasks_blocked()
            assert writer.queued == 3
        assert writer.queued == 0
    assert shared == [1, 3]
