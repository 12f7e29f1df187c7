"""Run the tests' own PostgreSQL server, which ends with the process that started it, however that ends.

Each process of the tests has its own: it is there in half a second, and a test may stop it without disturbing others.
`REMINDERD_POSTGRES=0` lets no test use one; with `=1` tests fail without one, instead of being skipped.
"""

import atexit
import contextlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from attrs import define, field, frozen

from tests.support.ports import a_free_port

if TYPE_CHECKING:
    import psycopg

USER = "clinic"
"""The owner of the tests' databases, which the server accepts with any password."""
PASSWORD = "correct-horse"
CAREFUL_USER = "clinic_by_password"
"""Another role, which the server accepts with `PASSWORD` only."""

_MANY_ROWS = 1_000  # of which the dead ones would slow the next tests down

_OLDEST = 15  # the first that can have a default collation of ICU for a whole cluster

# Its default collation sorts "a ä B" and its time zone is not UTC: tests fail where the product relies on the default.
_INITDB = ("--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--encoding=UTF8", "--auth=trust")
_OPTIONS = (
    "fsync=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=32MB",
    "dynamic_shared_memory_type=mmap",  # in its folder, not in /dev/shm
    "timezone=Asia/Tokyo",
)
_WHO_IS_LET_IN = f"""
local all all trust
local replication postgres trust
host all {CAREFUL_USER} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""

# Waits until the process of the tests has ended, then ends the server and removes its folder.
_GUARD = """
import os, select, shutil, signal, sys, time
from pathlib import Path
owner, folder = int(sys.argv[1]), Path(sys.argv[2])
for stopping in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # they are for the tests
    signal.signal(stopping, signal.SIG_IGN)
with os.fdopen(os.pidfd_open(owner)) as tests:
    print(flush=True)
    select.select([tests], [], [])
patience = time.monotonic() + 2  # one that is just being started has no number yet
while time.monotonic() < patience:
    try:
        server = int((folder / "data/postmaster.pid").read_text().split()[0])
        with os.fdopen(os.pidfd_open(server)) as process:
            os.kill(server, signal.SIGQUIT)
            select.select([process], [], [], 30)
        break
    except (OSError, ValueError, IndexError):
        time.sleep(0.1)
shutil.rmtree(folder, ignore_errors=True)
"""


def _programs() -> Path | None:
    """Return the folder of the newest installed server's programs."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda folder: float(folder.parent.name))
    program = shutil.which("initdb")
    return Path(program).resolve().parent if program else None


def program(name: str) -> Path:
    """Return one of the server's programs, such as `pg_dump`."""
    folder = _programs()
    assert folder is not None
    return folder / name


@cache
def what_is_missing() -> str | None:
    """Return why no test can use PostgreSQL here, or None."""
    if os.environ.get("REMINDERD_POSTGRES") == "0":
        return "REMINDERD_POSTGRES=0: not tested on PostgreSQL"
    if find_spec("psycopg") is None:
        return "not tested on PostgreSQL: psycopg is not installed (the extra postgres)"
    programs = _programs()
    if programs is None:
        return "not tested on PostgreSQL: no server is installed (Debian: postgresql)"
    said = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    version = re.search(r"\d+", said)
    if version is None or int(version[0]) < _OLDEST:
        return f"not tested on PostgreSQL: {said.strip()} is older than {_OLDEST}"
    return None


def is_wanted() -> bool:
    """Return whether tests use PostgreSQL: if a server is installed, or if they must fail without one."""
    return what_is_missing() is None or os.environ.get("REMINDERD_POSTGRES") == "1"


def skip_without_postgres() -> None:
    """Skip the test if there is no server; let it fail if there must be one."""
    missing = what_is_missing()
    if missing and is_wanted():
        pytest.fail(f"REMINDERD_POSTGRES=1, but: {missing}")
    if missing:
        pytest.skip(missing)


@frozen
class PostgresDatabase:
    """One database of a server."""

    server: "Server"
    name: str

    @property
    def url(self) -> str:
        """Return its address for reminderd."""
        return self.server.url(self.name)

    def connect(self) -> "psycopg.Connection":
        """Connect as another program does: each statement is committed at once; the role may do anything."""
        return self.server.connect(self.name)


@define
class Server:
    """A server in its own folder."""

    folder: Path
    port: int
    options: Sequence[str]
    _guard: "subprocess.Popen[bytes]"
    _numbers: "count[int]" = field(factory=count)

    def url(self, database: str, user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", user: str = "postgres") -> "psycopg.Connection":
        import psycopg  # noqa: PLC0415 - the tests of SQLite run without it

        return psycopg.connect(
            host=str(self.folder), port=self.port, dbname=database, user=user, autocommit=True, connect_timeout=10
        )

    def start(self) -> None:
        options = [f"-p {self.port} -k {self.folder} -h 127.0.0.1"]
        options += [f"-c {option}" for option in (*_OPTIONS, *self.options)]
        self._pg_ctl("start", "-l", str(self.folder / "log"), "-o", " ".join(options))

    def stop(self, mode: Literal["fast", "immediate"] = "immediate") -> None:
        """Stop it: in order, which ends all sessions, or at once, as if it had crashed."""
        self._pg_ctl("stop", "-m", mode)

    def restart(self, mode: Literal["fast", "immediate"] = "immediate") -> None:
        self.stop(mode)
        self.start()

    def standby(self) -> "Server":
        """Return a running copy of it, which gets no later writes."""
        folder = Path(tempfile.mkdtemp(prefix="reminderd-postgres-"))
        guard = _start_guard(folder)
        user = _server_user()
        if user is not None:
            shutil.chown(folder, user)
        where = ("-h", self.folder, "-p", str(self.port), "-U", "postgres", "-D", folder / "data")
        made = _as_its_user([program("pg_basebackup"), *where, "--checkpoint=fast", "--no-sync"])
        assert made.returncode == 0, made.stdout
        (folder / "data/standby.signal").touch()
        copy = Server(folder, a_free_port(), self.options, guard)
        copy.start()
        return copy

    def promote(self) -> None:
        """Have a standby take over."""
        self._pg_ctl("promote")

    def end(self) -> None:
        """Stop it for good, and remove its folder."""
        if (self.folder / "data/postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder)
        self._guard.kill()
        self._guard.wait()

    def create(self, template: str = "template1") -> PostgresDatabase:
        """Make a database that no other test has seen."""
        name = f"clinic_{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE {template}".encode())
        return PostgresDatabase(self, name)

    def drop(self, database: PostgresDatabase) -> None:
        """Remove it, and end the sessions that still use it."""
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE {database.name} WITH (FORCE)".encode())

    def _pg_ctl(self, *arguments: str) -> None:
        programs = _programs()
        assert programs is not None
        done = _as_its_user([programs / "pg_ctl", "-w", "-s", "-D", self.folder / "data", *arguments])
        if done.returncode:
            log = self.folder / "log"
            raise AssertionError(f"pg_ctl {arguments[0]}: {done.stdout}{log.read_text() if log.exists() else ''}")


# Changes with each change of the schema, and with nothing else.
_FINGERPRINT = """
SELECT md5(string_agg(fact, ' ' ORDER BY fact)) FROM (
    SELECT 'r' || oid || ',' || xmin AS fact FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT 'a' || attrelid || ',' || attnum || ',' || pg_attribute.xmin FROM pg_attribute
        JOIN pg_class ON attrelid = pg_class.oid AND relnamespace = 'public'::regnamespace
    UNION ALL SELECT 't' || oid || ',' || xmin FROM pg_trigger
    UNION ALL SELECT 'c' || oid || ',' || xmin FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'f' || oid || ',' || xmin FROM pg_proc WHERE pronamespace = 'public'::regnamespace
) AS facts
"""


@define
class ReusedDatabase:
    """One database for many tests, which is reset for each within some milliseconds."""

    server: Server
    _template: PostgresDatabase
    _undo: bytes
    """Deletes all rows except those that a database has before its first test, and resets its sequences."""
    _database: PostgresDatabase | None = None
    _fingerprint: str | None = None
    _session: "psycopg.Connection | None" = None
    """Kept open between two tests: a new connection would read the server's catalog again."""

    @classmethod
    def made_by(cls, server: Server, prepare: Callable[[PostgresDatabase], None]) -> "ReusedDatabase":
        """Return a database that each test gets as `prepare` leaves it: with tables, and with few rows."""
        template = server.create()
        prepare(template)
        with template.connect() as connection:
            undo = _undo(connection)
        made = cls(server, template, undo)
        _at_the_end(made.close)
        return made

    def as_new(self) -> PostgresDatabase:
        """Return the database after ending all sessions of it and undoing all that they did."""
        if self._database is not None:
            if self._is_emptied():
                return self._database
            self.close()
            self.server.drop(self._database)
        self._database = self.server.create(self._template.name)
        self._session = self._database.connect()
        self._fingerprint = _fingerprint(self._session)
        return self._database

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _is_emptied(self) -> bool:
        """Delete all rows except those of a new database; return False if the schema has changed, or may have."""
        import psycopg  # noqa: PLC0415 - the tests of SQLite run without it

        assert self._session is not None
        try:
            self._session.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            if _fingerprint(self._session) != self._fingerprint:
                return False
            with self._session.execute(self._undo) as undone:
                deleted = undone.rowcount
                while undone.nextset():
                    deleted += undone.rowcount
            if deleted > _MANY_ROWS:
                self._session.execute("VACUUM (ANALYZE)")
        except psycopg.OperationalError:  # a test has ended this session, or the server
            return False
        return True


def _undo(connection: "psycopg.Connection") -> bytes:
    """Return statements, sent as one message, that leave in a database what it has now."""
    from psycopg.sql import SQL, Composable, Identifier, Literal  # noqa: PLC0415 - the tests of SQLite run without it

    parts: list[Composable] = [SQL("BEGIN"), SQL("SET LOCAL session_replication_role = replica")]  # no triggers
    for table in map(Identifier, _tables(connection)):
        rows = connection.execute(SQL("TABLE {}").format(table)).fetchall()
        values = (SQL(", ").join(map(Literal, row)) for row in rows)
        parts += [
            SQL("DELETE FROM {}").format(table),
            *(SQL("INSERT INTO {} VALUES ({})").format(table, row) for row in values),
        ]
    for name, last in connection.execute("SELECT 'public.' || sequencename, last_value FROM pg_sequences").fetchall():
        parts.append(SQL("SELECT setval({}, {}, {})").format(*map(Literal, (name, last or 1, last is not None))))
    return SQL("; ").join([*parts, SQL("COMMIT")]).as_bytes(connection)


def _tables(connection: "psycopg.Connection") -> list[str]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return [name for (name,) in rows]


def _fingerprint(connection: "psycopg.Connection") -> str:
    row = connection.execute(_FINGERPRINT).fetchone()
    assert row is not None
    return str(row[0])


def _server_user() -> str | None:
    """Return the user as whom the server runs: it refuses root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _as_its_user(command: Sequence[str | Path]) -> "subprocess.CompletedProcess[str]":
    user = _server_user()
    group = None if user is None else pwd.getpwnam(user).pw_gid
    # What it says goes to a file: the server would keep a pipe open for as long as it runs.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
            start_new_session=True,  # Ctrl-C is for the tests
            check=False,
        )
        said.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, said.read())


def _start_guard(folder: Path) -> "subprocess.Popen[bytes]":
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), str(folder)],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert guard.stdout is not None
    guard.stdout.readline()
    guard.stdout.close()
    return guard


def start_server(*options: str) -> Server:
    """Start a server that ends with this process.

    Args:
        options: settings of the server, as `name=value`, added to the tests' own.
    """
    programs = _programs()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="reminderd-postgres-"))
    guard = _start_guard(folder)
    user = _server_user()
    if user is not None:
        shutil.chown(folder, user)
    made = _as_its_user([programs / "initdb", "-D", folder / "data", "-U", "postgres", "--no-sync", *_INITDB])
    assert made.returncode == 0, made.stdout
    (folder / "data/pg_hba.conf").write_text(_WHO_IS_LET_IN)
    server = Server(folder, a_free_port(), options, guard)
    server.start()
    with server.connect() as connection:
        for role in (USER, CAREFUL_USER):
            connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'".encode())
        connection.execute(f"GRANT {USER} TO {CAREFUL_USER}".encode())
    return server


@cache
def server_of_this_process() -> Server:
    server = start_server()
    _at_the_end(server.end)
    return server


def _at_the_end(act: Callable[[], None]) -> None:
    """Do this when this process ends, but not in a process that a test has forked."""
    owner = os.getpid()
    atexit.register(lambda: act() if os.getpid() == owner else None)


@contextlib.contextmanager
def a_server(*options: str) -> Iterator[Server]:
    """Run a server for one test."""
    server = start_server(*options)
    try:
        yield server
    finally:
        server.end()
