"""One transaction on one connection: all of it happens, or none."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from reminderd.store.sqlite.driver import Connection, Error, translated

T = TypeVar("T")


def transaction(connection: Connection, fn: Callable[[Connection, datetime], T], now: datetime) -> T:
    """Run `fn(connection, now)` between BEGIN IMMEDIATE and COMMIT; whatever it raises undoes it all.

    Raises:
        StoreUnavailableError: The disk is full, another program holds the lock …; nothing was written.
    """
    with translated():
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = fn(connection, now)
            connection.execute("COMMIT")
        finally:
            roll_back(connection)
        return result


def snapshot(connection: Connection, fn: Callable[[Connection], T]) -> T:
    """Run `fn(connection)`, which only reads, so that all of its queries see the database at one instant.

    Raises:
        StoreUnavailableError: It can't be read right now.
    """
    with translated():
        connection.execute("BEGIN")
        try:
            return fn(connection)
        finally:
            roll_back(connection)


def roll_back(connection: Connection) -> None:
    """End a transaction that is still open, if there is one: after a full disk SQLite may have done so by itself."""
    if connection.in_transaction:
        # Of interest is only what led here; after a failed ROLLBACK SQLite has left the transaction all the same.
        with suppress(Error):
            connection.execute("ROLLBACK")
