"""Take message, transcript and phone number from reminders that are over and old."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from secrets import token_hex
from typing import Final

from attrs import frozen

from reminderd.store.audit import audit
from reminderd.store.connection import Connection
from reminderd.store.rows import to_ms

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

_MARK: Final = """
INSERT INTO settings (key, value) VALUES ('unscrubbed', :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""
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
    return int(connection.execute(_COUNT, {"before": to_ms(before)}).fetchone()[0])


def mark_unscrubbed(connection: Connection) -> None:
    """Note, in the transaction that deletes something, that its traces are still in the files."""
    connection.execute(_MARK, {"value": f"{Traces.FILE} {token_hex(8)}"})


def unscrubbed(connection: Connection) -> Traces | None:
    """Where traces may be of what was purged or erased; None: nowhere."""
    value = scrub_mark(connection)
    if value is None:
        return None
    return Traces.LOG if value == Traces.LOG else Traces.FILE


def scrub_mark(connection: Connection) -> str | None:
    """Return what `mark_unscrubbed` has noted last, another text each time; None: nothing is to be scrubbed."""
    row = connection.execute("SELECT value FROM settings WHERE key = 'unscrubbed'").fetchone()
    return None if row is None else str(row["value"])


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
