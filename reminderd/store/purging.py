"""Take message, transcript and phone number from reminders that are over and old, and their bytes from the files."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from attrs import frozen

from reminderd.store.audit import audit
from reminderd.store.driver import Connection, translated
from reminderd.store.facts import OPEN
from reminderd.store.rows import to_ms
from reminderd.store.transaction import snapshot

BATCH: Final = 200
"""Reminders looked at in one transaction: a few hundredths of a second at most, in which nobody else can write."""

_TO_PURGE: Final = f"""
   updated_at < :before AND status IN ('called', 'failed', 'expired', 'cancelled')
   AND (phone_number <> '' OR message <> ''
        OR EXISTS (SELECT 1 FROM call_logs WHERE reminder_id = reminders.id AND transcript <> ''))
   AND NOT EXISTS (SELECT 1 FROM call_logs WHERE reminder_id = reminders.id AND {OPEN})
"""

_NEXT: Final = f"""
SELECT id, scheduled_at, last_error, {_TO_PURGE} AS to_purge FROM reminders
 WHERE (scheduled_at, id) > (:after, :after_id) AND scheduled_at < :before
 ORDER BY scheduled_at, id LIMIT :limit
"""

_COUNT: Final = f"SELECT count(*) FROM reminders WHERE scheduled_at < :before AND {_TO_PURGE}"

Cleaned = Callable[[str], str]
"""Gives a text back with every phone number in it masked."""


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
        connection.execute(
            "UPDATE reminders SET phone_number = '', message = '', last_error = ? WHERE id = ?",
            (_or_none(row["last_error"], cleaned), row["id"]),
        )
        _purge_calls(connection, row["id"], cleaned)
    if rows:
        audit(connection, now, actor=actor, act="purge", detail=f"{len(rows)} reminders from before {before:%Y-%m-%d}")
    last = looked_at[-1]
    return Purged(reminders=len(rows), reached=Place(last["scheduled_at"], last["id"]))


def count_old(connection: Connection, *, before: datetime) -> int:
    """How many reminders a purge would take something from."""
    return int(snapshot(connection, partial(_count, before=before)))


def scrub(connection: Connection) -> bool:
    """Rewrite the files without what was purged; False: somebody reads, and the last of it goes when the log is reused.

    SQLite overwrites what it deletes, but not the copies that it left in a page when it moved rows to another one. So
    the whole database is written anew. Meanwhile, about a second for 200 MB, nobody else can write, and it takes as
    much memory as the file is large.

    Raises:
        StoreUnavailableError: The disk is full, the database is locked ….
    """
    with translated():
        connection.execute("VACUUM")
        busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy


def _count(connection: Connection, *, before: datetime) -> int:
    return int(connection.execute(_COUNT, {"before": to_ms(before)}).fetchone()[0])


def _purge_calls(connection: Connection, reminder_id: str, cleaned: Cleaned) -> None:
    calls = connection.execute(
        "SELECT id, transcript, error FROM call_logs WHERE reminder_id = ?", (reminder_id,)
    ).fetchall()
    for call in calls:
        connection.execute(
            "UPDATE call_logs SET transcript = ?, error = ?, said_digest = NULL WHERE id = ?",
            (None if call["transcript"] is None else "", _or_none(call["error"], cleaned), call["id"]),
        )


def _or_none(text: str | None, cleaned: Cleaned) -> str | None:
    return None if text is None else cleaned(text)
