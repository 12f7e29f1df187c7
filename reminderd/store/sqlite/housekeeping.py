"""What SQLite needs beside transactions: room for large ones, small and clean files, fresh statistics."""

import time
from contextlib import suppress
from datetime import datetime
from typing import Final

from reminderd.store.personal_data import Traces, scrub_mark
from reminderd.store.sqlite.driver import Connection, Error, translated

_FILE_IS_DONE: Final = "UPDATE settings SET value = :log WHERE key = 'unscrubbed' AND value = :before"
_LOG_IS_DONE: Final = "DELETE FROM settings WHERE key = 'unscrubbed' AND value = :log"

_LOG_TRIES: Final = 20
_LOG_PAUSE_SECONDS: Final = 0.05
"""Short questions are over by then, and no lock is held meanwhile."""


def make_room(connection: Connection) -> None:
    """Let a connection that writes whole chunks keep the pages that a chunk touches, and copy them back more rarely.

    With the small cache that every connection has, SQLite would write most pages of a chunk several times.
    """
    connection.execute("PRAGMA cache_size = -32768")  # KiB
    connection.execute("PRAGMA wal_autocheckpoint = 8192")  # pages, 32 MiB


def tidy(connection: Connection) -> None:
    """Leave a small file and fresh statistics; it is no harm if others are at work and it can't be done."""
    with suppress(Error):
        connection.execute("PRAGMA analysis_limit = 400")  # within a limit no samples, of phone numbers, are kept
        connection.execute("PRAGMA optimize")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def count_calls(connection: Connection, _now: datetime) -> None:
    """Let SQLite count again, if there is much more by now: it reads all of `call_logs`, if that once was small."""
    connection.execute("PRAGMA analysis_limit = 400").fetchall()  # within it no samples, of phone numbers, are kept
    connection.execute("PRAGMA optimize = 0x10002").fetchall()


def scrub(connection: Connection) -> bool:
    """Rewrite the files without what was purged; False: somebody reads, and the last of it is still in the log.

    SQLite overwrites what it deletes, but not the copies that it left in a page when it moved rows to another one. So
    the whole database is written anew, unless only the log was left to be emptied. Meanwhile, about a second for
    200 MB, nobody else can write, and it takes as much memory as the file is large. The log is emptied only if that
    can be done at once, within a second of tries: SQLite's own waiting for somebody who reads would make all wait who
    write.

    Raises:
        StoreUnavailableError: The disk is full, the database is locked …; the mark stays.
    """
    with translated():
        before = scrub_mark(connection)
        if before != Traces.LOG:
            connection.execute("VACUUM")
            # What another program purges meanwhile has a mark of its own, which stays.
            connection.execute(_FILE_IS_DONE, {"log": Traces.LOG, "before": before})
        emptied = _empty_log(connection)
        if emptied:
            connection.execute(_LOG_IS_DONE, {"log": Traces.LOG})
    return emptied


def _empty_log(connection: Connection) -> bool:
    patience = int(connection.execute("PRAGMA busy_timeout").fetchone()[0])
    connection.execute("PRAGMA busy_timeout = 0").fetchall()
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # most of the work, while others write
        for _ in range(_LOG_TRIES):
            if not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                return True
            time.sleep(_LOG_PAUSE_SECONDS)
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}").fetchall()
