"""Settling what we asked for: a provider's answer to a request or a look-up, in one transaction each."""

from datetime import datetime

from reminderd.core.answers import Accepted, Answer, Candidates, Finding, Found
from reminderd.core.lifecycle import Claimed, Step, answered, chosen, looked_up, not_sent
from reminderd.core.reminder import Call, Reminder
from reminderd.core.rules import Rules
from reminderd.store.company import wanted_by_others
from reminderd.store.driver import Connection
from reminderd.store.facts import id_taken, opted_out
from reminderd.store.reports import is_anothers, receipt_is_new
from reminderd.store.rows import load_calls, load_reminder, save


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
        id_taken=isinstance(answer, Accepted) and is_anothers(connection, answer.external_call_id, call),
        wanted_by_others=wanted_by_others(connection, call, rules, now),
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
    connection: Connection,
    now: datetime,
    *,
    claimed: Claimed,
    finding: Finding | Candidates,
    rules: Rules,
    new_call_id: str,
) -> Step | None:
    """Record what a look-up found; None if its row is gone."""
    found = _claimed_rows(connection, claimed)
    if found is None:
        return None
    reminder, calls, call = found
    if isinstance(finding, Candidates):
        finding = chosen(finding, call, taken=_taken(connection, finding, call))
    report = finding.report if isinstance(finding, Found) else None
    taken = report is not None and is_anothers(connection, report.external_call_id, call)
    adopts_anothers = taken and call.status == "unconfirmed"
    is_new = report is not None and not adopts_anothers and receipt_is_new(connection, now, report, reminder, call)
    step = looked_up(
        reminder,
        calls,
        call,
        finding,
        token=claimed.token,
        receipt_is_new=is_new,
        id_taken=taken,
        new_call_id=new_call_id,
        wanted_by_others=wanted_by_others(connection, call, rules, now),
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


def _taken(connection: Connection, candidates: Candidates, call: Call) -> frozenset[str]:
    """Which of the candidates are other calls of ours."""
    ids = (report.external_call_id for report in candidates.reports)
    return frozenset(one for one in ids if id_taken(connection, one, by_other_than=call.id))
