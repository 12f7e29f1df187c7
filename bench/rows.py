"""Reminders as the clinic's own programs write them: only what must be given, the rest is the database's doing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import uuid4

from reminderd.store.connection import Connection
from reminderd.store.rows import to_ms

MESSAGE: Final = "Your appointment is tomorrow at nine."


def phone(number: int) -> str:
    """A possible phone number for each number from 0 to 8,999,999; none means anything to the sandbox."""
    return f"+49301{number // 9000:03}{number % 9000 + 1000}"


def add_due(connection: Connection, moments: Sequence[datetime], *, first_phone: int = 0) -> dict[str, int]:
    """Add a reminder for each moment, each with a phone number of its own; when it is due, in Unix ms, by its id."""
    due = {str(uuid4()): to_ms(moment) for moment in moments}
    connection.executemany(
        "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (?, ?, ?, ?)",
        ((reminder_id, phone(n), MESSAGE, at) for n, (reminder_id, at) in enumerate(due.items(), first_phone)),
    )
    return due
