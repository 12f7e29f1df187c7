"""Hold back who may have been called since the state to which a database was restored, and pause dialing."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from reminderd.core.lifecycle.staff import restored
from reminderd.core.model import Call, Reminder, Status
from reminderd.core.rules import Rules
from reminderd.store.connection import Connection
from reminderd.store.ledger import load, save
from reminderd.store.rows import CALLS, REMINDERS, audit, from_ms, sql_list, to_ms
from reminderd.store.settings import forget_failing_address, paused, put_setting, set_pause
from reminderd.store.users import log_everybody_out

C = TypeVar("C", bound=Connection)

_UNDECIDED: Final = f"""
SELECT {REMINDERS.names} FROM reminders
 WHERE status IN {sql_list(one for one in Status if one.in_call)}
    OR (status = 'scheduled' AND scheduled_at <= :restored_at)
 ORDER BY scheduled_at, id LIMIT :limit
"""
_AT_ONCE: Final = 500
"""How many reminders are decided together."""
_ALIVE: Final = f"SELECT {CALLS.names} FROM call_logs WHERE wake_at IS NOT NULL"
_LAST_CHANGE: Final = """
SELECT max(at) AS at FROM (
    SELECT max(updated_at) AS at FROM reminders
    UNION ALL SELECT max(updated_at) FROM call_logs
    UNION ALL SELECT max(at) FROM audit
) AS times
"""


def last_change(connection: Connection) -> datetime | None:
    """Return the newest time in the database: it does not know what happened later. None: nothing ever happened."""
    milliseconds = connection.execute(_LAST_CHANGE).fetchone()["at"]
    return from_ms(milliseconds) if milliseconds else None


def hold_restored(
    connection: C,
    now: datetime,
    *,
    skip_seq: Callable[[C], int],
    changed: datetime | None,
    actor: str,
    rules: Rules,
    why: str,
    detail: str | None = None,
) -> list[Reminder]:
    """Pause dialing, end all sessions, and fail those reminders whose patients may have been called; return these.

    The time of the restore is kept, because a reminder that may have been called may be missing, and be imported again.

    Args:
        connection: in a transaction.
        now: the time of the restore.
        skip_seq: returns a `seq` that no call has, and that all later calls exceed, whatever was forgotten.
        changed: `last_change` of the restored database.
        actor: who restores, for the audit.
        rules: the clinic's rules.
        why: what has happened, for everybody who sees that nobody is called.
        detail: more of it, for the audit.
    """
    log_everybody_out(connection)
    restored_at = now if changed is None else max(now, changed)
    held = _held(connection, now, restored_at=restored_at, rules=rules)
    for reminder in held:
        audit(connection, now, actor=actor, act="restore", reminder_id=reminder.id)
    put_setting(connection, "restored_at", str(to_ms(restored_at)))
    put_setting(connection, "restored_seq", str(skip_seq(connection)))
    forget_failing_address(connection)
    audit(connection, now, actor=actor, act="restore", detail=detail)
    then = "" if changed is None else f", last changed {changed:%Y-%m-%d %H:%M} UTC"
    if paused(connection):
        audit(connection, now, actor=actor, act="pause", detail=f"{why}{then}")
    else:
        set_pause(connection, now, on=True, reason=f"{why}{then}", actor=actor)
    return held


def _held(connection: Connection, now: datetime, *, restored_at: datetime, rules: Rules) -> list[Reminder]:
    """Close the alive calls, and fail the reminders that may have been called, in batches; return those in order."""

    def decide(reminders: list[Reminder], calls: list[Call]) -> list[Reminder]:
        ledger = load(connection, rules, now, reminders=reminders, calls=calls)
        after = restored(ledger, restored_at=restored_at, now=now).ledger
        save(connection, ledger, after, now)
        return [one for one in after.reminders.values() if one != ledger.reminders[one.id]]

    rows = partial(connection.execute, parameters={})
    held = decide([], [CALLS.read(row) for row in connection.execute(_ALIVE + connection.for_update).fetchall()])
    some = {"restored_at": to_ms(restored_at), "limit": _AT_ONCE}
    while rows := connection.execute(_UNDECIDED + connection.for_update, some).fetchall():
        held += decide([REMINDERS.read(row) for row in rows], [])
    return sorted(held, key=lambda one: (one.scheduled_at, one.id))
