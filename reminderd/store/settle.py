"""Settling what we asked for: the last look at a request, and the provider's answer to it or to a look-up."""

from datetime import datetime
from functools import partial

from attrs import evolve, frozen

from reminderd.core.answers import Accepted, Answer, Candidates, Finding, Found
from reminderd.core.lifecycle.answer import answered, not_sent
from reminderd.core.lifecycle.reconcile import chosen, not_found
from reminderd.core.lifecycle.report import reported
from reminderd.core.lifecycle.transition import Action, Ledger, Transition
from reminderd.core.rules import Rules
from reminderd.store.claims import standstill
from reminderd.store.connection import Connection
from reminderd.store.ledger import load_call, save
from reminderd.store.reports import receipt_is_new


@frozen
class Look:
    """What the last look before a request sees."""

    ledger: Ledger
    paused: bool


def look(connection: Connection, *, action: Action, rules: Rules, now: datetime) -> Look:
    """Return the call of a claimed request as it is now, its reminders, its number, and whether dialing is paused."""
    paused, quiet_until = standstill(connection, rules)
    is_quiet = quiet_until is not None and now < quiet_until
    ledger = load_call(connection, rules, now, action.call.id)
    return Look(ledger=ledger or Ledger(), paused=paused or is_quiet)


def settle_answer(
    connection: Connection, now: datetime, *, action: Action, answer: Answer, counts: bool, rules: Rules, draw: float
) -> Transition | None:
    """Record the provider's answer to a claimed request; None if its call is gone. For the arguments see `answered`."""
    external_call_id = answer.external_call_id if isinstance(answer, Accepted) else None
    before = load_call(connection, rules, now, action.call.id, external_call_id=external_call_id)
    if before is None:
        return None
    transition = answered(before, action, answer, counts=counts, draw=draw, rules=rules, now=now)
    save(connection, before, transition.ledger, now)
    return transition


def settle_not_sent(
    connection: Connection, now: datetime, *, action: Action, reason: str, rules: Rules
) -> Transition | None:
    """Record that a claimed request was not sent; None if its call is gone."""
    before = load_call(connection, rules, now, action.call.id)
    if before is None:
        return None
    transition = not_sent(before, action, reason, rules=rules, now=now)
    save(connection, before, transition.ledger, now)
    return transition


def settle_finding(
    connection: Connection, now: datetime, *, action: Action, finding: Finding | Candidates, rules: Rules
) -> Transition | None:
    """Record what a look-up found; None if its call is gone.

    A call that was found is reported, whoever holds the lease by now.
    """
    external_call_id = finding.report.external_call_id if isinstance(finding, Found) else None
    before = load_call(connection, rules, now, action.call.id, external_call_id=external_call_id)
    if before is None:
        return None
    call = before.calls[action.call.id]
    is_anothers = partial(_is_anothers, connection, call_id=call.id)
    if isinstance(finding, Candidates):
        ids = (one.external_call_id for one in finding.reports)
        finding = chosen(finding, call, frozenset(filter(is_anothers, ids)))
    if not isinstance(finding, Found) or (call.state.in_doubt and is_anothers(finding.report.external_call_id)):
        transition = not_found(before, call, finding, token=action.token, rules=rules, now=now)
    else:
        transition = _found(connection, before, action, finding, rules, now)
    save(connection, before, transition.ledger, now)
    return transition


def _found(
    connection: Connection, before: Ledger, action: Action, finding: Found, rules: Rules, now: datetime
) -> Transition:
    call = before.calls[action.call.id]
    report = evolve(finding.report, reminder_id=call.reminder_id, attempt_id=call.id)
    counted = before.put(evolve(call, checks=call.checks + 1))
    is_new = receipt_is_new(connection, now, report, call)
    return reported(counted, report, receipt_is_new=is_new, new_call_id=call.id, rules=rules, now=now)


def _is_anothers(connection: Connection, external_call_id: str, *, call_id: str) -> bool:
    """Whether the provider's id is stored on another call than this one."""
    row = connection.execute(
        "SELECT 1 FROM call_logs WHERE external_call_id = :external AND id <> :id",
        {"external": external_call_id, "id": call_id},
    ).fetchone()
    return row is not None
