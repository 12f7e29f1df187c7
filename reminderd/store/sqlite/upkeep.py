"""Keep the file small, free of what was purged, and its statistics fresh."""

import time
from contextlib import suppress
from typing import Final

from reminderd.store.personal_data import Traces, scrub_mark
from reminderd.store.sqlite.driver import Error, SqliteConnection, not_waiting, translated

_FILE_IS_DONE: Final = "UPDATE settings SET value = :log WHERE key = 'unscrubbed' AND value = :before"
_LOG_IS_DONE: Final = "DELETE FROM settings WHERE key = 'unscrubbed' AND value = :log"

_LOG_TRIES: Final = 20
_LOG_PAUSE_SECONDS: Final = 0.05
"""Short reads are over by then, and no lock is held in the meantime."""


def tidy(connection: SqliteConnection) -> None:
    """Shrink the file and refresh the statistics; if others prevent it, that does no harm."""
    with suppress(Error):
        connection.execute("PRAGMA analysis_limit = 400")  # within this limit, no samples of phone numbers are kept
        connection.execute("PRAGMA optimize")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def scrub(connection: SqliteConnection) -> bool:
    """Rewrite the files without what was purged; return False if a reader keeps the rest of it in the log.

    SQLite overwrites what it deletes, but not the copies that it left in a page when it moved rows to another page. So
    the whole database is rewritten, unless only the log was left to be emptied. Meanwhile, about a second for 200 MB,
    nobody else can write, and it takes as much memory as the file is large. The log is emptied only if that is possible
    at once, within a second of tries: if SQLite itself waited for a reader, all writers would have to wait.

    Raises:
        StoreUnavailableError: The disk is full, the database is locked …; the mark stays.
    """
    with translated():
        before = scrub_mark(connection)
        if before != Traces.LOG:
            connection.execute("VACUUM")
            # A purge by another program in the meantime has its own mark, which stays.
            connection.execute(_FILE_IS_DONE, {"log": Traces.LOG, "before": before})
        emptied = _empty_log(connection)
        if emptied:
            connection.execute(_LOG_IS_DONE, {"log": Traces.LOG})
    return emptied


def _empty_log(connection: SqliteConnection) -> bool:
    with not_waiting(connection):
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # most of the work, while others write
        for _ in range(_LOG_TRIES):
            if not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                return True
            time.sleep(_LOG_PAUSE_SECONDS)
        return False
