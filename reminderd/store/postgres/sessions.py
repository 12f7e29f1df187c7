"""Connect to a PostgreSQL server, and check that its database can be used."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import timedelta
from functools import partial
from typing import Final

import psycopg
from attrs import frozen
from psycopg.conninfo import make_conninfo

from reminderd.databases import PostgresServer
from reminderd.store.connection import snapshot
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.postgres.driver import MARKS_KEPT, PostgresConnection
from reminderd.store.postgres.error_codes import store_error
from reminderd.store.postgres.shared_schema import make_or_check, migrate, migrations, refuse_unless_newest, schema_of
from reminderd.store.postgres.statements import Raw, named_rows, read_sums_as_integers
from reminderd.store.shared_state import real_provider

# A call on a worker thread can't be abandoned, so each must end by itself.
_PATIENCE: Final[dict[str, int | str]] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "target_session_attrs": "read-write",
    "client_encoding": "utf8",
}
# For our short queries, JIT compilation would take longer than the query.
_SETTINGS: Final = """
SET lock_timeout = '5s'; SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '5min';
SET TimeZone = 'UTC'; SET standard_conforming_strings = on; SET DateStyle = 'ISO';
SET jit = off;
SELECT set_config('synchronous_commit', 'on', FALSE) WHERE current_setting('synchronous_commit') = 'off'
"""
_FORGET_MARKS: Final = "DELETE FROM commit_marks WHERE at < reminderd_now() - CAST(%s AS BIGINT)"


@frozen
class Upgrade:
    """The schema before and after an upgrade; 0 without tables."""

    before: int
    after: int
    newest: int
    """The newest schema that this program knows."""


def open_read_only(server: PostgresServer) -> AbstractContextManager[PostgresConnection]:
    """Open a connection to a database that has tables, and change nothing; close it at the end.

    Raises:
        StoreUnusableError: It has no tables, or their schema is an older or a newer one.
        StoreUnavailableError: The server can't be reached ….
    """
    connection = PostgresConnection(partial(connect, server))
    with naming_database(server), connect(server) as raw:
        found = schema_of(raw)
        if found is None:
            raise StoreUnusableError("there are no tables yet; reminderd run or add creates them")
        refuse_unless_newest(found, migrations()[-1].number)
    return closing(connection)


def provider_of(server: PostgresServer) -> str | None:
    """Return the real provider with which a database of any schema was last opened; None if there is none."""
    with naming_database(server), closing(connect(server)) as raw:
        if schema_of(raw) is None:
            return None
        with closing(PostgresConnection(partial(connect, server))) as connection:
            return snapshot(connection, real_provider)


def upgrade(server: PostgresServer) -> Upgrade:
    """Create the tables, or upgrade them to the newest schema.

    Raises:
        StoreUnusableError: This isn't or can't be our database, or is a newer reminderd's; nothing was changed.
        StoreUnavailableError: The server can't be reached, or another program has held a lock for too long.
    """
    steps = migrations()
    with naming_database(server), closing(connect(server)) as raw:
        before = schema_of(raw)
        migrate(raw, steps)
        after = schema_of(raw)
    return Upgrade(
        before=0 if before is None else before.version,
        after=0 if after is None else after.version,
        newest=steps[-1].number,
    )


def open_connection(server: PostgresServer) -> PostgresConnection:
    """Return a connection that reads and writes; in an empty database, create the tables first.

    Raises:
        StoreUnusableError: This isn't or can't be our database; the message has its name and the reason in one line.
        StoreUnavailableError: The server can't be reached, or has no free connection.
    """
    with naming_database(server), connect(server) as raw:
        make_or_check(raw, migrations())
        raw.execute(_FORGET_MARKS, (MARKS_KEPT // timedelta(milliseconds=1),))
    return PostgresConnection(partial(connect, server))


def connect(server: PostgresServer) -> Raw:
    """Return psycopg's connection with our settings, in autocommit mode.

    Raises:
        psycopg.OperationalError: It can't be opened.
        StoreUnusableError: libpq rejects the URL.
    """
    try:
        place = make_conninfo(server.url, application_name=f"reminderd {socket.gethostname()}"[:60], **_PATIENCE)
    except psycopg.ProgrammingError:
        # The message of libpq may contain the password.
        raise StoreUnusableError("libpq rejects this URL: see docs/postgresql.md") from None
    raw = psycopg.connect(place, autocommit=True, row_factory=named_rows)
    try:
        read_sums_as_integers(raw)
        raw.execute(_SETTINGS.encode(), prepare=False)
    except BaseException:
        raw.close()
        raise
    return raw


@contextmanager
def naming_database(server: PostgresServer) -> Iterator[None]:
    """Begin each error's message with the name of the database."""
    try:
        yield
    except psycopg.Error as error:
        ours = store_error(error)
        if ours is None:
            raise
        raise type(ours)(f"{server.shown_name}: {ours}") from error
    except (StoreUnavailableError, StoreUnusableError) as error:
        raise type(error)(f"{server.shown_name}: {error}") from error
