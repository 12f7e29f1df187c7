"""Numbers that are not to be rung at all."""

from datetime import datetime
from typing import Final

from reminderd.core.lifecycle import Step, cancelled
from reminderd.core.reminder import OPTED_OUT
from reminderd.store.audit import audit
from reminderd.store.driver import Connection
from reminderd.store.queries import Value, named
from reminderd.store.rows import load_calls, reminder_from, save, to_ms

_TELLING_DIGITS: Final = 2
"""How much of a number the audit keeps, for ever: enough to tell one from the other on a day."""


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
    steps = _cancel_what_waits(connection, now, phone_number, actor)
    written = connection.execute(
        "INSERT OR IGNORE INTO opt_outs (phone_number, source, created_at) VALUES (?, ?, ?)",
        (phone_number, source, to_ms(now)),
    )
    if written.rowcount == 1:
        audit(connection, now, actor=actor, act="opt-out", detail=some_of(phone_number))
    return steps


def opt_in(connection: Connection, now: datetime, *, phone_number: str, actor: str) -> bool:
    """Let this number be rung again; False: it had not opted out. What was cancelled for it stays so."""
    gone = connection.execute("DELETE FROM opt_outs WHERE phone_number = ?", (phone_number,)).rowcount == 1
    if gone:
        audit(connection, now, actor=actor, act="opt-in", detail=some_of(phone_number))
    return gone


def list_opt_outs(connection: Connection) -> list[dict[str, Value]]:
    """Whole rows of `opt_outs`, oldest first."""
    rows = connection.execute("SELECT * FROM opt_outs ORDER BY created_at, phone_number").fetchall()
    return [named(row) for row in rows]


def _cancel_what_waits(connection: Connection, now: datetime, phone_number: str, actor: str) -> tuple[Step, ...]:
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


def some_of(phone_number: str) -> str:
    """What the audit says of a number: its last digits."""
    return f"a number that ends in {phone_number[-_TELLING_DIGITS:]}"
