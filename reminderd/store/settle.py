"""Read what the last look before a request sees, and settle answers, look-ups, webhooks and turns of conversations."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from attrs import evolve, frozen

from reminderd.core.answers import Accepted, Candidates, Found, LookUpAnswer, PlacingAnswer, Report
from reminderd.core.lifecycle.answer import not_sent, request_answered
from reminderd.core.lifecycle.keypress import Key, Turn, key_pressed, picked_up, unspoken
from reminderd.core.lifecycle.reconcile import finding_among, not_found
from reminderd.core.lifecycle.report import call_of, certain, reported
from reminderd.core.lifecycle.transition import Action, Ledger, Level, LogLine, Transition
from reminderd.core.model import TERMINAL, Call
from reminderd.core.rules import Rules
from reminderd.core.script.prompts import SpokenReply
from reminderd.store.audit import audit
from reminderd.store.connection import Connection
from reminderd.store.errors import UnknownReminderError
from reminderd.store.ledger import load_call, load_reported, note_settled, save
from reminderd.store.opt_outs import opt_out
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import STANDSTILL, note_call_end, note_provider_asked, setting_values, standstill


@frozen
class LastLook:
    """Everything that the last look sees."""

    ledger: Ledger
    paused: bool


def read_for_last_look(connection: Connection, *, action: Action, rules: Rules, now: datetime) -> LastLook:
    """Return the call of a claimed request as it is now, its reminders, its number, and whether dialing is paused."""
    settings = connection.execute(STANDSTILL)  # sent together with the query about the call
    ledger = load_call(connection, rules, now, action.call.id)
    paused, quiet_until = standstill(setting_values(settings), rules)
    is_quiet = quiet_until is not None and now < quiet_until
    return LastLook(ledger=ledger or Ledger(), paused=paused or is_quiet)


def settle_answer(
    connection: Connection,
    now: datetime,
    *,
    action: Action,
    answer: PlacingAnswer,
    counts: bool,
    rules: Rules,
    draw: float,
) -> Transition | None:
    """Record the provider's answer to a claimed request, see `request_answered`; None if its call was deleted."""
    external_call_id = answer.external_call_id if isinstance(answer, Accepted) else None
    before = load_call(connection, rules, now, action.call.id, external_call_id=external_call_id)
    if before is None:
        return None
    transition = request_answered(before, action, answer, counts=counts, draw=draw, rules=rules, now=now)
    save(connection, before, transition.ledger, now)
    return transition


def settle_not_sent(
    connection: Connection, now: datetime, *, action: Action, reason: str, rules: Rules
) -> Transition | None:
    """Record that a claimed request was not sent; None if its call was deleted."""
    before = load_call(connection, rules, now, action.call.id)
    if before is None:
        return None
    transition = not_sent(before, action, reason, rules=rules, now=now)
    save(connection, before, transition.ledger, now)
    return transition


def settle_finding(
    connection: Connection, now: datetime, *, action: Action, finding: LookUpAnswer | Candidates, rules: Rules
) -> Transition | None:
    """Record what a look-up found; None if its call was deleted.

    A call that was found is settled like a report, no matter who holds the lease by now.
    """
    external_call_id = finding.report.external_call_id if isinstance(finding, Found) else None
    before = load_call(connection, rules, now, action.call.id, external_call_id=external_call_id)
    if before is None:
        return None
    call = before.calls[action.call.id]
    is_anothers = partial(_is_anothers, connection, call_id=call.id)
    if isinstance(finding, Candidates):
        ids = (one.external_call_id for one in finding.reports)
        finding = finding_among(finding, call, frozenset(filter(is_anothers, ids)))
    finding = certain(call, finding)
    if not isinstance(finding, Found) or (call.state.may_not_exist and is_anothers(finding.report.external_call_id)):
        transition = not_found(before, call, finding, token=action.token, rules=rules, now=now)
    else:
        transition = _found(connection, before, action, finding, rules, now)
    save(connection, before, transition.ledger, now)
    _note_end(connection, now, transition, rules)
    return transition


def _found(
    connection: Connection, before: Ledger, action: Action, finding: Found, rules: Rules, now: datetime
) -> Transition:
    call = before.calls[action.call.id]
    report = evolve(finding.report, reminder_id=call.reminder_id, attempt_id=call.id)
    is_new = receipt_is_new(connection, now, report, call)
    return reported(before, report, receipt_is_new=is_new, new_call_id=call.id, rules=rules, now=now)


def _is_anothers(connection: Connection, external_call_id: str, *, call_id: str) -> bool:
    """Return whether another call than this has the provider's id."""
    row = connection.execute(
        "SELECT 1 FROM call_logs WHERE external_call_id = :external AND id <> :id",
        {"external": external_call_id, "id": call_id},
    ).fetchone()
    return row is not None


@frozen(kw_only=True)
class Spoken:
    """What is spoken next, and what changed because of it."""

    reply: SpokenReply
    message: str
    """The message of the call's reminders."""
    transitions: tuple[Transition, ...]


def settle_report(
    connection: Connection, now: datetime, *, report: Report, rules: Rules, mint: Callable[[], str]
) -> Transition:
    """Record a report.

    Raises:
        UnknownReminderError: it names no call and no reminder of ours; nothing is written.
    """
    before, transition = _reported(connection, now, report, rules, mint)
    save(connection, before, transition.ledger, now)
    _note_end(connection, now, transition, rules)
    return transition


def settle_pick_up(
    connection: Connection, now: datetime, *, report: Report, rules: Rules, mint: Callable[[], str]
) -> Spoken:
    """Record that a call was answered, and decide what is spoken.

    Raises:
        UnknownReminderError: there is no such call; nothing is written.
    """
    before, transition = _reported(connection, now, report, rules, mint)
    call = transition.ledger.calls[_known(transition.call).id]
    turn = picked_up(transition.ledger, call, rules=rules, now=now)
    save(connection, before, turn.transition.ledger, now)
    note_settled(connection, now, before, turn.transition.ledger, actor="another program")
    note_provider_asked(connection)
    return Spoken(reply=turn.reply, message=turn.message, transitions=(transition, turn.transition))


def settle_key(
    connection: Connection, now: datetime, *, report: Report, key: Key, rules: Rules, mint: Callable[[], str]
) -> Spoken:
    """Record what a key means. For an opt-out, also record the number, and cancel all its waiting reminders.

    Raises:
        UnknownReminderError: there is no such call; nothing is written.
    """
    before, transition = _reported(connection, now, report, rules, mint)
    call = transition.ledger.calls[_known(transition.call).id]
    turn = key_pressed(transition.ledger, call, key, rules=rules, now=now)
    save(connection, before, turn.transition.ledger, now)
    note_settled(connection, now, before, turn.transition.ledger, actor="patient")
    for reminder_id, response in turn.answers:
        audit(connection, now, actor="patient", act=response, reminder_id=reminder_id)
    opted = _opted_out(connection, now, turn, call, rules)
    return Spoken(reply=turn.reply, message=turn.message, transitions=(transition, turn.transition, *opted))


def settle_unspoken(connection: Connection, now: datetime, *, call_id: str, rules: Rules) -> Transition | None:
    """Record that the provider could not use our answer to "what to speak"; None if we do not know the call."""
    before = load_call(connection, rules, now, call_id)
    if before is None:
        return None
    transition = unspoken(before, before.calls[call_id])
    save(connection, before, transition.ledger, now)
    return transition


def receipt_is_new(connection: Connection, now: datetime, report: Report, call: Call | None) -> bool:
    """Leave a receipt for a terminal report that may count; return True if the provider's id had none."""
    if report.status not in TERMINAL or (call is not None and call.received_at is not None):
        return False
    left = connection.execute(
        "INSERT INTO webhook_receipts (call_id, reminder_id, status, received_at)"
        " VALUES (:external, :reminder, :status, :now) ON CONFLICT DO NOTHING",
        {
            "external": report.external_call_id,
            "reminder": report.reminder_id or ("" if call is None else call.reminder_id),
            "status": report.status,
            "now": to_ms(now),
        },
    )
    return bool(left.rowcount == 1)


def _reported(
    connection: Connection, now: datetime, report: Report, rules: Rules, mint: Callable[[], str]
) -> tuple[Ledger, Transition]:
    before = load_reported(connection, report)
    call = call_of(before, report)
    if call is None and report.reminder_id not in before.reminders:
        raise UnknownReminderError(report.reminder_id or report.attempt_id)
    is_new = receipt_is_new(connection, now, report, call)
    new_call_id = mint() if call is None else call.id
    return before, reported(before, report, receipt_is_new=is_new, new_call_id=new_call_id, rules=rules, now=now)


def _known(call: Call | None) -> Call:
    if call is None:  # pragma: no cover - a report that was recorded is about a call
        raise UnknownReminderError(None)
    return call


def _note_end(connection: Connection, now: datetime, transition: Transition, rules: Rules) -> None:
    if transition.call is not None and transition.call.received_at == now:
        note_call_end(connection, now, call=transition.call, rules=rules)


def _opted_out(connection: Connection, now: datetime, turn: Turn, call: Call, rules: Rules) -> tuple[Transition, ...]:
    if not turn.opts_out:
        return ()
    if call.anonymous:
        text = "opted out by key, but the number was purged or erased: record it with reminderd opt-out add"
        return (Transition(ledger=Ledger(), lines=(LogLine(text, Level.ERROR, call.reminder_id, call.id),)),)
    source = f"key pressed in call {call.id}"
    return opt_out(connection, now, phone_number=call.phone_number, source=source, actor="patient", rules=rules)
