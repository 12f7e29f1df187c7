"""What the front desk does to reminders: add, cancel, call again; each leaves an audit line in its own transaction."""

from datetime import datetime

from reminderd.core.lifecycle import Step, called_again, cancelled
from reminderd.core.reminder import Call, Reminder
from reminderd.core.rules import Rules
from reminderd.store.audit import audit
from reminderd.store.company import leading_of
from reminderd.store.driver import Connection, IntegrityError
from reminderd.store.errors import UnknownReminderError
from reminderd.store.facts import free_from, opted_out
from reminderd.store.rows import load_calls, load_reminder, save, to_ms


class RefTakenError(Exception):
    """Another reminder already has this `ref`; the message is that reminder's id."""


def add(connection: Connection, now: datetime, *, reminder: Reminder, actor: str) -> Reminder:
    """Store a new reminder, `scheduled` and due at its time.

    Raises:
        RefTakenError: its `ref` is another's.
    """
    taken = connection.execute("SELECT id FROM reminders WHERE ref = ?", (reminder.ref,)).fetchone()
    if taken is not None:
        raise RefTakenError(taken["id"])
    connection.execute(
        "INSERT INTO reminders (id, ref, phone_number, message, scheduled_at, expires_at, timezone,"
        " created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            reminder.id,
            reminder.ref,
            reminder.phone_number,
            reminder.message,
            to_ms(reminder.scheduled_at),
            None if reminder.expires_at is None else to_ms(reminder.expires_at),
            reminder.timezone,
            to_ms(now),
            to_ms(now),
        ),
    )
    audit(connection, now, actor=actor, act="add", reminder_id=reminder.id)
    stored = load_reminder(connection, reminder.id)
    if stored is None:
        raise IntegrityError("the reminder just added is not there")
    return stored


def cancel(connection: Connection, now: datetime, *, reminder_id: str, actor: str) -> Step:
    """Cancel a reminder that is not final yet.

    Raises:
        UnknownReminderError: no reminder has this id.
        NotAllowedError: it is final already.
    """
    reminder, calls = _both(connection, reminder_id)
    step = cancelled(reminder, calls, f"cancelled by {actor}", now)
    save(connection, reminder, calls, step, now)
    audit(connection, now, actor=actor, act="cancel", reminder_id=reminder_id)
    return step


def call_again(connection: Connection, now: datetime, *, reminder_id: str, rules: Rules, actor: str) -> Step:
    """Schedule a reminder that was not reached anew, with all its calls and a new time limit.

    Raises:
        UnknownReminderError: no reminder has this id.
        NotAllowedError: its state does not allow it.
    """
    reminder, calls = _both(connection, reminder_id)
    is_out = opted_out(connection, reminder.phone_number)
    free = free_from(connection, reminder, rules, now)
    leading = None if reminder.said_with is None else leading_of(connection, reminder)
    step = called_again(reminder, calls, leading=leading, opted_out=is_out, number_free_from=free, rules=rules, now=now)
    save(connection, reminder, calls, step, now)
    audit(connection, now, actor=actor, act="call-again", reminder_id=reminder_id)
    return step


def _both(connection: Connection, reminder_id: str) -> tuple[Reminder, tuple[Call, ...]]:
    reminder = load_reminder(connection, reminder_id)
    if reminder is None:
        raise UnknownReminderError(reminder_id)
    return reminder, load_calls(connection, reminder_id)
