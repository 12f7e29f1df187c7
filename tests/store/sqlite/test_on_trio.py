import inspect
import threading
from pathlib import Path

import aiosqlite
import pytest
import trio

from reminderd.store.sqlite.driver import OperationalError, SqliteConnection, connect
from reminderd.store.sqlite.on_trio import TrioConnection, open_on_trio
from reminderd.store.threads import worker_threads


def connector() -> SqliteConnection:
    return connect(":memory:", isolation_level=None, check_same_thread=False)


async def test_aiosqlites_methods_work_on_trio() -> None:
    async with open_on_trio(connector) as connection:
        await connection.executescript("CREATE TABLE t(x INTEGER); CREATE TABLE u(y);")
        await connection.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(100)])
        async with connection.execute("SELECT x FROM t ORDER BY x") as cursor:
            assert await cursor.fetchone() == (0,)
            assert [row[0] async for row in cursor] == list(range(1, 100))
        assert list(await connection.execute_fetchall("SELECT count(*) FROM t")) == [(100,)]
        assert await connection.execute_insert("INSERT INTO t VALUES (7)") == (101,)
        await connection.execute("BEGIN")
        assert connection.in_transaction
        await connection.rollback()
        assert not connection.in_transaction


async def test_a_function_runs_on_another_thread_with_the_plain_connection() -> None:
    def where(connection: SqliteConnection) -> tuple[int, int]:
        return threading.get_ident(), connection.execute("SELECT 2").fetchone()[0]

    async with open_on_trio(connector) as connection:
        thread, answer = await connection.run(where)
    assert thread != threading.get_ident()
    assert answer == 2


async def test_a_function_may_return_none() -> None:
    def nothing(_connection: SqliteConnection) -> object:
        return None

    async with open_on_trio(connector) as connection:
        assert await connection.run(nothing) is None


async def test_an_error_of_a_function_is_raised() -> None:
    async with open_on_trio(connector) as connection:
        with pytest.raises(OperationalError, match="no such table"):
            await connection.run(lambda c: c.execute("SELECT * FROM nowhere"))


async def test_functions_run_one_at_a_time() -> None:
    at_work: list[int] = []
    most: list[int] = []

    def work(connection: SqliteConnection) -> None:
        at_work.append(1)
        connection.execute("SELECT 1").fetchone()
        most.append(len(at_work))
        at_work.pop()

    async with open_on_trio(connector) as connection, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(connection.run, work)
    assert most == [1] * 20


async def test_a_call_once_begun_is_never_abandoned() -> None:
    begun, go_on = threading.Event(), threading.Event()
    result = None

    def work(_connection: SqliteConnection) -> str:
        begun.set()
        go_on.wait()
        return "done"

    async def call(connection: TrioConnection) -> None:
        nonlocal result
        result = await connection.run(work)

    async with open_on_trio(connector) as connection, trio.open_nursery() as nursery:
        nursery.start_soon(call, connection)
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()
        go_on.set()
    assert result == "done"


async def test_a_call_of_a_cancelled_task_does_not_begin() -> None:
    calls: list[str] = []
    async with open_on_trio(connector) as connection:
        with trio.CancelScope() as scope:
            scope.cancel()
            await connection.run(lambda _: calls.append("called"))
    assert calls == []


async def test_a_connection_is_closed_even_when_cancelled() -> None:
    plain: list[SqliteConnection] = []
    with trio.CancelScope() as scope:
        async with open_on_trio(connector) as connection:
            await connection.run(plain.append)
            scope.cancel()
            await trio.sleep_forever()
    with pytest.raises(Exception, match="closed"):
        plain[0].execute("SELECT 1")


async def test_a_closed_connection_refuses_work_and_may_be_closed_again() -> None:
    async with open_on_trio(connector) as connection:
        pass
    await connection.close()
    with pytest.raises(ValueError, match="no active connection"):
        await connection.run(lambda c: c.execute("SELECT 1"))
    with pytest.raises(ValueError, match="closed"):
        await connection._execute(len, "")


async def test_an_error_while_opening_is_raised(tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match="unable to open"):
        async with open_on_trio(lambda: connect(str(tmp_path / "missing" / "x.db"))):
            pytest.fail("it was opened")


async def test_awaiting_a_connection_opens_it_too() -> None:
    connection = await TrioConnection(connector, worker_threads())
    assert await connection.run(lambda c: c.execute("SELECT 1").fetchone()) == (1,)
    await connection.close()


async def test_no_thread_of_aiosqlite_is_ever_started() -> None:
    async with open_on_trio(connector) as connection:
        await connection.execute("SELECT 1")
        assert not connection._thread.is_alive()
        assert connection._thread.ident is None


def test_the_internals_of_aiosqlite_that_we_use_exist() -> None:
    base = aiosqlite.Connection
    assert list(inspect.signature(base).parameters) == ["connector", "iter_chunk_size", "loop"]
    assert list(inspect.signature(base._execute).parameters) == ["self", "fn", "args", "kwargs"]
    for verb in (base._connect, base.close, base.stop, base.__await__, base.__aenter__):
        assert list(inspect.signature(verb).parameters) == ["self"]
    connection = base(connector, 1)
    assert connection._running is True
    assert connection._connection is None
    assert connection._connector is connector
    assert isinstance(connection._thread, threading.Thread)
    with pytest.raises(ValueError, match="no active connection"):
        _ = connection._conn
    assert "self._conn._execute(" in inspect.getsource(aiosqlite.Cursor._execute)
    assert "await self.close()" in inspect.getsource(base.__aexit__)


def test_every_method_that_uses_asyncio_or_the_thread_is_overridden() -> None:
    verbs = {name: getattr(verb, "fget", verb) for name, verb in vars(aiosqlite.Connection).items()}
    sources = {name: inspect.getsource(verb) for name, verb in verbs.items() if inspect.isfunction(verb)}
    foreign = {
        name for name, source in sources.items() if any(word in source for word in ("_tx", "_thread", "asyncio."))
    }
    overridden = {name for name in foreign if name in vars(TrioConnection)}
    assert foreign - overridden == {"iterdump"}
    assert overridden == {"__init__", "__await__", "_connect", "_execute", "stop"}
