"""Reminders that wait for the clinic's hours and limits, when these have changed."""

from datetime import datetime
from typing import Final

from reminderd.core.lifecycle import HELD_BY_THE_CLINIC
from reminderd.store.driver import Connection
from reminderd.store.rows import to_ms

_LOOK_AGAIN: Final = f"""
UPDATE reminders SET wake_at = ?1
 WHERE wake_at > ?1 AND status = 'scheduled' AND hold_reason IN ({", ".join("?" for _ in HELD_BY_THE_CLINIC)})
"""


def look_again(connection: Connection, now: datetime) -> None:
    """Make what was put off by hours or limits due now, so that each is decided anew; what must wait on, waits on."""
    connection.execute(_LOOK_AGAIN, (to_ms(now), *HELD_BY_THE_CLINIC))
