"""The provider was asked what became of a call: what its answer, or the lack of one, proves."""

from collections.abc import Container
from datetime import datetime
from typing import Final

from attrs import evolve

from reminderd.core.answers import Candidates, Finding, Found, NoAnswer, NotFound
from reminderd.core.lifecycle.check import MOST_CHECKS, give_up, key_holds
from reminderd.core.lifecycle.report import reported
from reminderd.core.lifecycle.step import Level, Note, Step, at_rest, replaced
from reminderd.core.reminder import Call, Reminder, Status
from reminderd.core.rules import Rules

LOOK_UPS_FOR_NONE: Final = 4
"""An unconfirmed call must be missing so many times, as a provider's look-ups lag behind its calls."""


def chosen(candidates: Candidates, call: Call, *, taken: Container[str]) -> Finding:
    """What was found of `call`: the only candidate whose id is not among those `taken` by other calls.

    If a webhook has told the call's id since the question went out, only that one is meant.
    """
    known = call.external_call_id
    free = [
        report
        for report in candidates.reports
        if report.external_call_id not in taken and known in {None, report.external_call_id}
    ]
    if len(free) > 1:
        return NoAnswer("it names several calls, any of which could be this one")
    return Found(free[0]) if free else NotFound()


def looked_up(
    reminder: Reminder,
    calls: tuple[Call, ...],
    call: Call,
    finding: Finding,
    *,
    token: str,
    receipt_is_new: bool,
    id_taken: bool,
    new_call_id: str,
    wanted_by_others: bool = False,
    rules: Rules,
    now: datetime,
) -> Step:
    """What a look-up of `call` changes; a call that was found is reported, whoever holds the lease by now."""
    adopted = call.status == "unconfirmed"
    if isinstance(finding, Found) and not (id_taken and adopted):
        counted = evolve(call, checks=0, not_found=0) if adopted else evolve(call, checks=call.checks + 1)
        return reported(
            reminder,
            replaced(calls, counted),
            evolve(finding.report, reminder_id=reminder.id, attempt_id=call.id),
            receipt_is_new=receipt_is_new,
            id_taken=id_taken,
            new_call_id=new_call_id,
            wanted_by_others=wanted_by_others,
            rules=rules,
            now=now,
        )
    if reminder.lease_token != token or not call.open:
        return Step(reminder=reminder, calls=calls, call=call)
    counted = evolve(call, checks=call.checks + 1, not_found=call.not_found + isinstance(finding, NotFound))
    calls = replaced(calls, counted)
    if adopted and isinstance(finding, NotFound) and found_missing(counted):
        return _never_there(reminder, calls, counted, rules, now)
    if counted.checks >= MOST_CHECKS:
        return give_up(reminder, calls, counted, rules, now)
    later = evolve(reminder, lease_token=None, wake_at=now + rules.confirm_after)
    return Step(reminder=later, calls=calls, call=counted, notes=(Note(_why(finding), Level.WARNING),))


def found_missing(call: Call) -> bool:
    """Whether look-ups have missed the call often enough: enough to send its key again, and for nothing else."""
    return call.not_found >= LOOK_UPS_FOR_NONE


def _why(finding: Finding) -> str:
    match finding:
        case NotFound():
            return "the provider knows no such call, which proves nothing yet: asked again later"
        case Found():
            return "the provider names a call that is another's: asked again later"
        case _:
            return f"the provider could not say what became of the call: {finding.reason}"


def _never_there(reminder: Reminder, calls: tuple[Call, ...], call: Call, rules: Rules, now: datetime) -> Step:
    """Found missing again and again: with an honoured key that proves enough, as a second request is safe."""
    if not key_holds(call, rules, now) or (call.tries >= rules.max_tries and not reminder.status.final):
        return give_up(reminder, calls, call, rules, now)
    closed = evolve(call, status="not-placed", error="not placed: the provider knows no such call")
    calls = replaced(calls, closed)
    note = Note("the provider knows no such call: it was not placed")
    if reminder.status.final:
        return Step(reminder=at_rest(reminder, calls), calls=calls, call=closed, notes=(note,))
    again = evolve(reminder, status=Status.SCHEDULED, lease_token=None, wake_at=now, hold_reason=closed.error)
    return Step(reminder=again, calls=calls, call=closed, notes=(note,))
