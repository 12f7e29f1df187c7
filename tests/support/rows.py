"""Rows, written as other programs or reminderd itself write them."""

from collections.abc import Mapping
from typing import Any

from reminderd.store.connection import Connection
from reminderd.store.sqlite.driver import SqliteConnection


def sqlite(connection: Connection) -> SqliteConnection:
    """Return a connection as what it is, for what only SQLite has."""
    assert isinstance(connection, SqliteConnection)
    return connection


def insert_row(connection: Connection, table: str, row: Mapping[str, Any]) -> None:
    marks = ", ".join("?" for _ in row)
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def insert_call(connection: Connection, reminder_id: str, *, spoken: bool = False, **columns: Any) -> None:
    """Write a call of a reminder with its membership; alive calls are to be looked at now."""
    row = connection.execute("SELECT phone_number, scheduled_at FROM reminders WHERE id = ?", (reminder_id,)).fetchone()
    values = {
        "id": "call-of-" + "".join(one for one in reminder_id if "!" <= one <= "~"),
        "reminder_id": reminder_id,
        "phone_number": row["phone_number"],
        "state": "ended",
        "provider": "generic",
        "last_sign_at": row["scheduled_at"],
    } | columns
    if values["state"] in {"dialing", "unconfirmed", "placed", "stray"}:
        values.setdefault("wake_at", row["scheduled_at"])
    insert_row(connection, "call_logs", values)
    connection.execute(
        "INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest, spoken)"
        " VALUES (?, ?, 0, ?, '', ?)",
        (values["id"], reminder_id, row["scheduled_at"], int(spoken)),
    )
