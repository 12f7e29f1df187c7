"""Open a connection to a database, with the engine that it needs, for code without Trio."""

from contextlib import AbstractContextManager, closing
from datetime import timedelta
from functools import partial

from reminderd.databases import PostgresServer, Target
from reminderd.store.connection import Connection, snapshot
from reminderd.store.shared_state import real_provider
from reminderd.store.sqlite import opening as sqlite
from reminderd.store.sqlite.migrate import migrations, schema_version


def open_sync(target: Target, *, busy_timeout: timedelta = sqlite.BUSY_TIMEOUT) -> AbstractContextManager[Connection]:
    """Open a connection that reads and writes, and close it at the end.

    A database that does not exist yet is created if it is a file; a file with an older schema is upgraded.

    Raises:
        StoreUnusableError: This isn't or can't be our database; the message has its name and the reason in one line.
        StoreUnavailableError: It is locked, the disk is full, the server can't be reached …: a later try may succeed.
    """
    if isinstance(target, PostgresServer):
        from reminderd.store.postgres import sessions as postgres  # noqa: PLC0415 - psycopg may be missing

        return closing(postgres.open_connection(target))
    return sqlite.open_sync(target.path, busy_timeout=busy_timeout)


def open_read_only(target: Target) -> AbstractContextManager[Connection]:
    """Open a connection that only reads a database with the newest schema, and close it at the end.

    Raises:
        StoreUnusableError: This isn't our database, or its schema is an older or a newer one.
        StoreUnavailableError: It is locked, the server can't be reached ….
    """
    if isinstance(target, PostgresServer):
        from reminderd.store.postgres import sessions as postgres  # noqa: PLC0415 - psycopg may be missing

        return postgres.open_read_only(target)
    return closing(sqlite.open_read_only(target.path))


def provider_of(target: Target) -> str | None:
    """Return the real provider with which a database of any schema was last opened; None if there is none.

    Raises:
        StoreUnusableError: This isn't our database, or a newer reminderd's.
        StoreUnavailableError: It is locked, the server can't be reached ….
    """
    if isinstance(target, PostgresServer):
        from reminderd.store.postgres import sessions as postgres  # noqa: PLC0415 - psycopg may be missing

        return postgres.provider_of(target)
    with closing(sqlite.open_as_it_is(target.path)) as connection:
        has_tables = snapshot(connection, partial(schema_version, newest=migrations()[-1].number))
        return snapshot(connection, real_provider) if has_tables else None
