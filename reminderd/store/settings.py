"""Settings for every process on a database, kept through restarts: a pause of dialing, whose data it is, and its id."""

from datetime import datetime
from typing import Final

from reminderd.store.queries import Value, named
from reminderd.store.rows import Connection, audit

_LAST_PAUSE: Final = """
SELECT id, at, actor, act, reminder_id, detail FROM audit WHERE act IN ('pause', 'resume') ORDER BY id DESC LIMIT 1
"""


def paused(connection: Connection) -> bool:
    """Return whether staff have paused dialing: `settings` contains `paused` = `true`."""
    return connection.execute("SELECT 1 FROM settings WHERE key = 'paused' AND value = 'true'").fetchone() is not None


def set_pause(connection: Connection, now: datetime, *, on: bool, reason: str | None, actor: str) -> bool:
    """Pause all dialing, or end the pause; return False if nothing changed, and then record only a reason to pause."""
    if paused(connection) is on:
        if on and reason is not None:
            audit(connection, now, actor=actor, act="pause", detail=reason)
        return False
    connection.execute(
        "INSERT INTO settings (key, value) VALUES ('paused', :value)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        {"value": "true" if on else "false"},
    )
    audit(connection, now, actor=actor, act="pause" if on else "resume", detail=reason)
    return True


def real_provider(connection: Connection) -> str | None:
    """Return the kind of real provider that this database was last opened for; None: only used with the sandbox."""
    row = connection.execute("SELECT value FROM settings WHERE key = 'real_provider'").fetchone()
    return None if row is None else str(row["value"])


def remember_real_provider(connection: Connection, _now: datetime, *, kind: str) -> None:
    """Record that a real provider of this kind uses this database: from now on it contains a clinic's reminders."""
    connection.execute(
        "INSERT INTO settings (key, value) VALUES ('real_provider', :value)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        {"value": kind},
    )


def database_id(connection: Connection) -> str | None:
    """Return the random id of this database, which all its backups carry; None: it was not given one yet."""
    row = connection.execute("SELECT value FROM settings WHERE key = 'database_id'").fetchone()
    return None if row is None or not row["value"] else str(row["value"])


def give_database_id(connection: Connection, new: str) -> None:
    """Give the database this id, if it has none."""
    connection.execute(
        "INSERT INTO settings (key, value) VALUES ('database_id', :value)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE coalesce(settings.value, '') = ''",
        {"value": new},
    )


def replace_database_id(connection: Connection, new: str) -> None:
    """Give the database this id, whatever it had."""
    connection.execute("DELETE FROM settings WHERE key = 'database_id'")
    give_database_id(connection, new)


def last_pause(connection: Connection) -> dict[str, Value] | None:
    """Return, while dialing is paused, the row of `audit` that shows who paused it; None: it was no command of ours."""
    if not paused(connection):
        return None
    row = connection.execute(_LAST_PAUSE).fetchone()
    return named(row) if row is not None and row["act"] == "pause" else None
