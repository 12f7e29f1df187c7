"""Pause dialing after a database was restored, and fail the reminders whose patients may have been called since.

A restored dump, a restore to an earlier time and a failover that loses commits forget calls that were placed.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from attrs import frozen
from loguru import logger

from reminderd.core.lifecycle.staff import restored
from reminderd.core.model import Call, Reminder, Status
from reminderd.core.rules import Rules
from reminderd.core.server_identity import merged, read_identity, why_restored
from reminderd.store.audit import audit
from reminderd.store.connection import Connection
from reminderd.store.ledger import load, save
from reminderd.store.rows import CALLS, REMINDERS, from_ms, sql_list, to_ms
from reminderd.store.shared_state import (
    forget_failing_address,
    moment_in,
    paused,
    put_moment,
    put_setting,
    set_pause,
    setting,
)
from reminderd.store.users import log_everybody_out

SERVER: Final = "server"
"""The setting that has the server's identity."""

_LOSSLESS: Final = "a standby has taken over; dialing continues, as [database].failover_is_lossless is true"
_UNDECIDED: Final = f"""
SELECT {REMINDERS.names} FROM reminders
 WHERE status IN {sql_list(one for one in Status if one.in_call)}
    OR (status = 'scheduled' AND scheduled_at <= :restored_at)
 ORDER BY scheduled_at, id LIMIT :limit
"""
_AT_ONCE: Final = 500
"""How many reminders are decided in one batch."""
_ALIVE: Final = f"SELECT {CALLS.names} FROM call_logs WHERE wake_at IS NOT NULL"
_LAST_CHANGE: Final = """
SELECT max(at) AS at FROM (
    SELECT max(updated_at) AS at FROM reminders
    UNION ALL SELECT max(updated_at) FROM call_logs
    UNION ALL SELECT max(at) FROM audit
) AS times
"""


@frozen(kw_only=True)
class Cause:
    """Who restored a database or noticed that it was restored, and why."""

    actor: str
    why: str
    """What has happened, as the reason of the pause."""
    last_change: datetime | None
    """See `last_change`."""
    detail: str | None = None
    """A detail for the audit."""


def last_change(connection: Connection) -> datetime | None:
    """Return the newest time in a database, which knows nothing of what happened later; None if it is empty."""
    milliseconds = connection.execute(_LAST_CHANGE).fetchone()["at"]
    return from_ms(milliseconds) if milliseconds else None


def hold_restored(connection: Connection, now: datetime, *, cause: Cause, rules: Rules) -> list[Reminder]:
    """Pause dialing, end all sessions, and fail the reminders whose patients may have been called; return these.

    The time of the restore is recorded: a reminder that may have been called may be missing, and be imported again.
    """
    log_everybody_out(connection)
    # A server whose clock is behind may have taken over from the server that made the calls.
    forgotten_at = None if connection.identity is None else connection.identity.forgotten_at
    restored_at = max(filter(None, (now, cause.last_change, forgotten_at)))
    held = _held(connection, now, restored_at=restored_at, rules=rules)
    for reminder in held:
        audit(connection, now, actor=cause.actor, act="restore", reminder_id=reminder.id)
    put_moment(connection, "restored_at", restored_at)
    # Calls that are made from now on get higher numbers, whatever was forgotten.
    put_setting(connection, "restored_seq", str(connection.skip_seq()))
    forget_failing_address(connection)
    audit(connection, now, actor=cause.actor, act="restore", detail=cause.detail)
    then = "" if cause.last_change is None else f", last changed {cause.last_change:%Y-%m-%d %H:%M} UTC"
    if paused(connection):
        audit(connection, now, actor=cause.actor, act="pause", detail=f"{cause.why}{then}")
    else:
        set_pause(connection, now, on=True, reason=f"{cause.why}{then}", actor=cause.actor)
    _remember_server(connection)
    return held


def hold_after(
    connection: Connection, now: datetime, *, actor: str, why: str, rules: Rules
) -> tuple[datetime | None, list[Reminder]]:
    """Do `hold_restored` from the last change in the database on; return the time of that change, and the reminders."""
    changed = last_change(connection)
    cause = Cause(actor=actor, why=why, last_change=changed)
    return changed, hold_restored(connection, now, cause=cause, rules=rules)


def check_history(
    connection: Connection, now: datetime, *, rules: Rules, failover_is_lossless: bool
) -> Callable[[], None] | None:
    """Do `hold_restored` if the server may have forgotten calls, as its history shows (see `why_restored`).

    It runs in the first transaction of each session on the server. Return a function that logs this after the commit;
    None if there is nothing to log.
    """
    known, found = read_identity(setting(connection, SERVER)), connection.identity
    if found is None:
        return None
    judge = partial(why_restored, known, found, restored_at=moment_in(connection, "restored_at"))
    why = judge(failover_is_lossless=failover_is_lossless)
    if why is None:
        _remember_server(connection)
        is_failover = judge(failover_is_lossless=False) is not None
        return partial(logger.warning, _LOSSLESS) if is_failover else None
    _, held = hold_after(connection, now, actor="reminderd", why=why, rules=rules)
    number = f"{len(held)} reminder{'' if len(held) == 1 else 's'}"
    return partial(
        logger.error,
        f"{why}, so calls may have been forgotten: dialing is paused, and reminders that may have been called are"
        f" marked as failed ({number}). Check them (reminderd list --needs-human), then run reminderd resume",
    )


def _remember_server(connection: Connection) -> None:
    if connection.identity is not None:
        known = setting(connection, SERVER)
        now_known = merged(read_identity(known), connection.identity).written
        if now_known != known:
            put_setting(connection, SERVER, now_known)


def _held(connection: Connection, now: datetime, *, restored_at: datetime, rules: Rules) -> list[Reminder]:
    """Close the alive calls, and fail the reminders that may have been called, in batches; return those in order."""

    def decide(reminders: list[Reminder], calls: list[Call]) -> list[Reminder]:
        ledger = load(connection, rules, now, reminders=reminders, calls=calls)
        after = restored(ledger, restored_at=restored_at, now=now).ledger
        save(connection, ledger, after, now)
        return [one for one in after.reminders.values() if one != ledger.reminders[one.id]]

    alive = connection.execute(_ALIVE + connection.for_update).fetchall()
    held = decide([], [CALLS.read(row) for row in alive])
    some = {"restored_at": to_ms(restored_at), "limit": _AT_ONCE}
    while rows := connection.execute(_UNDECIDED + connection.for_update, some).fetchall():
        held += decide([REMINDERS.read(row) for row in rows], [])
    return sorted(held, key=lambda one: (one.scheduled_at, one.id))
