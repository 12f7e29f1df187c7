"""Decide which call a provider's report is about, by webhook or in a look-up, and what the report changes."""

import re
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
from attrs import fields

from reminderd.core.answers import Found, Listener, LookUpAnswer, NoAnswer, Report, listener_of
from reminderd.core.lifecycle.claim import may_be_forgotten
from reminderd.core.lifecycle.reconcile import is_to_be_dropped
from reminderd.core.lifecycle.states import CallEnd, EndKind, close_call, with_call_status
from reminderd.core.lifecycle.transition import Ledger, Level, LogLine, Transition, line_about, noted
from reminderd.core.model import (
    PROGRESS,
    TERMINAL,
    Call,
    CallOutcome,
    CallState,
    Member,
    Reminder,
    Status,
    digest,
    evolve,
)
from reminderd.core.outcomes import SPOKEN, call_outcome_of, sent_in
from reminderd.core.reasons import EndCode
from reminderd.core.rules import Rules

_FILLED: Final = frozenset(one.name for one in fields(Call)).intersection(
    one.name for one in fields(Report) if one.name not in {"status", "reminder_id", "external_call_id"}
)
"""The attributes that a report may fill in once: all other attributes that both a call and a report have."""
_FILLED_EARLY: Final = _FILLED - {"duration_seconds", "sip_response_code"}
"""The attributes that a report of progress may fill in."""
_CALL_ID: Final = re.compile(r"[!-~]{1,200}")
_RANK: Final = {None: 0, "queued": 1, "initiated": 2, "ringing": 3, "answered": 4, "in-progress": 4}
_OTHER_WORD: Final = 3


def call_of(ledger: Ledger, report: Report) -> Call | None:
    """Return the call that a report is about, or None if we do not know the call.

    A report with an unknown `attempt_id` is never about another call of ours, and neither is a report that names
    another reminder: the provider may have used its own id again.
    """
    if _usable(report.attempt_id) is not None:
        return ledger.calls.get(report.attempt_id or "")
    for call in ledger.calls.values():
        is_same = call.external_call_id == report.external_call_id and _is_of_its_reminder(call, report)
        if is_same and (call.adopted or report.attempt_id is None):
            return call
    if report.attempt_id is not None:
        return None
    nameless = [
        call
        for call in ledger.calls.values()
        if call.reminder_id == report.reminder_id
        and call.external_call_id is None
        and (call.state.alive or call.state is CallState.UNREPORTED)
        and not call.adopted
        and call.seq > ledger.restored_seq
    ]
    return nameless[0] if len(nameless) == 1 else None


def certain(call: Call, finding: LookUpAnswer) -> LookUpAnswer:
    """Return the finding of a look-up, or that there is no answer if the finding has our ids of another call.

    The provider may have used its own id again. For an adopted call, it may repeat an `attempt_id` that we do not know.
    """
    if not isinstance(finding, Found):
        return finding
    report = finding.report
    is_named = report.attempt_id is not None and not call.adopted
    is_same = report.attempt_id == call.id if is_named else _is_of_its_reminder(call, report)
    return finding if is_same else NoAnswer("the answer is about another call")


def _is_of_its_reminder(call: Call, report: Report) -> bool:
    """Return whether a report names no reminder, or that of the call; after an erasure, the call has none."""
    return report.reminder_id is None or call.reminder_id in {report.reminder_id, ""}


def reported(
    ledger: Ledger, report: Report, *, receipt_is_new: bool, new_call_id: str, rules: Rules, now: datetime
) -> Transition:
    """Record a report.

    The ledger has the calls with either id in the report, and the calls of the reminder that the report names.
    `receipt_is_new`: no terminal report with the provider's id came before. `new_call_id` is for an unknown call, if
    the report has no usable `attempt_id`.
    """
    call = call_of(ledger, report)
    if call is None and report.status in TERMINAL and not receipt_is_new and _usable(report.attempt_id) is None:
        text = f"ignored: a repeated report ({report.status}) of an unknown call"
        return Transition(ledger=ledger, lines=(LogLine(text, reminder_id=report.reminder_id),), duplicate=True)
    if call is None:
        ledger, call = _adopted(ledger, report, new_call_id, rules, now)
        text = f"a report ({report.status}) of an unknown call: recorded as a call of its own"
        line = line_about(call, text, Level.WARNING)
        return _apply(ledger, call, report, receipt_is_new=receipt_is_new, rules=rules, now=now).with_lines_before(
            [line]
        )
    return _apply(ledger, call, report, receipt_is_new=receipt_is_new, rules=rules, now=now)


def progress(
    ledger: Ledger, call: Call, report: Report, *, text: str | None = None, rules: Rules, now: datetime
) -> Transition:
    """Record a sign of life: it proves that the call was placed, and opens it again if we had closed it.

    `text` is the log line; None for a line with the reported status.
    """
    if call.received_at is not None:
        late = f"late report ({report.status}), after the end of the call: the outcome stays the same"
        return _only_filled_in(ledger, call, report, late)
    others = [one for one in ledger.alive_calls_to(call.phone_number) if one.id != call.id and one.state.open]
    # Purged calls of several patients have the same empty number, and a number can have only one open call.
    is_stray = (bool(others) or not call.phone_number) and not call.state.open
    is_later = _RANK.get(report.status, _OTHER_WORD) >= _RANK.get(call.status, _OTHER_WORD)
    alive = evolve(
        call,
        **_new_values(ledger, call, report),
        state=CallState.STRAY if is_stray else CallState.PLACED,
        status=report.status if is_later else call.status,
        evidence=True,
        checks=call.checks if call.evidence else 0,
        last_sign_at=now,
        lease_token=None,
        wake_at=now + rules.outcome_timeout,
        error=None,
    )
    is_news = alive.status != call.status or alive.state is not call.state
    after = ledger.put(alive)
    waiting = [
        with_call_status(one, Status.PROCESSING)
        for _, one in after.current_members(alive)
        if one.status is Status.DIALING or (one.status is Status.SCHEDULED and after.alive_call(one) == alive)
    ]
    after = after.put(*waiting)
    if is_to_be_dropped(after, alive, rules):
        # A repeated status does not delay a drop that is due. A drop without effect is not requested again at once.
        at_once = is_news or alive.checks == 0
        alive = evolve(alive, wake_at=now if at_once else min(call.wake_at or now, now + rules.outcome_timeout))
        after = after.put(alive)
    is_known = report.status in PROGRESS
    text = text or f"the provider reported: {report.status}"
    text = text if is_known else f"{text}; an unknown status, treated as progress"
    reopened = "" if call.state.alive else f"; the call was {call.state.replace('_', ' ')}, and is under way again"
    level = Level.INFO if is_known and not reopened else Level.WARNING
    lines = (line_about(call, text + reopened, level),) if is_news else ()
    return Transition(ledger=after, call=alive, lines=lines)


def _apply(
    ledger: Ledger, call: Call, report: Report, *, receipt_is_new: bool, rules: Rules, now: datetime
) -> Transition:
    if report.status not in TERMINAL:
        return progress(ledger, call, report, rules=rules, now=now)
    is_named = report.attempt_id == call.id
    if call.received_at is not None or not (receipt_is_new or is_named):
        repeated = f"repeated report ({report.status}): the outcome stays the same"
        return attrs.evolve(_only_filled_in(ledger, call, report, repeated), duplicate=True)
    return _closed(ledger, call, report, rules, now)


def _closed(ledger: Ledger, call: Call, report: Report, rules: Rules, now: datetime) -> Transition:
    """Close a call by its first terminal report."""
    asks = rules.capabilities.asks_what_to_say
    members = ledger.members_of(call)
    closed = evolve(
        call,
        **_new_values(ledger, call, report),
        state=CallState.ENDED,
        status=report.status,
        received_at=now,
        evidence=True,
        error=None,
        lease_token=None,
        wake_at=None,
    )
    outcome = call_outcome_of(closed, sent_in(members, asks=asks))
    is_hung_up = outcome is CallOutcome.HUNG_UP
    closed = evolve(closed, outcome=outcome, hung_up_at=_line_ended_at(closed, report, now) if is_hung_up else None)
    if not asks and outcome in SPOKEN:
        ledger = ledger.put(*(evolve(member, spoken=True) for member in members if not member.spoken))
    end = CallEnd(kind=EndKind.REPORTED if call.state.alive else EndKind.REPORTED_LATE)
    text = f"the provider reported: {report.status} (outcome: {outcome.words})"
    return close_call(ledger, closed, end, text, rules=rules, now=now)


def _line_ended_at(call: Call, report: Report, now: datetime) -> datetime | None:
    """Return the earliest moment at which the line may have ended; None if the report does not show it.

    A report may be late, and clocks differ, so there may be several moments.
    """
    ends = [] if report.ended_at is None else [report.ended_at]
    if call.fetched_at is not None and call.duration_seconds is not None:
        ends.append(call.fetched_at + timedelta(seconds=call.duration_seconds))
    return min(now, *ends) if ends else None


def _only_filled_in(ledger: Ledger, call: Call, report: Report, text: str) -> Transition:
    """Fill in the empty attributes of the call, and change nothing else."""
    return noted(ledger, evolve(call, **_new_values(ledger, call, report)), text)


def _adopted(ledger: Ledger, report: Report, new_call_id: str, rules: Rules, now: datetime) -> tuple[Ledger, Call]:
    """Record an unknown call for the reminder that its report names; the number is busy until the call's end."""
    reminder = ledger.reminders[report.reminder_id or ""]
    is_stray = not reminder.phone_number or any(one.state.open for one in ledger.alive_calls_to(reminder.phone_number))
    call = Call(
        id=_usable(report.attempt_id) or new_call_id,
        reminder_id=reminder.id,
        phone_number=reminder.phone_number,
        provider=rules.provider,
        account=rules.account,
        state=CallState.STRAY if is_stray else CallState.PLACED,
        evidence=True,
        adopted=True,
        last_sign_at=now,
        wake_at=now + rules.outcome_timeout,
        created_at=now,
    )
    ledger = ledger.put(call)
    if not _may_be_about(ledger, reminder, report):
        return ledger, call
    member = Member(
        call_id=call.id,
        reminder_id=reminder.id,
        position=0,
        scheduled_at=reminder.scheduled_at,
        message_digest=digest(reminder.message, reminder.language),
    )
    return ledger.put(member), call


def _usable(call_id: str | None) -> str | None:
    """Return the text if it can be the id of a call (1 to 200 printable ASCII characters without spaces), else None."""
    return call_id if call_id is not None and _CALL_ID.fullmatch(call_id) else None


def _may_be_about(ledger: Ledger, reminder: Reminder, report: Report) -> bool:
    """Return whether an unknown call may have been made for the reminder as it is now."""
    if reminder.end_code is EndCode.RESTORED:
        return ledger.restored_at is not None and reminder.scheduled_at <= ledger.restored_at
    if reminder.status is Status.SCHEDULED and may_be_forgotten(ledger, reminder):
        return True
    members = [one for one in ledger.members.values() if one.reminder_id == reminder.id]
    return report.attempt_id is None and bool(members) and len(members) == len(ledger.history(reminder))


def _new_values(ledger: Ledger, call: Call, report: Report) -> dict[str, Any]:
    """Return the report's values for the attributes of the call that are still empty.

    The duration and the SIP code in a report of progress are not final, so they are left out.
    """
    names = _FILLED if report.status in TERMINAL else _FILLED_EARLY
    news = {name: getattr(report, name) for name in names if getattr(call, name) is None}
    news["answered_by"] = _who_answered(call, report)
    if not call.external_call_id:
        others = (one.external_call_id for one in ledger.calls.values() if one.id != call.id)
        news["external_call_id"] = None if report.external_call_id in others else report.external_call_id
    return news


def _who_answered(call: Call, report: Report) -> str | None:
    """Return who has answered. Until the end of a call is reported, a machine may still be detected."""
    is_corrected = call.received_at is None and listener_of(report.answered_by) is not Listener.PERSON
    is_by_person = listener_of(call.answered_by) is Listener.PERSON
    return report.answered_by if call.answered_by is None or (is_by_person and is_corrected) else call.answered_by
