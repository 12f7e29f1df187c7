"""All that is kept of one phone number: taken out whole, and erased."""

from datetime import datetime
from typing import Final

from attrs import frozen

from reminderd.core.lifecycle.staff import NotAllowedError
from reminderd.core.phone import normalised
from reminderd.store.audit import audit
from reminderd.store.connection import Connection
from reminderd.store.opt_outs import opted_out, some_of
from reminderd.store.purging import mark_unscrubbed
from reminderd.store.queries import Value, acts_on, calls_of, named
from reminderd.store.rows import REMINDERS

_OF_NUMBER: Final = f"SELECT {REMINDERS.names} FROM reminders WHERE phone_number = :number"
_ODD: Final = """
SELECT DISTINCT phone_number FROM reminders
 WHERE substr(phone_number, 1, 1) <> '+' OR trim(phone_number, '+0123456789') <> ''
"""
_IS_ALIVE: Final = "SELECT 1 FROM call_logs WHERE phone_number = :number AND wake_at IS NOT NULL"
_DELETE_CALLS: Final = "DELETE FROM call_logs WHERE phone_number = :number"
_RECEIPTS: Final = """
SELECT call_id, reminder_id, status, received_at FROM webhook_receipts
 WHERE reminder_id = :id ORDER BY received_at, call_id
"""


@frozen(kw_only=True)
class Record:
    """Whole rows by column name."""

    reminders: list[dict[str, Value]]
    """Oldest first."""
    calls: dict[str, list[dict[str, Value]]]
    """By the reminder's id."""
    receipts: dict[str, list[dict[str, Value]]]
    """By the reminder's id."""
    acts: dict[str, list[dict[str, Value]]]
    """By the reminder's id: who did what to it."""
    opt_out: dict[str, Value] | None

    @property
    def empty(self) -> bool:
        """Whether nothing is kept of the number."""
        return not self.reminders and self.opt_out is None


@frozen(kw_only=True)
class Erased:
    """What an erasure has come to."""

    reminders: int
    calls: int
    opted_out: bool
    """The opt-out is still there."""


def record(connection: Connection, *, phone_number: str) -> Record:
    """All that is kept of a number, in whatever spelling other programs have written it."""
    spellings = _spellings(connection, phone_number)
    reminders = [
        named(row) for spelling in spellings for row in connection.execute(_OF_NUMBER, {"number": spelling}).fetchall()
    ]
    reminders.sort(key=lambda reminder: (str(reminder["scheduled_at"]), str(reminder["id"])))
    ids = [str(reminder["id"]) for reminder in reminders]
    opt_out = connection.execute(
        "SELECT phone_number, source, created_at FROM opt_outs WHERE phone_number = :number", {"number": phone_number}
    ).fetchone()
    return Record(
        reminders=reminders,
        calls={reminder_id: calls_of(connection, reminder_id) for reminder_id in ids},
        receipts={reminder_id: _receipts_of(connection, reminder_id) for reminder_id in ids},
        acts={reminder_id: acts_on(connection, reminder_id) for reminder_id in ids},
        opt_out=None if opt_out is None else named(opt_out),
    )


def note_export(connection: Connection, now: datetime, *, phone_number: str, actor: str) -> None:
    """Leave a line in the audit: somebody has taken a number's record out."""
    audit(connection, now, actor=actor, act="export", detail=some_of(phone_number))


def erase(connection: Connection, now: datetime, *, phone_number: str, actor: str) -> Erased:
    """Delete a number's reminders, waiting ones too, with their calls, receipts and alerts; its opt-out stays.

    What `audit` says of them stays as well: it names no patient, and can't be changed.

    Raises:
        NotAllowedError: A call to the number is alive: its report would still come.
    """
    numbers = [{"number": spelling} for spelling in _spellings(connection, phone_number)]
    if any(connection.execute(_IS_ALIVE, number).fetchone() for number in numbers):
        raise NotAllowedError("a call to this number is under way; wait for its end, reminderd list --phone shows it")
    reminders = record(connection, phone_number=phone_number).reminders
    ids = [{"id": str(reminder["id"])} for reminder in reminders]
    mark_unscrubbed(connection)
    calls = sum(connection.execute(_DELETE_CALLS, number).rowcount for number in numbers)
    connection.executemany("DELETE FROM webhook_receipts WHERE reminder_id = :id", ids)
    connection.executemany("DELETE FROM reminders WHERE id = :id", ids)
    connection.executemany("DELETE FROM call_reminders WHERE reminder_id = :id", ids)
    audit(connection, now, actor=actor, act="erase", detail=f"{some_of(phone_number)}: {len(ids)} reminders")
    return Erased(reminders=len(ids), calls=calls, opted_out=opted_out(connection, phone_number))


def _spellings(connection: Connection, phone_number: str) -> list[str]:
    """Return every way in which this number is written in `reminders`."""
    odd = connection.execute(_ODD).fetchall()
    return [phone_number, *(row[0] for row in odd if normalised(row[0]) == phone_number)]


def _receipts_of(connection: Connection, reminder_id: str) -> list[dict[str, Value]]:
    rows = connection.execute(_RECEIPTS, {"id": reminder_id}).fetchall()
    return [named(row) for row in rows]
