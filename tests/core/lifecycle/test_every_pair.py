"""Every state of a reminder and its call meets everything that can happen, and what must always hold still does."""

from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, AccountRefused, Capabilities, NotFound, NotPlaced, Refused, Unclear
from reminderd.core.lifecycle.keypress import Key, key_pressed, picked_up, unspoken
from reminderd.core.lifecycle.reconcile import not_found
from reminderd.core.lifecycle.staff import called_again, cancelled, done, restored
from reminderd.core.lifecycle.transition import ActionKind, Ledger
from reminderd.core.model import TERMINAL, Call, CallState, Reminder, Status
from reminderd.core.reasons import EndCode
from reminderd.core.script.prompts import Question
from reminderd.core.sentences import NotAllowedError
from tests.support.builders import (
    BOTH,
    DAY,
    DROP,
    NOW,
    RULES,
    a_call,
    a_ledger,
    a_member,
    a_reminder,
    a_report,
    able,
    an_action,
    answer_settled,
    call_claimed,
    claimed,
    not_sent_settled,
    report_settled,
)

Event = Callable[[Ledger, Any], Ledger]
ASKS = able(Capabilities(look_up=True, drop=True, asks_what_to_say=True))
EVERY_RULES = {"plain": RULES, "keys and look-ups": able(BOTH), "drops": able(DROP), "asks": ASKS}


def _alive(act: Callable[[Ledger, Any], Ledger]) -> Event:
    return lambda ledger, rules: act(ledger, rules) if ledger.calls["call-1"].state.alive else ledger


def _staff(act: Callable[[Ledger, Any], Ledger]) -> Event:
    def event(ledger: Ledger, rules: Any) -> Ledger:
        with suppress(NotAllowedError):
            return act(ledger, rules)
        return ledger

    return event


def _answer(answer: Any) -> Event:
    return lambda ledger, rules: answer_settled(ledger, answer, action=_sent(ledger), rules=rules).ledger


def _sent(ledger: Ledger, kind: ActionKind = ActionKind.PLACE) -> Any:
    return an_action(ledger, kind=kind)


def _key(digits: str, question: Question = Question.MENU) -> Event:
    key = Key(digits=digits, question=question, repeats=0)
    return lambda ledger, rules: (
        key_pressed(ledger, ledger.calls["call-1"], key, rules=rules, now=NOW).transition.ledger
    )


EVENTS: dict[str, Event] = {
    "its time has come": lambda ledger, rules: claimed(ledger, rules=rules).ledger,
    "its time is over": lambda ledger, rules: claimed(ledger, rules=rules, now=NOW + DAY).ledger,
    "its call is looked at": _alive(lambda ledger, rules: call_claimed(ledger, rules=rules).ledger),
    "its call is silent": _alive(
        lambda ledger, rules: call_claimed(ledger, rules=rules, now=NOW + RULES.outcome_timeout).ledger
    ),
    "accepted": _answer(Accepted("ext-1")),
    "refused": _answer(Refused("no")),
    "not placed": _answer(NotPlaced("503")),
    "number refused": _answer(NotPlaced("no calls to this country", number_refused=True)),
    "account": _answer(AccountRefused("401")),
    "unclear": _answer(Unclear("lost")),
    "not sent": lambda ledger, rules: not_sent_settled(ledger, action=_sent(ledger), rules=rules).ledger,
    "not found": lambda ledger, rules: (
        not_found(ledger, ledger.calls["call-1"], NotFound(), token="lease-1", rules=rules, now=NOW).ledger
    ),
    **{
        word: lambda ledger, rules, word=word: report_settled(ledger, a_report(word), rules=rules).ledger  # type: ignore[misc] # bound early
        for word in (*sorted(TERMINAL), "ringing", "in-progress", "a word of its own")
    },
    "of a call that is not known": lambda ledger, rules: (
        report_settled(ledger, a_report("ringing", attempt_id="theirs", external_call_id="ext-2"), rules=rules).ledger
    ),
    "answered": lambda ledger, rules: picked_up(ledger, ledger.calls["call-1"], rules=rules, now=NOW).transition.ledger,
    **{f"key {digits}": _key(digits) for digits in ("1", "2", "9", "")},
    **{f"key {digits} at the text for a machine": _key(digits, Question.VOICEMAIL) for digits in ("1", "2", "9", "")},
    "the answer was of no use": lambda ledger, _rules: unspoken(ledger, ledger.calls["call-1"]).ledger,
    "cancelled": _staff(
        lambda ledger, _rules: cancelled(ledger, ledger.reminders["reminder-1"], EndCode.CANCELLED_BY_STAFF, NOW).ledger
    ),
    "done": _staff(lambda ledger, _rules: done(ledger, ledger.reminders["reminder-1"], NOW).ledger),
    "called again": _staff(
        lambda ledger, rules: called_again(ledger, ledger.reminders["reminder-1"], rules=rules, now=NOW).ledger
    ),
    "restored": lambda ledger, _rules: restored(ledger, restored_at=NOW, now=NOW).ledger,
}


def situations() -> list[tuple[Reminder, Call]]:
    found = []
    for status, state in product(Status, CallState):
        in_call = status.in_call or status is Status.SCHEDULED
        row = a_reminder(status, wake_at=None if state.alive and in_call else a_reminder(status).wake_at)
        if status.final and status is not Status.CALLED:
            row = evolve(row, end_code=EndCode.NOT_ANSWERED)
        call = a_call(state, received_at=NOW if state is CallState.ENDED else None)
        found.append((row, call))
    return found


def hold(before: Ledger, after: Ledger, name: str) -> None:
    """Check the invariants."""
    row = before.reminders["reminder-1"]
    for call in after.calls.values():
        assert call.state.alive == (call.wake_at is not None)
    for number in {call.phone_number for call in after.calls.values()}:
        assert sum(call.state.open for call in after.alive_calls_to(number)) <= 1
    for one in after.reminders.values():
        if not one.status.final and name != "restored" and before.reminders[one.id].status is not one.status:
            assert one.wake_at is not None or after.alive_call(one) is not None
        if one.status.final:
            assert one.wake_at is None
            assert one.end_code is not None or one.status is Status.CALLED
    if row.status is Status.CALLED:
        assert after.reminders["reminder-1"].status is Status.CALLED
    if row.status is Status.CANCELLED and name != "called again":
        assert after.reminders["reminder-1"].status is Status.CANCELLED
    received = before.calls["call-1"].received_at
    assert received is None or after.calls["call-1"].received_at == received


@pytest.mark.parametrize("rules", EVERY_RULES)
@pytest.mark.parametrize("event", EVENTS)
def test_the_invariants_hold_for_every_state_and_event(event: str, rules: str) -> None:
    for row, call in situations():
        ledger = a_ledger(row, call)
        after = EVENTS[event](ledger, EVERY_RULES[rules])
        hold(ledger, after, event)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("then", EVENTS)
def test_the_invariants_hold_for_every_two_events_in_a_bundle(event: str, then: str) -> None:
    other = a_reminder(Status.PROCESSING, id="reminder-2")
    call = a_call(CallState.PLACED)
    row = a_reminder(Status.PROCESSING)
    ledger = a_ledger(row, other, call, a_member(call, row), a_member(call, other, position=1))
    first = EVENTS[event](ledger, ASKS)
    hold(first, EVENTS[then](first, ASKS), then)
