"""The databases that tests run on: a file of SQLite, and a database on the tests' own PostgreSQL server.

A test that uses the fixture `target`, directly or through another fixture, runs once on each engine:

* in `tests/store`, unless the test, or one case of it, is marked `sqlite_only("why")`; in its folders `sqlite` and
  `postgres` on that one alone;
* elsewhere on SQLite alone, unless the test is marked `also_on_postgres`: where SQL decides, or the order of
  transactions.
"""

import atexit
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from reminderd.databases import PostgresServer, SqliteFile, Target
from reminderd.store.any_engine import open_sync
from reminderd.store.sqlite import opening
from reminderd.store.sqlite.driver import connect
from reminderd.store.sqlite.migrate import migrate, migrations
from tests.support.postgres import (
    PostgresDatabase,
    ReusedDatabase,
    is_wanted,
    server_of_this_process,
    skip_without_postgres,
)

STORE = Path(__file__).parents[1] / "store"


def run_on_each_engine(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test that uses a database by the engines that it runs on."""
    if "engine_name" in metafunc.fixturenames:
        test = metafunc.definition
        on_both = STORE in test.path.parents or test.get_closest_marker("also_on_postgres") is not None
        engines = ["sqlite", "postgres"] if on_both and is_wanted() else ["sqlite"]
        metafunc.parametrize("engine_name", ["postgres"] if STORE / "postgres" in test.path.parents else engines)


def is_for_its_engine(item: pytest.Item) -> bool:
    """Return whether a test, or its case, has a meaning on the engine that it would run on."""
    if not isinstance(item, pytest.Function) or getattr(item, "callspec", None) is None:
        return True
    is_sqlite_only = item.get_closest_marker("sqlite_only") is not None or STORE / "sqlite" in item.path.parents
    return not is_sqlite_only or item.callspec.params.get("engine_name") != "postgres"


@pytest.fixture
def new_target(engine_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Target]]:
    """Yield a function that names one more database of this test, which is empty or does not exist yet."""
    if engine_name == "sqlite":
        numbers = count(1)
        yield lambda: SqliteFile(tmp_path / f"more-{next(numbers)}.db")
        return
    skip_without_postgres()
    go_by_the_tests_clock(monkeypatch)
    server, made = server_of_this_process(), list[PostgresDatabase]()

    def create() -> Target:
        made.append(server.create())
        return PostgresServer(made[-1].url)

    yield create
    for database in made:
        server.drop(database)


examine, _migrations = opening._examine, migrations


def examine_after_copying(file: Path) -> None:
    """Put a copy of the tables where there is no file yet, in place of `reminderd.store.sqlite.opening._examine`."""
    if vars(opening)["migrations"] is _migrations and file.parent.is_dir() and not file.exists():
        copy = file.parent / f".{uuid4()}"
        with suppress(OSError):  # then it can't be a database
            copy.write_bytes(_tables())
            copy.chmod(0o600)
            os.link(copy, file)
        copy.unlink(missing_ok=True)
    examine(file)


@cache
def _tables() -> bytes:
    """Return the file of a database in which nobody has written anything yet."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "tables.db"
        with closing(connect(str(file), isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            migrate(connection, _migrations())
        return file.read_bytes()


ON_EACH_ENGINE = [pytest.mark.also_on_postgres, pytest.mark.usefixtures("target")]
"""The marks of a module whose tests open their database by `database_in`."""

_on_the_server: PostgresServer | None = None
"""The database of the running test, if that runs on PostgreSQL."""


@pytest.fixture
def target(engine_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Name a database of this test, which is empty or does not exist yet."""
    if engine_name == "sqlite":
        return SqliteFile(tmp_path / "reminderd.db")
    skip_without_postgres()
    go_by_the_tests_clock(monkeypatch)
    found = PostgresServer(_reused_database().as_new().url)
    monkeypatch.setattr(sys.modules[__name__], "_on_the_server", found)
    return found


def url_of(target: Target) -> str:
    """Return the value of `[database].url` for a database."""
    return target.url if isinstance(target, PostgresServer) else f"sqlite:///{target.path}"


def database_in(folder: Path, name: str = "reminderd.db") -> Target:
    """Return a file in a folder; in a test that runs on PostgreSQL, the test's database, of which there is one."""
    return _on_the_server or SqliteFile(folder / name)


@pytest.fixture
def large_target(engine_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Name a database that tests only read, to see how the engine would do that.

    PostgreSQL goes by the number of rows, SQLite by the statement alone: there it is empty.
    """
    if engine_name == "sqlite":
        return SqliteFile(tmp_path / "reminderd.db")
    skip_without_postgres()
    go_by_the_tests_clock(monkeypatch)
    return PostgresServer(_large_database().url)


@cache
def _large_database() -> PostgresDatabase:
    database = server_of_this_process().create()
    with open_sync(PostgresServer(database.url)):
        pass
    with database.connect() as connection:
        connection.execute("SET session_replication_role = replica")  # no triggers: they would do nothing here but work
        connection.execute(_MANY_ROWS)
        connection.execute("VACUUM ANALYZE")
    return database


# A clinic's year before 2026-03-02 10:00, and two of its days to come; nearly all has ended long ago.
_MANY_ROWS = """
CREATE TEMP TABLE numbers AS
SELECT n, 1772445600000 + (n - 39800) * 800000 AS due, '+1202' || 5550000 + n % 9000 AS number, n > 39800 AS waits
FROM generate_series(1::bigint, 40000) AS n;
INSERT INTO appointments (id, ref, phone_number, at)
SELECT 'a' || n, 'visit ' || n, number, due + 86400000 FROM numbers WHERE n % 2 = 0;
INSERT INTO reminders (
    id, ref, phone_number, message, scheduled_at, planned_at, wake_at, ended_at, updated_at, appointment_id, status,
    hold_code, end_code, response
)
SELECT
    'r' || n, 'call ' || n, number, 'Tomorrow at nine.', due, due, CASE WHEN waits THEN due END,
    CASE WHEN NOT waits THEN due + 60000 END, due + 60000, CASE n % 2 WHEN 0 THEN 'a' || n END,
    CASE WHEN waits THEN 'scheduled' WHEN n % 20 = 0 THEN 'failed' WHEN n % 97 = 0 THEN 'expired' ELSE 'called' END,
    CASE WHEN n > 39990 THEN 'hours' END, CASE WHEN NOT waits AND n % 20 = 0 THEN 'not_answered' END,
    CASE WHEN NOT waits AND n % 20 > 9 THEN 'confirmed' END
FROM numbers;
INSERT INTO call_logs (
    id, reminder_id, phone_number, state, outcome, external_call_id, wake_at, last_sign_at, created_at, updated_at
)
SELECT
    'c' || n, 'r' || n, number, CASE WHEN n > 39790 THEN 'placed' ELSE 'ended' END,
    CASE WHEN n <= 39790 THEN 'answered' END, 'e' || n, CASE WHEN n > 39790 THEN due END, due, due, due
FROM numbers WHERE NOT waits;
INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest)
SELECT 'c' || n, 'r' || n, 0, due, '' FROM numbers WHERE NOT waits;
INSERT INTO webhook_receipts (call_id, reminder_id, status, received_at)
SELECT 'e' || n, 'r' || n, 'completed', due FROM numbers WHERE NOT waits;
INSERT INTO opt_outs (phone_number, created_at)
SELECT '+1303' || 5550000 + n, due FROM numbers WHERE n % 10 = 0;
INSERT INTO audit (at, actor, act, reminder_id)
SELECT due, CASE n % 3 WHEN 0 THEN 'maria' ELSE 'daemon' END, CASE n % 5 WHEN 0 THEN 'view' ELSE 'cancel' END, 'r' || n
FROM numbers;
INSERT INTO audit (at, actor, act)
SELECT due, 'ben', CASE n % 2 WHEN 0 THEN 'pause' ELSE 'resume' END FROM numbers WHERE n > 39960;
"""


@cache
def _reused_database() -> ReusedDatabase:
    def migrate(database: PostgresDatabase) -> None:
        with open_sync(PostgresServer(database.url)):
            pass

    reused = ReusedDatabase.made_by(server_of_this_process(), migrate)
    atexit.register(reused.close)
    return reused


def go_by_the_tests_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have transactions use the clock that a test moves, as on SQLite, instead of the server's clock."""
    from reminderd.store.postgres.driver import PostgresConnection  # noqa: PLC0415 - needs psycopg

    by_the_server = PostgresConnection.begin

    def begin(self: PostgresConnection) -> datetime | None:
        by_the_server(self)
        return None

    monkeypatch.setattr(PostgresConnection, "begin", begin)
    monkeypatch.setattr(PostgresConnection, "server_time", lambda _connection: None)
