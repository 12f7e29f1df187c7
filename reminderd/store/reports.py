"""Settling what the provider reports by itself, in one transaction each."""

from datetime import datetime

from attrs import frozen

from reminderd.core.answers import Report
from reminderd.core.lifecycle import Step, call_spoken_of, known, reported
from reminderd.core.reminder import TERMINAL, Call, Reminder
from reminderd.core.rules import Rules
from reminderd.store.company import wanted_by_others
from reminderd.store.driver import Connection
from reminderd.store.errors import UnknownReminderError
from reminderd.store.facts import id_taken, restored_at
from reminderd.store.rows import load_calls, load_reminder, save, to_ms


@frozen(kw_only=True)
class Told:
    """What a report changes, not written yet, and the rows as they were before."""

    reminder: Reminder
    calls: tuple[Call, ...]
    step: Step


def settle_report(connection: Connection, now: datetime, *, report: Report, rules: Rules, new_call_id: str) -> Step:
    """Record a report.

    Raises:
        UnknownReminderError: no reminder has its id, or the call that it names; nothing is written.
    """
    told = hear(connection, now, report=report, rules=rules, new_call_id=new_call_id)
    save(connection, told.reminder, told.calls, told.step, now)
    return told.step


def hear(connection: Connection, now: datetime, *, report: Report, rules: Rules, new_call_id: str) -> Told:
    """What a report changes; of it only the receipt is written.

    Raises:
        UnknownReminderError: no reminder has its id, or the call that it names; nothing is written.
    """
    reminder = load_reminder(connection, report.reminder_id or _reminder_of(connection, report.attempt_id))
    if reminder is None:
        raise UnknownReminderError(report.reminder_id or report.attempt_id)
    calls = load_calls(connection, reminder.id)
    spoken_of, _ = call_spoken_of(report, calls)
    step = reported(
        known(reminder, calls, restored_at(connection, reminder.id), rules.group_within),
        calls,
        report,
        receipt_is_new=receipt_is_new(connection, now, report, reminder, spoken_of),
        id_taken=is_anothers(connection, report.external_call_id, spoken_of),
        new_call_id=new_call_id,
        wanted_by_others=wanted_by_others(connection, spoken_of, rules, now),
        rules=rules,
        now=now,
    )
    return Told(reminder=reminder, calls=calls, step=step)


def is_anothers(connection: Connection, external_call_id: str, call: Call | None) -> bool:
    """Whether the provider's id is stored on another call than this one."""
    if call is not None and call.external_call_id == external_call_id:
        return False  # the column is unique: nobody else has it
    return id_taken(connection, external_call_id, by_other_than=None if call is None else call.id)


def receipt_is_new(
    connection: Connection, now: datetime, report: Report, reminder: Reminder, call: Call | None
) -> bool:
    """Leave a receipt for a terminal report that may count; True if there was none for the provider's id."""
    if report.status not in TERMINAL or (call is not None and call.received_at is not None):
        return False
    left = connection.execute(
        "INSERT OR IGNORE INTO webhook_receipts (call_id, reminder_id, status, received_at) VALUES (?, ?, ?, ?)",
        (report.external_call_id, reminder.id, report.status, to_ms(now)),
    )
    return bool(left.rowcount == 1)


def _reminder_of(connection: Connection, call_id: str | None) -> str:
    """The id of the reminder whose call this is; empty if there is no such call."""
    row = connection.execute("SELECT reminder_id FROM call_logs WHERE id = ?", (call_id,)).fetchone()
    return "" if row is None else str(row["reminder_id"])
