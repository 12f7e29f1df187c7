"""Numbers that are not to be rung at all."""

from datetime import datetime

from reminderd.core.lifecycle import Step, cancelled
from reminderd.store.audit import audit
from reminderd.store.driver import Connection
from reminderd.store.rows import load_calls, reminder_from, save, to_ms

OPTED_OUT = "opted out"


def opt_out(connection: Connection, now: datetime, *, phone_number: str, source: str, actor: str) -> tuple[Step, ...]:
    """Keep that this number has opted out, and cancel all its `scheduled` reminders at once; those are returned.

    One that is claimed already is stopped by the last look before its request goes out.

    Args:
        connection: inside a write transaction.
        now: the time of the transaction.
        phone_number: in its stored spelling.
        source: how we know. The first one is kept.
        actor: who has said so, for the audit.
    """
    connection.execute(
        "INSERT OR IGNORE INTO opt_outs (phone_number, source, created_at) VALUES (?, ?, ?)",
        (phone_number, source, to_ms(now)),
    )
    rows = connection.execute(
        "SELECT * FROM reminders WHERE phone_number = ? AND status = 'scheduled' ORDER BY scheduled_at, id",
        (phone_number,),
    ).fetchall()
    steps: list[Step] = []
    for row in rows:
        reminder = reminder_from(row)
        calls = load_calls(connection, reminder.id)
        step = cancelled(reminder, calls, OPTED_OUT, now)
        save(connection, reminder, calls, step, now)
        audit(connection, now, actor=actor, act="opt-out", reminder_id=reminder.id)
        steps.append(step)
    return tuple(steps)
