"""Short questions to the database that decisions need: opt-outs, a staff's pause, open calls, taken ids, next wakes."""

from datetime import datetime, timedelta

from attrs import frozen

from reminderd.core.intake import zone_of
from reminderd.core.lifecycle import Claimed, reached, rides
from reminderd.core.limits import WEEK
from reminderd.core.reminder import CLOSED, Reminder
from reminderd.core.rules import Rules
from reminderd.store.driver import Connection
from reminderd.store.rows import call_from, from_ms, load_reminder, to_ms

_CLOSED_LIST = ", ".join(f"'{word}'" for word in sorted(CLOSED))
OPEN = f"attempt IS NOT NULL AND status NOT IN ({_CLOSED_LIST})"
"""The SQL of `Call.open`, over `call_logs`."""

_RESTORED_AT = """
SELECT CAST(value AS INTEGER) FROM settings
 WHERE key = 'restored_at' AND NOT EXISTS (
       SELECT 1 FROM audit WHERE reminder_id = ? AND act = 'call-again' AND at >= CAST(settings.value AS INTEGER))
"""

_NUMBER_BUSY = (
    "SELECT 1 FROM reminders WHERE phone_number = ? AND id <> ?"
    f" AND EXISTS (SELECT 1 FROM call_logs WHERE reminder_id = reminders.id AND {OPEN})"
)

_COMPLETED_CALLS = """
SELECT call_logs.* FROM reminders JOIN call_logs ON call_logs.reminder_id = reminders.id
 WHERE reminders.phone_number = ? AND call_logs.status = 'completed' AND call_logs.received_at >= ?
"""


def opted_out(connection: Connection, phone_number: str) -> bool:
    """Whether this number, in its stored spelling, is not to be rung at all."""
    return _any(connection, "SELECT 1 FROM opt_outs WHERE phone_number = ?", phone_number)


def paused(connection: Connection) -> bool:
    """Whether staff have paused all dialing: `settings` holds `paused` = `true`."""
    return _any(connection, "SELECT 1 FROM settings WHERE key = 'paused' AND value = ?", "true")


def restored_at(connection: Connection, reminder_id: str) -> datetime | None:
    """When a backup was last restored; None: never, or staff have had this reminder rung again since."""
    row = connection.execute(_RESTORED_AT, (reminder_id,)).fetchone()
    return None if row is None else from_ms(row[0])


def number_busy(connection: Connection, phone_number: str, *, except_for: str) -> bool:
    """Whether another reminder than `except_for` has an open call to this number."""
    return _any(connection, _NUMBER_BUSY, phone_number, except_for)


def free_from(connection: Connection, reminder: Reminder, rules: Rules, now: datetime) -> datetime | None:
    """When the clinic's limits let the reminder's number be rung again; None: now."""
    if not rules.limits.any:
        return None
    since = to_ms(now - WEEK - timedelta(days=1))
    rows = connection.execute(_COMPLETED_CALLS, (reminder.phone_number, since)).fetchall()
    moments = [call.received_at for call in map(call_from, rows) if reached(call, rules)]
    return rules.limits.free_from((moment for moment in moments if moment is not None), now, zone_of(reminder, rules))


def id_taken(connection: Connection, external_call_id: str, *, by_other_than: str | None) -> bool:
    """Whether the provider's id is stored on another call than the one with our id `by_other_than`."""
    return _any(
        connection,
        "SELECT 1 FROM call_logs WHERE external_call_id = ? AND id IS NOT ?",
        external_call_id,
        by_other_than,
    )


@frozen
class Wakes:
    """When the next row needs someone; None if none ever does as things stand."""

    dial: datetime | None
    check: datetime | None
    paused: bool
    """Staff have paused all dialing."""


def next_wakes(connection: Connection) -> Wakes:
    """The earliest `wake_at` among rows to be dialled, and among all others."""
    dial, check = connection.execute(
        "SELECT (SELECT min(wake_at) FROM reminders WHERE wake_at IS NOT NULL AND status = 'scheduled'),"
        " (SELECT min(wake_at) FROM reminders WHERE wake_at IS NOT NULL AND status <> 'scheduled')"
    ).fetchone()
    return Wakes(
        dial=None if dial is None else from_ms(dial),
        check=None if check is None else from_ms(check),
        paused=paused(connection),
    )


@frozen
class Look:
    """What the last look before a request sees."""

    reminder: Reminder | None
    opted_out: bool
    parted: bool
    """One of the others that the call says has ended, or its time is over."""
    paused: bool


def last_look(connection: Connection, claimed: Claimed, *, rules: Rules, now: datetime) -> Look:
    """The claimed row, those that its call says, its number's opt-out, and the staff's pause; read in one snapshot."""
    reminder = load_reminder(connection, claimed.reminder.id)
    riding = [load_reminder(connection, rider.id) for rider in claimed.riders]
    return Look(
        reminder=reminder,
        opted_out=reminder is not None and opted_out(connection, reminder.phone_number),
        parted=not all(rider is not None and rides(rider, rules, now) for rider in riding),
        paused=paused(connection),
    )


def _any(connection: Connection, sql: str, *parameters: str | None) -> bool:
    return connection.execute(sql, parameters).fetchone() is not None
