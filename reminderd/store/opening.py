"""Open a connection of the engine that a database needs, for programs without Trio."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

from reminderd.databases import PostgresServer, Target
from reminderd.store.connection import Connection
from reminderd.store.sqlite import opening as sqlite


@contextmanager
def open_sync(target: Target, *, busy_timeout: timedelta = sqlite.BUSY_TIMEOUT) -> Iterator[Connection]:
    """Open a connection that reads and writes, and close it at the end.

    A database that does not exist yet is created if it is a file; a file with an older schema is upgraded.

    Raises:
        StoreUnusableError: This isn't or can't be our database; the message has its name and the reason in one line.
        StoreUnavailableError: It is locked, the disk is full, the server is away …: a later try may succeed.
    """
    if isinstance(target, PostgresServer):
        raise NotImplementedError
    with sqlite.open_sync(target.path, busy_timeout=busy_timeout) as connection:
        yield connection


@contextmanager
def open_to_look(target: Target) -> Iterator[Connection]:
    """Open a connection that only reads a database with the newest schema, and close it at the end.

    Raises:
        StoreUnusableError: This isn't our database, or its schema is an older or a newer one.
        StoreUnavailableError: It is locked ….
    """
    if isinstance(target, PostgresServer):
        raise NotImplementedError
    with closing(sqlite.open_to_look(target.path)) as connection:
        yield connection
