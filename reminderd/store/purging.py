"""Take message, transcript and phone number from reminders that are over and old, and their bytes from the files."""

import time
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from functools import partial
from secrets import token_hex
from typing import Final

from attrs import frozen

from reminderd.store.audit import audit
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.driver import Connection, translated
from reminderd.store.sqlite.transaction import snapshot

BATCH: Final = 200
"""Reminders looked at in one transaction: a few hundredths of a second at most, in which nobody else can write."""

_TO_PURGE: Final = """
   updated_at < :before AND status IN ('called', 'failed', 'expired', 'cancelled')
   AND (phone_number <> '' OR message <> '' OR EXISTS (
       SELECT 1 FROM call_reminders AS m JOIN call_logs AS c ON c.id = m.call_id
        WHERE m.reminder_id = reminders.id AND c.phone_number = '' AND c.transcript <> ''))
   AND NOT EXISTS (SELECT 1 FROM call_logs WHERE phone_number = reminders.phone_number AND wake_at IS NOT NULL)
   AND NOT EXISTS (
       SELECT 1 FROM call_reminders AS m JOIN call_logs AS c ON c.id = m.call_id
        WHERE m.reminder_id = reminders.id AND c.wake_at IS NOT NULL)
"""
_NEXT: Final = f"""
SELECT id, scheduled_at, last_error, {_TO_PURGE} AS to_purge FROM reminders
 WHERE (scheduled_at, id) > (:after, :after_id) AND scheduled_at < :before
 ORDER BY scheduled_at, id LIMIT :limit
"""
_PURGE: Final = """
UPDATE reminders SET phone_number = '', message = '', last_error = :last_error, revision = revision + 1 WHERE id = :id
"""
_CALLS: Final = """
SELECT id, transcript, error FROM call_logs
 WHERE (id IN (SELECT call_id FROM call_reminders WHERE reminder_id = :id) OR reminder_id = :id)
   AND NOT EXISTS (
       SELECT 1 FROM call_reminders AS m JOIN reminders AS r ON r.id = m.reminder_id
        WHERE m.call_id = call_logs.id AND r.phone_number <> '')
"""
_PURGE_CALL: Final = """
UPDATE call_logs SET phone_number = '', transcript = :transcript, error = :error WHERE id = :id
"""

_COUNT: Final = f"SELECT count(*) FROM reminders WHERE scheduled_at < :before AND {_TO_PURGE}"

_LOG_TRIES: Final = 20
_LOG_PAUSE_SECONDS: Final = 0.05
"""Short questions are over by then, and no lock is held meanwhile."""

_MARK: Final = """
INSERT INTO settings (key, value) VALUES ('unscrubbed', :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""
_FILE_IS_DONE: Final = "UPDATE settings SET value = :log WHERE key = 'unscrubbed' AND value = :before"
_LOG_IS_DONE: Final = "DELETE FROM settings WHERE key = 'unscrubbed' AND value = :log"

Cleaned = Callable[[str], str]
"""Gives a text back with every phone number in it masked."""


class Traces(StrEnum):
    """Where something of what was purged or erased may be left."""

    FILE = "file"
    LOG = "log"
    """In the write-ahead log alone: the file is written anew already."""


@frozen
class Place:
    """How far a purge has come, by the time of the reminders and their ids; at first before all of them."""

    scheduled_at: int = -(2**63)
    id: str = ""


@frozen(kw_only=True)
class Purged:
    """What one batch has come to."""

    reminders: int
    reached: Place | None
    """Where the next batch begins; None: there is nothing more."""


def count_calls(connection: Connection, _now: datetime) -> None:
    """Let SQLite count again, if there is much more by now: it reads all of `call_logs`, if that once was small."""
    connection.execute("PRAGMA analysis_limit = 400").fetchall()  # within it no samples, of phone numbers, are kept
    connection.execute("PRAGMA optimize = 0x10002").fetchall()


def purge_batch(
    connection: Connection, now: datetime, *, before: datetime, place: Place, actor: str, cleaned: Cleaned
) -> Purged:
    """Look at the next few reminders, and purge those that are final, without an open call, and old.

    Message and phone number become empty, as do transcripts; what the provider or the program wrote about a failure
    stays with phone numbers masked. All else stays, `ref` and outcome above all; opt-outs are not looked at.

    Args:
        connection: inside a write transaction.
        now: the time of the transaction.
        before: neither the reminder's time nor its last change is later.
        place: where the last batch ended.
        actor: for the audit.
        cleaned: masks phone numbers.
    """
    bounds = {"before": to_ms(before), "after": place.scheduled_at, "after_id": place.id, "limit": BATCH}
    looked_at = connection.execute(_NEXT, bounds).fetchall()
    if not looked_at:
        return Purged(reminders=0, reached=None)
    rows = [row for row in looked_at if row["to_purge"]]
    for row in rows:
        connection.execute(_PURGE, {"id": row["id"], "last_error": _or_none(row["last_error"], cleaned)})
        _purge_calls(connection, row["id"], cleaned)
    if rows:
        mark_unscrubbed(connection)
        audit(connection, now, actor=actor, act="purge", detail=f"{len(rows)} reminders from before {before:%Y-%m-%d}")
    last = looked_at[-1]
    return Purged(reminders=len(rows), reached=Place(last["scheduled_at"], last["id"]))


def count_old(connection: Connection, *, before: datetime) -> int:
    """How many reminders a purge would take something from."""
    return int(snapshot(connection, partial(_count, before=before)))


def mark_unscrubbed(connection: Connection) -> None:
    """Note, in the transaction that deletes something, that its traces are still in the files."""
    connection.execute(_MARK, {"value": f"{Traces.FILE} {token_hex(8)}"})


def unscrubbed(connection: Connection) -> Traces | None:
    """Where traces may be of what was purged or erased; None: nowhere."""
    value = _mark(connection)
    if value is None:
        return None
    return Traces.LOG if value == Traces.LOG else Traces.FILE


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
        before = _mark(connection)
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


def _mark(connection: Connection) -> str | None:
    row = connection.execute("SELECT value FROM settings WHERE key = 'unscrubbed'").fetchone()
    return None if row is None else str(row["value"])


def _count(connection: Connection, *, before: datetime) -> int:
    return int(connection.execute(_COUNT, {"before": to_ms(before)}).fetchone()[0])


def _purge_calls(connection: Connection, reminder_id: str, cleaned: Cleaned) -> None:
    for call in connection.execute(_CALLS, {"id": reminder_id}).fetchall():
        changes = {
            "id": call["id"],
            "transcript": None if call["transcript"] is None else "",
            "error": _or_none(call["error"], cleaned),
        }
        connection.execute(_PURGE_CALL, changes)


def _or_none(text: str | None, cleaned: Cleaned) -> str | None:
    return None if text is None else cleaned(text)
