"""Implement the connection of `reminderd.store.connection` for a PostgreSQL server.

In the whole cluster, one transaction at a time writes, as with SQLite: it takes the cluster write lock first. A
statement whose result nobody reads is sent together with the next one, so that a transaction takes few round trips to
the server. Its error is then raised by the next statement, or at the end of its savepoint.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from secrets import token_hex
from typing import Final

import psycopg
from attrs import define, evolve, field
from psycopg.pq import TransactionStatus

from reminderd.core.server_identity import ServerIdentity
from reminderd.store.connection import Parameters
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.postgres.error_codes import is_collision, is_lost, is_of_one_statement, store_error
from reminderd.store.postgres.shared_schema import CLUSTER_WRITE_LOCK, migrations, refuse_if_it_needs_more
from reminderd.store.postgres.statements import LazyRows, ManyRows, Raw, pipeline
from reminderd.store.rows import from_ms

_KNOW_WITHIN: Final = 60.0
"""The most seconds, after the connection was lost, for finding out whether a COMMIT has happened."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0

_LOCKED_FOR: Final = "1s"
"""How long a transaction waits for a row that another program has locked, while the whole cluster waits for it."""

_BEGIN: Final = f"""
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL idle_in_transaction_session_timeout = '5s';
SELECT pg_advisory_xact_lock({CLUSTER_WRITE_LOCK});
SET LOCAL lock_timeout = '{_LOCKED_FOR}';
UPDATE commit_marks SET number = {{number}}, at = reminderd_now() WHERE id = '{{id}}';
SELECT reminderd_now(), needs, CAST('settings' AS regclass)::oid FROM schema_info
"""
_WAIT_FOR_STANDBY: Final = "SET LOCAL statement_timeout = 0"
"""No timeout: a COMMIT whose wait for a standby times out is still done, but only on the primary.

This statement also fails if an earlier statement has failed; COMMIT alone would undo everything and report no error.
"""
_BEGIN_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_PLAN_FOR_VALUES: Final = "SET LOCAL plan_cache_mode = force_custom_plan"
"""Staff may read few rows or very many: a generic plan may read a whole table for one page."""
_MARK: Final = "INSERT INTO commit_marks (id, number) VALUES (%s, 0) ON CONFLICT (id) DO NOTHING"
_MARKED: Final = "SELECT number, reminderd_now() FROM commit_marks WHERE id = %s"
MARKS_KEPT: Final = timedelta(days=30)
"""How long marks are kept: the connections of older marks have ended."""
# After a restore of single tables, the sequence may be behind.
_SKIP_SEQ: Final = """
SELECT setval(sequence, greatest(nextval(sequence), (SELECT coalesce(max(seq), 0) + 1 FROM call_logs)))
  FROM (SELECT CAST(pg_get_serial_sequence('call_logs', 'seq') AS regclass)) AS one (sequence)
"""
# A table keeps its OID through VACUUM FULL; its file gets a new number. No migration may create this table again.
_PLACE: Final = """
SELECT (SELECT oid FROM pg_database WHERE datname = current_database()), CAST('settings' AS regclass)::oid,
       has_function_privilege(to_regprocedure('pg_control_system()'), 'EXECUTE'),
       has_function_privilege(to_regprocedure('pg_current_wal_lsn()'), 'EXECUTE')
"""
_SYSTEM: Final = "SELECT system_identifier FROM pg_control_system()"
# The first eight digits of the name are the timeline. The control file has a new timeline only after a checkpoint.
_TIMELINE: Final = "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint"


@define(eq=False)
class PostgresConnection:
    """A connection that reconnects by itself after it was lost."""

    _connect: Callable[[], Raw]
    """Opens a connection, in autocommit mode, with all its settings."""
    _raw: Raw | None = field(default=None, repr=False, init=False)
    _waiting: list[LazyRows] = field(factory=list, init=False)
    _is_writing: bool = field(default=False, init=False)
    _is_reading: bool = field(default=False, init=False)
    _id: str = field(factory=partial(token_hex, 16), init=False)
    """Its row in `commit_marks`."""
    _number: int = field(default=0, init=False)
    """The number of the last transaction that began to write."""
    _committed: int = field(default=0, init=False)
    """The number of the last transaction that was committed."""
    _begun_at: datetime | None = field(default=None, init=False)
    _committed_at: datetime | None = field(default=None, init=False)
    """The server's time when that transaction began."""
    _met: Raw | None = field(default=None, repr=False, init=False)
    """The connection through which `identity` was read."""
    _newest: int = field(factory=lambda: migrations()[-1].number, init=False)

    is_optimistic: bool = field(default=False, init=False)
    has_skipped_savepoint: bool = field(default=False, init=False)
    identity: ServerIdentity | None = field(default=None, init=False)

    @property
    def for_update(self) -> str:
        """Return the end of a SELECT that locks its rows until the end of the transaction."""
        return " FOR UPDATE" if self._is_writing else ""

    @property
    def skip_locked(self) -> str:
        """Return the same, but leaving out the rows that another program has locked."""
        return " FOR UPDATE SKIP LOCKED" if self._is_writing else ""

    @property
    def leaves_traces(self) -> bool:
        """Return False: old versions of rows stay until the server removes them (VACUUM), whatever we do."""
        return False

    @property
    def in_transaction(self) -> bool:
        """Return whether the server has a transaction open."""
        return not self._is_closed and self._usable.info.transaction_status is not TransactionStatus.IDLE

    def execute(self, sql: str, parameters: Parameters = (), /) -> LazyRows:
        """Run one statement: at once, or in a transaction, when its result is read or the transaction ends."""
        if sql.startswith("ROLLBACK TO "):
            self._forget_since(sql.removeprefix("ROLLBACK TO "))
        rows = self._put(sql, parameters)
        if sql.startswith("RELEASE") or not (self._is_writing or self._is_reading):
            self._flush()  # at the end of a savepoint, we must know whether its work has succeeded
        return rows

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> ManyRows:
        """Run a statement once for each set of parameters, as `execute` does."""
        return ManyRows([self.execute(sql, one) for one in parameters])

    def begin(self) -> datetime:
        """Begin a transaction that writes, once no other one in the cluster does; return the server's time.

        Raises:
            StoreUnavailableError: The server can't be reached, or another program holds the lock for too long.
            StoreUnusableError: The database was upgraded, and this program is too old for it.
        """
        self._number += 1
        try:
            now, needs = self._begun_here()
        except psycopg.Error as error:
            if not is_lost(error):
                raise
            self._drop()  # the server may have ended our connection while it was idle
            now, needs = self._begun_here()
        self._is_writing = True
        refuse_if_it_needs_more(needs, self._newest)
        self._begun_at = from_ms(now)
        return self._begun_at

    def server_time(self) -> datetime:
        """Return the server's time."""
        return from_ms(self.execute("SELECT reminderd_now() AS now").fetchone()["now"])

    def begin_snapshot(self) -> None:
        """Begin a transaction that only reads, and sees one state of the database."""
        self._put(_BEGIN_SNAPSHOT, (), is_verb=True)
        self._put(_PLAN_FOR_VALUES, (), is_verb=True)
        self._is_reading = True

    def commit(self) -> None:
        """End the transaction. If the connection is lost meanwhile, find out on a new one whether it was written.

        Raises:
            StoreUnavailableError: Nothing was written, or the message says that this is unknown.
        """
        self._put(_WAIT_FOR_STANDBY, (), is_verb=True)
        self._put("COMMIT", (), is_verb=True)
        try:
            self._flush()
        except psycopg.Error as error:
            if not (is_lost(error) or self._is_closed):
                raise
            self._is_writing = False
            self._drop()
            if not self._has_happened():
                raise StoreUnavailableError("the connection to the server was lost; nothing was written") from error
        self._is_writing = False
        self._committed, self._committed_at = self._number, self._begun_at

    def roll_back(self) -> None:
        """Undo the transaction, if it is still open.

        A transaction that only reads is committed: after a ROLLBACK, psycopg prepares all statements again.
        """
        self._waiting.clear()
        verb = "COMMIT" if self._is_reading else "ROLLBACK"
        self._is_writing = self._is_reading = False
        if self.in_transaction:
            try:
                self._usable.execute(verb, prepare=False)
            except psycopg.Error:
                self._drop()  # the server then undoes it

    def close(self) -> None:
        """Close the connection."""
        self.roll_back()
        self._drop()

    def store_error(self, error: BaseException) -> StoreUnavailableError | StoreUnusableError | None:
        """Return our error for an error of PostgreSQL; see `store_error`."""
        return store_error(error)

    def spoils_all(self, error: BaseException) -> bool:
        """Return whether the whole transaction is lost, and not only the work since its last savepoint."""
        return store_error(error) is not None and not is_of_one_statement(error)

    def is_passing(self, error: BaseException) -> bool:
        """Return whether the server asks to repeat the transaction, or the connection was lost before its end."""
        return is_collision(error) or is_lost(error)

    def refresh_statistics(self) -> None:
        """Do nothing: the server does that by itself."""

    def make_room(self) -> None:
        """Do nothing: the server manages its memory."""

    def relieve(self) -> None:
        """Do nothing: the server frees by itself what it can."""

    def skip_seq(self) -> int:
        """Return a `seq` that all later calls exceed."""
        return int(self.execute(_SKIP_SEQ).fetchone()[0])

    def touch(self) -> None:
        """Do nothing: each transaction writes its mark."""

    @property
    def _is_closed(self) -> bool:
        return self._raw is None or self._raw.closed

    @property
    def _usable(self) -> Raw:
        """Return the open connection, or open one if there is none."""
        if self._raw is None or self._raw.closed:
            self._raw = self._connect()
        return self._raw

    def _begun_here(self) -> tuple[int, int]:
        """Begin a transaction that writes, on a server that we have identified; return its time and `needs`."""
        if self._usable is not self._met:
            self._meet(self._usable)
        now, needs, table = self._begun()
        if self.identity is not None and table != self.identity.table:  # a dump was restored meanwhile
            self._usable.execute("ROLLBACK", prepare=False)
            self._meet(self._usable)
            now, needs, _ = self._begun()
        return now, needs

    def _meet(self, raw: Raw) -> None:
        """Find out which server this is, and leave our mark on it."""
        # The mark is inserted before it is needed: a row that another session is still inserting can't be locked.
        raw.execute(_MARK, (self._id,))
        number, now = raw.execute(_MARKED, (self._id,)).fetchone() or (0, 0)
        committed_at, forgotten_at = self._committed_at, None
        # A machine may have slept so long that its mark was deleted.
        if committed_at is not None and number < self._committed and from_ms(now) - committed_at < MARKS_KEPT:
            forgotten_at = committed_at
        self.identity, self._met = evolve(_identity_of(raw), forgotten_at=forgotten_at), raw

    def _begun(self) -> tuple[int, int, int]:
        """Begin a transaction; return the server's time, the schema's needs, and the OID of `settings`."""
        cursor = self._usable.execute(_BEGIN.format(number=self._number, id=self._id).encode(), prepare=False)
        while cursor.nextset():
            pass
        found = cursor.fetchone()
        if found is None:
            raise StoreUnusableError("the table schema_info is empty, so the schema is unknown: restore a backup")
        return found[0], found[1], found[2]

    def _put(self, sql: str, parameters: Parameters, *, is_verb: bool = False) -> LazyRows:
        rows = LazyRows(sql, parameters, is_verb, self._flush)
        self._waiting.append(rows)
        return rows

    def _forget_since(self, savepoint: str) -> None:
        """Drop what waits since a savepoint: it would be undone, and an error in it would stop the rollback."""
        begins = [place for place, one in enumerate(self._waiting) if one.sql == f"SAVEPOINT {savepoint}"]
        del self._waiting[begins[-1] + 1 if begins else 0 :]

    def _flush(self) -> None:
        """Send everything that waits at once, and take all results."""
        waiting, self._waiting = self._waiting, []
        if self._is_closed and (self._is_writing or (self._is_reading and waiting[0].sql != _BEGIN_SNAPSHOT)):
            # A new connection would do the rest without the earlier statements, and without the lock.
            raise psycopg.OperationalError("the connection was lost in the middle of a transaction")
        if len(waiting) == 1:
            waiting[0].send(self._usable)
        elif waiting:
            with pipeline(self._usable):
                for one in waiting:
                    one.send(self._usable)

    def _drop(self) -> None:
        """Close the connection to the server; the next statement opens another one."""
        raw, self._raw = self._raw, None
        if raw is not None:
            with suppress(psycopg.Error):
                raw.close()

    def _has_happened(self) -> bool:
        """Return whether the last transaction that writes was committed.

        Raises:
            StoreUnavailableError: This is unknown: the server can't be reached, or the mark was deleted.
        """
        found = self._mark_of_the_lost()
        if found is None:
            raise StoreUnavailableError(
                "the connection to the server was lost during a COMMIT, and another program has deleted our row in"
                " commit_marks: whether it has committed is unknown"
            )
        return found == self._number

    def _mark_of_the_lost(self) -> int | None:
        """Return the number of the last transaction that was committed; None if nothing shows it.

        The mark is read and locked on a new connection, which waits until the old session has ended its transaction.

        Raises:
            StoreUnavailableError: The server can't be reached.
        """
        deadline, pause = time.monotonic() + _KNOW_WITHIN, _FIRST_PAUSE
        while time.monotonic() < deadline:
            with suppress(psycopg.Error, StoreUnavailableError, StoreUnusableError):
                found = self._usable.execute(f"{_MARKED} FOR UPDATE", (self._id,)).fetchone()
                return None if found is None else int(found[0])
            self._drop()
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise StoreUnavailableError(
            "the connection to the server was lost during a COMMIT, and the server can't be reached: whether it has"
            " committed is unknown until it answers again"
        )


def _identity_of(connection: Raw) -> ServerIdentity:
    """Return what the server shows of its identity, without functions that need a superuser.

    Raises:
        psycopg.Error: The connection was lost, or there are no tables.
    """
    found = connection.execute(_PLACE).fetchone()
    assert found is not None  # noqa: S101 - a SELECT without FROM has one row
    database, table, has_system, has_timeline = found
    return ServerIdentity(
        system=_asked(connection, _SYSTEM) if has_system else None,
        timeline=_asked(connection, _TIMELINE) if has_timeline else None,
        database=database,
        table=table,
    )


def _asked(connection: Raw, sql: str) -> int | None:
    """Return the value of a function; None if the server refuses it, as managed servers and PostgreSQL's forks may."""
    try:
        found = connection.execute(sql.encode()).fetchone()
    except psycopg.Error as error:
        if is_lost(error):
            raise
        return None
    return None if found is None else found[0]
