"""Reminders that share a call: who waits beside one for its number, whom a call says, and whose call says one."""

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from reminderd.core.lifecycle import Leading, Waiting, riding
from reminderd.core.reminder import Call, Reminder
from reminderd.core.rules import Rules
from reminderd.store.driver import Connection, Row
from reminderd.store.rows import call_from, load_calls, load_reminder, reminder_from, to_ms

MOST_BESIDE: Final = 50
"""More waiting reminders of one number are not looked at; they have calls of their own, one after the other."""

_SAID_IN: Final = "SELECT * FROM reminders WHERE said_with = ? ORDER BY scheduled_at, id"
_BESIDE: Final = """
SELECT * FROM reminders
 WHERE phone_number = ? AND status = 'scheduled' AND id <> ? AND scheduled_at BETWEEN ? AND ?
 ORDER BY scheduled_at, id LIMIT ?
"""


def riders_of(connection: Connection, call: Call | None) -> tuple[Waiting, ...]:
    """The other reminders that a call says, in this order; some may have ended since they joined it."""
    if call is None:
        return ()
    return _with_calls(connection, connection.execute(_SAID_IN, (call.id,)).fetchall())


def wanted_by_others(connection: Connection, call: Call | None, rules: Rules, now: datetime) -> bool:
    """Whether a call says other reminders, too, that still want it."""
    return bool(riding(riders_of(connection, call), rules, now))


def beside(connection: Connection, reminder: Reminder, within: timedelta) -> tuple[Waiting, ...]:
    """Other `scheduled` reminders of the same number no further than `within` from this one, by their time."""
    rows = connection.execute(
        _BESIDE,
        (
            reminder.phone_number,
            reminder.id,
            to_ms(reminder.scheduled_at - within),
            to_ms(reminder.scheduled_at + within),
            MOST_BESIDE,
        ),
    ).fetchall()
    return _with_calls(connection, rows)


def leading_of(connection: Connection, reminder: Reminder) -> Leading | None:
    """The call that says this reminder along with its own; None if there is none, or none any more."""
    row = connection.execute("SELECT * FROM call_logs WHERE id = ?", (reminder.said_with,)).fetchone()
    leader = None if row is None else load_reminder(connection, row["reminder_id"])
    if leader is None:
        return None
    return Leading(call=call_from(row), reminder=leader, calls=load_calls(connection, leader.id))


def _with_calls(connection: Connection, rows: Iterable[Row]) -> tuple[Waiting, ...]:
    reminders = [reminder_from(row) for row in rows]
    calls: defaultdict[str, list[Call]] = defaultdict(list)
    if reminders:
        found = connection.execute(
            "SELECT * FROM call_logs WHERE reminder_id IN (SELECT value FROM json_each(?))"
            " ORDER BY attempt IS NULL, attempt, created_at",
            (json.dumps([reminder.id for reminder in reminders]),),
        ).fetchall()
        for call in map(call_from, found):
            calls[call.reminder_id].append(call)
    return tuple(Waiting(reminder, tuple(calls[reminder.id])) for reminder in reminders)
