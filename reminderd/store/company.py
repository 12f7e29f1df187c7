"""Reminders that share a call: who waits beside one for its number, whom a call says, and whose call says one."""

from typing import Final

from reminderd.core.lifecycle import Leading
from reminderd.core.reminder import Call, Reminder
from reminderd.store.driver import Connection
from reminderd.store.rows import call_from, load_calls, load_reminder, reminder_from

MOST_BESIDE: Final = 50
"""More waiting reminders of one number are not looked at; they have calls of their own, one after the other."""


def riders_of(connection: Connection, call: Call | None) -> tuple[Reminder, ...]:
    """The other reminders that a call says, in this order; some may have ended since they joined it."""
    if call is None:
        return ()
    rows = connection.execute(
        "SELECT * FROM reminders WHERE said_with = ? ORDER BY scheduled_at, id", (call.id,)
    ).fetchall()
    return tuple(reminder_from(row) for row in rows)


def beside(connection: Connection, reminder: Reminder) -> tuple[tuple[Reminder, tuple[Call, ...]], ...]:
    """Other `scheduled` reminders of the same number with all their calls, by their time."""
    rows = connection.execute(
        "SELECT * FROM reminders WHERE phone_number = ? AND status = 'scheduled' AND id <> ?"
        " ORDER BY scheduled_at, id LIMIT ?",
        (reminder.phone_number, reminder.id, MOST_BESIDE),
    ).fetchall()
    return tuple((reminder_from(row), load_calls(connection, row["id"])) for row in rows)


def leading_of(connection: Connection, reminder: Reminder) -> Leading | None:
    """The call that says this reminder along with its own; None if there is none, or none any more."""
    row = connection.execute("SELECT * FROM call_logs WHERE id = ?", (reminder.said_with,)).fetchone()
    leader = None if row is None else load_reminder(connection, row["reminder_id"])
    if leader is None:
        return None
    return Leading(call=call_from(row), reminder=leader, calls=load_calls(connection, leader.id))
