"""What staff look at: one reminder with its calls and acts, and what is wrong with the file."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from reminderd.store.driver import Connection, Row
from reminderd.store.errors import AmbiguousError
from reminderd.store.facts import OPEN
from reminderd.store.rows import from_ms

TIME_COLUMNS: Final = frozenset(
    {"scheduled_at", "expires_at", "wake_at", "created_at", "updated_at", "received_at", "at"}
)

Value = str | int | datetime | None
"""What a column holds, times already as moments."""


def find_reminder(connection: Connection, id_or_ref: str) -> dict[str, Value] | None:
    """The whole row with this id or `ref`; None if there is none.

    Raises:
        AmbiguousError: there are two. Foreign programs choose ids, so that one may be what another is called.
    """
    if not id_or_ref.isprintable():
        return None
    by_id, by_ref = reminder_with_id(connection, id_or_ref), reminder_with_ref(connection, id_or_ref)
    if by_id is not None and by_ref is not None and by_id["id"] != by_ref["id"]:
        own = "a ref of its own" if by_id["ref"] is None else f"its ref {by_id['ref']}"
        raise AmbiguousError(
            f"{id_or_ref} is the id of one reminder and the ref of another;"
            f" expected {own} for the one, {by_ref['id']} for the other"
        )
    return by_id or by_ref


def reminder_with_id(connection: Connection, reminder_id: str) -> dict[str, Value] | None:
    """The whole row with this id, or None."""
    return _one(connection.execute("SELECT * FROM reminders WHERE id = ?", (reminder_id,)).fetchone())


def reminder_with_ref(connection: Connection, ref: str) -> dict[str, Value] | None:
    """The whole row with this `ref`, or None."""
    return _one(connection.execute("SELECT * FROM reminders WHERE ref = ?", (ref,)).fetchone())


def calls_of(connection: Connection, reminder_id: str) -> list[dict[str, Value]]:
    """Whole rows of `call_logs` for a reminder, oldest first."""
    rows = connection.execute(
        "SELECT * FROM call_logs WHERE reminder_id = ? ORDER BY created_at, attempt", (reminder_id,)
    ).fetchall()
    return [named(row) for row in rows]


def call_said_in(connection: Connection, reminder: Mapping[str, Value]) -> dict[str, Value] | None:
    """The whole row of another reminder's call in which this one was said, or was to be; None if there is none.

    `of` in it is that reminder's `ref`, or else its id.
    """
    row = connection.execute(
        "SELECT call_logs.*, coalesce(ref, reminders.id) AS of FROM call_logs"
        " JOIN reminders ON reminders.id = reminder_id WHERE call_logs.id = ?",
        (reminder["said_with"],),
    ).fetchone()
    return _one(row)


def said_in(connection: Connection, reminder_id: str) -> dict[str, list[str]]:
    """Which others a reminder's calls say, too, or were to say, by the calls' ids; each's `ref`, or else its id."""
    rows = connection.execute(
        "SELECT said_with, coalesce(ref, id) AS name FROM reminders"
        " WHERE said_with IN (SELECT id FROM call_logs WHERE reminder_id = ?) ORDER BY scheduled_at, id",
        (reminder_id,),
    ).fetchall()
    return {call_id: [row["name"] for row in rows if row["said_with"] == call_id] for call_id, _ in rows}


def acts_on(connection: Connection, reminder_id: str) -> list[dict[str, Value]]:
    """Whole rows of `audit` for a reminder: who did what to it, oldest first."""
    rows = connection.execute("SELECT * FROM audit WHERE reminder_id = ? ORDER BY id", (reminder_id,)).fetchall()
    return [named(row) for row in rows]


def named(row: Row) -> dict[str, Value]:
    """A row by column name, its times as moments."""
    values: Mapping[str, str | int | None] = dict(row)
    return {
        name: from_ms(value) if name in TIME_COLUMNS and isinstance(value, int) else value
        for name, value in values.items()
    }


_BROKEN_PROMISES: Final = {
    "a final reminder without an open call is still to be woken": f"""
        SELECT id FROM reminders WHERE status IN ('called', 'failed', 'expired', 'cancelled') AND wake_at IS NOT NULL
        AND wake_at < :long_ago
        AND NOT EXISTS (SELECT 1 FROM call_logs WHERE reminder_id = reminders.id AND {OPEN})""",
    "a reminder waits for ever": """
        SELECT id FROM reminders WHERE status IN ('scheduled', 'dialing', 'processing') AND wake_at IS NULL""",
    "an open call is checked by nobody": f"""
        SELECT id FROM reminders WHERE wake_at IS NULL
        AND EXISTS (SELECT 1 FROM call_logs WHERE reminder_id = reminders.id AND {OPEN})""",
}


def broken_promises(connection: Connection, *, long_ago: int) -> list[str]:
    """Rows that no program of ours could have left so, a sentence each; `long_ago` in milliseconds."""
    return [
        f"{sentence}: {row['id']}"
        for sentence, sql in _BROKEN_PROMISES.items()
        for row in connection.execute(sql, {"long_ago": long_ago} if ":long_ago" in sql else {}).fetchall()
    ]


def _one(row: Row | None) -> dict[str, Value] | None:
    return None if row is None else named(row)
