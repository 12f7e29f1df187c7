"""The pause of all dialing that staff can order: in every process on this file, and through every restart."""

from datetime import datetime

from reminderd.store.audit import audit
from reminderd.store.driver import Connection
from reminderd.store.facts import paused
from reminderd.store.queries import Value, named


def set_pause(connection: Connection, now: datetime, *, on: bool, reason: str | None, actor: str) -> bool:
    """Pause all dialing, or end the pause; False: it was so already, and only a reason to pause is noted."""
    if paused(connection) is on:
        if on and reason is not None:
            audit(connection, now, actor=actor, act="pause", detail=reason)
        return False
    connection.execute(
        "INSERT INTO settings (key, value) VALUES ('paused', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        ("true" if on else "false",),
    )
    audit(connection, now, actor=actor, act="pause" if on else "resume", detail=reason)
    return True


def last_pause(connection: Connection) -> dict[str, Value] | None:
    """While dialing is paused, the row of `audit` that tells who has paused it, if a command of ours has; else None."""
    if not paused(connection):
        return None
    row = connection.execute("SELECT * FROM audit WHERE act IN ('pause', 'resume') ORDER BY id DESC LIMIT 1").fetchone()
    return named(row) if row is not None and row["act"] == "pause" else None
