"""All that is kept of one phone number: taken out whole, and erased."""

from datetime import datetime

from attrs import frozen

from reminderd.core.lifecycle import NotAllowedError
from reminderd.core.phone import normalised
from reminderd.store.audit import audit
from reminderd.store.driver import Connection
from reminderd.store.facts import OPEN
from reminderd.store.optouts import some_of
from reminderd.store.purging import mark_unscrubbed
from reminderd.store.queries import Value, acts_on, calls_of, named


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
    reminders = [
        named(row)
        for spelling in _spellings(connection, phone_number)
        for row in connection.execute("SELECT * FROM reminders WHERE phone_number = ?", (spelling,)).fetchall()
    ]
    reminders.sort(key=lambda reminder: (str(reminder["scheduled_at"]), str(reminder["id"])))
    ids = [str(reminder["id"]) for reminder in reminders]
    opt_out = connection.execute("SELECT * FROM opt_outs WHERE phone_number = ?", (phone_number,)).fetchone()
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
        NotAllowedError: A call is open: its report would still come.
    """
    reminders = record(connection, phone_number=phone_number).reminders
    ids = [(str(reminder["id"]),) for reminder in reminders]
    if any(_has_open_call(connection, *one) for one in ids):
        raise NotAllowedError("a call to this number is open; wait for its end, reminderd list --phone shows it")
    calls = sum(len(calls_of(connection, *one)) for one in ids)
    mark_unscrubbed(connection)
    connection.executemany("DELETE FROM webhook_receipts WHERE reminder_id = ?", ids)
    connection.executemany("DELETE FROM reminders WHERE id = ?", ids)
    audit(connection, now, actor=actor, act="erase", detail=f"{some_of(phone_number)}: {len(ids)} reminders")
    opted_out = connection.execute("SELECT 1 FROM opt_outs WHERE phone_number = ?", (phone_number,)).fetchone()
    return Erased(reminders=len(ids), calls=calls, opted_out=opted_out is not None)


def _spellings(connection: Connection, phone_number: str) -> list[str]:
    """Every way in which this number is written in `reminders`."""
    odd = connection.execute(
        "SELECT DISTINCT phone_number FROM reminders"
        " WHERE phone_number NOT GLOB '+[0-9]*' OR phone_number GLOB '*[^+0-9]*'"
    ).fetchall()
    return [phone_number, *(row[0] for row in odd if normalised(row[0]) == phone_number)]


def _has_open_call(connection: Connection, reminder_id: str) -> bool:
    sql = f"SELECT 1 FROM call_logs WHERE reminder_id = ? AND {OPEN}"
    return connection.execute(sql, (reminder_id,)).fetchone() is not None


def _receipts_of(connection: Connection, reminder_id: str) -> list[dict[str, Value]]:
    rows = connection.execute(
        "SELECT * FROM webhook_receipts WHERE reminder_id = ? ORDER BY received_at, call_id", (reminder_id,)
    ).fetchall()
    return [named(row) for row in rows]
