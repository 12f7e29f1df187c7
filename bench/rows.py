"""Write reminders as the clinic's own programs do: only the required columns; the database fills in the rest."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import uuid4

from reminderd.store.connection import Connection
from reminderd.store.rows import to_ms

MESSAGE: Final = "Your appointment is tomorrow at nine."


def phone(number: int) -> str:
    """Return a possible phone number for a number from 0 to 8,999,999; none has a special meaning in the sandbox."""
    return f"+49301{number // 9000:03}{number % 9000 + 1000}"


def add_due(connection: Connection, moments: Sequence[datetime], *, first_phone: int = 0) -> dict[str, int]:
    """Add a reminder for each moment, each with another phone number; return when each id is due, in Unix ms."""
    due = {str(uuid4()): to_ms(moment) for moment in moments}
    connection.executemany(
        "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (?, ?, ?, ?)",
        ((reminder_id, phone(n), MESSAGE, at) for n, (reminder_id, at) in enumerate(due.items(), first_phone)),
    )
    return due
