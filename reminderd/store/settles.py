"""Settling: recording what a provider answered or reported, and what follows, in one transaction each."""

from datetime import datetime

from reminderd.core.answers import Accepted, Answer, Finding, Found, Report
from reminderd.core.lifecycle import Claimed, Step, answered, call_spoken_of, looked_up, not_sent, reported
from reminderd.core.reminder import TERMINAL, Call, Reminder
from reminderd.core.rules import Rules
from reminderd.store.driver import Connection
from reminderd.store.errors import UnknownReminderError
from reminderd.store.facts import id_taken, opted_out
from reminderd.store.rows import load_calls, load_reminder, save, to_ms


def settle_report(connection: Connection, now: datetime, *, report: Report, rules: Rules, new_call_id: str) -> Step:
    """Record a webhook's report.

    Raises:
        UnknownReminderError: there is no reminder with this id; nothing is written.
    """
    reminder = load_reminder(connection, report.reminder_id or "")
    if reminder is None:
        raise UnknownReminderError(report.reminder_id)
    calls = load_calls(connection, reminder.id)
    spoken_of, _ = call_spoken_of(report, calls)
    step = reported(
        reminder,
        calls,
        report,
        receipt_is_new=_receipt_is_new(connection, now, report, reminder, spoken_of),
        id_taken=_is_anothers(connection, report.external_call_id, spoken_of),
        new_call_id=new_call_id,
        rules=rules,
        now=now,
    )
    save(connection, reminder, calls, step, now)
    return step


def settle_answer(
    connection: Connection,
    now: datetime,
    *,
    claimed: Claimed,
    answer: Answer,
    burns_try: bool,
    rules: Rules,
    draw: float,
) -> Step | None:
    """Record the provider's answer to the request of a claimed row; None if its row is gone."""
    found = _claimed_rows(connection, claimed)
    if found is None:
        return None
    reminder, calls, call = found
    step = answered(
        reminder,
        calls,
        call,
        answer,
        token=claimed.token,
        tries=claimed.call.tries,
        resend=claimed.resend,
        burns_try=burns_try,
        id_taken=isinstance(answer, Accepted) and _is_anothers(connection, answer.external_call_id, call),
        rules=rules,
        now=now,
        draw=draw,
    )
    save(connection, reminder, calls, step, now)
    return step


def settle_not_sent(connection: Connection, now: datetime, *, claimed: Claimed, reason: str) -> Step | None:
    """Record that the request of a claimed row never went out; None if its row is gone."""
    found = _claimed_rows(connection, claimed)
    if found is None:
        return None
    reminder, calls, call = found
    step = not_sent(
        reminder,
        calls,
        call,
        reason,
        token=claimed.token,
        tries=claimed.call.tries,
        resend=claimed.resend,
        opted_out=opted_out(connection, reminder.phone_number),
        now=now,
    )
    save(connection, reminder, calls, step, now)
    return step


def settle_finding(
    connection: Connection, now: datetime, *, claimed: Claimed, finding: Finding, rules: Rules, new_call_id: str
) -> Step | None:
    """Record what a look-up found; None if its row is gone."""
    found = _claimed_rows(connection, claimed)
    if found is None:
        return None
    reminder, calls, call = found
    report = finding.report if isinstance(finding, Found) else None
    taken = report is not None and _is_anothers(connection, report.external_call_id, call)
    adopts_anothers = taken and call.status == "unconfirmed"
    receipt_is_new = (
        report is not None and not adopts_anothers and _receipt_is_new(connection, now, report, reminder, call)
    )
    step = looked_up(
        reminder,
        calls,
        call,
        finding,
        token=claimed.token,
        receipt_is_new=receipt_is_new,
        id_taken=taken,
        new_call_id=new_call_id,
        rules=rules,
        now=now,
    )
    save(connection, reminder, calls, step, now)
    return step


def _claimed_rows(connection: Connection, claimed: Claimed) -> tuple[Reminder, tuple[Call, ...], Call] | None:
    reminder = load_reminder(connection, claimed.reminder.id)
    calls = load_calls(connection, claimed.reminder.id)
    call = next((call for call in calls if call.id == claimed.call.id), None)
    return None if reminder is None or call is None else (reminder, calls, call)


def _is_anothers(connection: Connection, external_call_id: str, call: Call | None) -> bool:
    if call is not None and call.external_call_id == external_call_id:
        return False  # the column is unique: nobody else has it
    return id_taken(connection, external_call_id, by_other_than=None if call is None else call.id)


def _receipt_is_new(
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
