"""Reminders that need a human, and for which no alert was sent yet."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

from reminderd.core.outcomes import NEED_A_HUMAN, Outcome, outcome
from reminderd.core.reasons import EndCode
from reminderd.store.connection import Connection
from reminderd.store.rows import REMINDERS, to_ms

LOOK_BACK: Final = timedelta(days=7)
"""Reminders that were due earlier cause no alert, for instance when alerts are first switched on."""

_NEW: Final = f"""
SELECT {REMINDERS.names} FROM reminders
 WHERE scheduled_at >= :since AND scheduled_at <= :now AND status IN ('called', 'failed', 'expired')
   AND NOT EXISTS (
       SELECT 1 FROM alerts WHERE reminder_id = reminders.id AND alerts.updated_at >= reminders.updated_at
   )
 ORDER BY scheduled_at, id
"""
_NEWLY_HELD: Final = f"""
SELECT {REMINDERS.names} FROM reminders
 WHERE hold_code = 'number_changed' AND status = 'scheduled' AND wake_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM alerts WHERE reminder_id = reminders.id)
 ORDER BY scheduled_at, id
"""
"""One alert for each, as every check of a reminder that is held moves its `wake_at`, and so its `updated_at`."""


@frozen(kw_only=True)
class News:
    """One reminder that needs an alert."""

    id: str
    ref: str | None
    outcome: Outcome
    end_code: EndCode | None
    """How its last call ended, or what else kept it from its patient; None: neither."""
    updated_at: datetime


def news(connection: Connection, *, now: datetime) -> list[News]:
    """Return all reminders that need an alert, ordered by their time; those that are held for staff come last."""
    rows = connection.execute(_NEW, {"since": to_ms(now - LOOK_BACK), "now": to_ms(now)}).fetchall()
    rows += connection.execute(_NEWLY_HELD).fetchall()
    found = []
    for row in rows:
        reminder = REMINDERS.read(row)
        word = outcome(reminder.status, reminder.response, reminder.end_code, reminder.hold_code)
        if word in NEED_A_HUMAN and reminder.updated_at is not None:
            found.append(
                News(
                    id=reminder.id,
                    ref=reminder.ref,
                    outcome=word,
                    end_code=reminder.end_code,
                    updated_at=reminder.updated_at,
                )
            )
    return found


def told(connection: Connection, _now: datetime, *, told_of: Sequence[News]) -> None:
    """Record that alerts were sent; skip reminders that another program has deleted in the meantime."""
    connection.executemany(
        "INSERT INTO alerts (reminder_id, updated_at) SELECT id, :updated_at FROM reminders WHERE id = :id"
        " ON CONFLICT (reminder_id) DO UPDATE SET updated_at = excluded.updated_at",
        [{"id": one.id, "updated_at": to_ms(one.updated_at)} for one in told_of],
    )
