"""One transaction on one connection: all or nothing."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final, TypeVar

from reminderd.store.sqlite.driver import Connection, Error, is_locked, translated

T = TypeVar("T")

_BETWEEN_TRIES: Final = 0.005
"""Seconds between two tries to get the lock."""


def transaction(connection: Connection, fn: Callable[[Connection, datetime], T], now: datetime) -> T:
    """Run `fn(connection, now)` between BEGIN IMMEDIATE and COMMIT; any exception undoes everything.

    Raises:
        StoreUnavailableError: The disk is full, another program holds the lock …; nothing was written.
    """
    with translated():
        begin(connection)
        try:
            result = fn(connection, now)
            connection.execute("COMMIT")
        finally:
            roll_back(connection)
        return result


def begin(connection: Connection) -> None:
    """Begin a transaction that writes; wait for the lock for at most the connection's busy timeout."""
    patience = stop_waiting(connection)
    try:
        begin_within(connection, patience)
    finally:
        wait_again(connection, patience)


def begin_within(connection: Connection, patience: int) -> None:
    """Begin a transaction that writes, on a connection that waits for no lock: try every 5 ms, for so many ms.

    SQLite itself would soon try only every 100 ms: a program that writes one long transaction after another, with short
    pauses, could keep us waiting until we give up.
    """
    deadline = time.monotonic() + patience / 1000
    while not _has_begun(connection, last=time.monotonic() >= deadline):
        time.sleep(_BETWEEN_TRIES)


def stop_waiting(connection: Connection) -> int:
    """Have the connection wait for no lock; return its busy timeout until now, in milliseconds."""
    patience = int(connection.execute("PRAGMA busy_timeout").fetchone()[0])
    connection.execute("PRAGMA busy_timeout = 0").fetchall()
    return patience


def wait_again(connection: Connection, patience: int) -> None:
    """Give the connection a busy timeout, in milliseconds."""
    connection.execute(f"PRAGMA busy_timeout = {patience}").fetchall()


def _has_begun(connection: Connection, *, last: bool) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except Error as error:
        if last or not is_locked(error):
            raise
        return False
    return True


def snapshot(connection: Connection, fn: Callable[[Connection], T]) -> T:
    """Run `fn(connection)`, which only reads, so that all its queries see the same state of the database.

    Raises:
        StoreUnavailableError: It can't be read right now.
    """
    with translated():
        connection.execute("BEGIN")
        try:
            return fn(connection)
        finally:
            roll_back(connection)


def data_version(connection: Connection) -> int:
    """Return a number that changes whenever another connection has committed something."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def roll_back(connection: Connection) -> None:
    """End a transaction if one is still open: after a full disk, SQLite may have ended it by itself."""
    if connection.in_transaction:
        # Only the original error matters; even after a failed ROLLBACK, SQLite has ended the transaction.
        with suppress(Error):
            connection.execute("ROLLBACK")
