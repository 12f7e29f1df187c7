from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, AccountRefused, NotPlaced, PlacingAnswer, Refused, Unclear
from reminderd.core.lifecycle.answer import last_look
from reminderd.core.lifecycle.transition import ActionKind, Ledger, Level
from reminderd.core.model import CallState, Status
from reminderd.core.reasons import EndCode, HoldCode
from tests.support.builders import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    RULES,
    SECOND,
    a_call,
    a_ledger,
    a_member,
    a_reminder,
    an_action,
    answer_settled,
    hours,
    not_sent_settled,
)

DIALING = a_reminder(Status.DIALING)
CLAIMED = a_call(CallState.DIALING)
SENT = a_ledger(DIALING, CLAIMED)
AGAIN = a_ledger(a_reminder(Status.PROCESSING), a_call(CallState.UNCONFIRMED, requests=2, lease_token="lease-1"))
RESEND = an_action(AGAIN, kind=ActionKind.RESEND)
NOT_ALLOWED = NotPlaced("no calls to this country", number_refused=True)
NOT_TAKEN: list[PlacingAnswer] = [Refused("a wrong number"), NotPlaced("503"), NOT_ALLOWED, AccountRefused("401")]


# The last look


def look(ledger: Ledger, **changes: Any) -> str | None:
    values: dict[str, Any] = {"paused": False, "stopping": False, "time_left": SECOND, "rules": RULES, "now": NOW}
    return last_look(ledger, an_action(SENT), **(values | changes))


def test_an_unchanged_claim_may_be_sent() -> None:
    assert look(SENT) is None


@pytest.mark.parametrize(
    ("call", "reminder", "changes", "facts"),
    [
        (evolve(CLAIMED, lease_token="another"), DIALING, {}, {}),
        (evolve(CLAIMED, state=CallState.PLACED), DIALING, {}, {}),
        (evolve(CLAIMED, evidence=True), DIALING, {}, {}),
        (CLAIMED, DIALING, {"stopping": True}, {}),
        (CLAIMED, DIALING, {"paused": True}, {}),
        (CLAIMED, DIALING, {"time_left": timedelta(0)}, {}),
        (CLAIMED, DIALING, {}, {"opted_out": frozenset({DIALING.phone_number})}),
        (CLAIMED, evolve(DIALING, status=Status.CANCELLED), {}, {}),
        (CLAIMED, evolve(DIALING, status=Status.SCHEDULED), {}, {}),
        (CLAIMED, evolve(DIALING, message="Other words."), {}, {}),
        (CLAIMED, evolve(DIALING, language="es"), {}, {}),
        (CLAIMED, evolve(DIALING, scheduled_at=NOW + DAY), {}, {}),
        (CLAIMED, evolve(DIALING, phone_number="+12025550002"), {}, {}),
        (CLAIMED, evolve(DIALING, expires_at=NOW), {}, {}),
        (CLAIMED, DIALING, {"now": NOW - MINUTE}, {}),
        (CLAIMED, DIALING, {"rules": evolve(RULES, calling_hours=hours(11 * HOUR, 12 * HOUR))}, {}),
    ],
    ids=[
        "another lease",
        "placed",
        "evidence",
        "stopping",
        "paused",
        "lease over",
        "opted out",
        "cancelled",
        "scheduled again",
        "message",
        "language",
        "time",
        "number",
        "too late",
        "clock set back",
        "outside the hours",
    ],
)
def test_any_change_since_the_claim_prevents_the_request(
    call: Any, reminder: Any, changes: dict[str, Any], facts: dict[str, Any]
) -> None:
    assert look(a_ledger(reminder, call, a_member(call, DIALING), **facts), **changes) is not None


def test_a_deleted_call_or_another_alive_call_prevents_the_request() -> None:
    assert look(Ledger()) == "the lease was lost"
    stray = a_call(CallState.STRAY, id="stray", reminder_id="other")
    busy = a_ledger(DIALING, CLAIMED, stray, a_member(CLAIMED, DIALING))
    assert look(busy) == HoldCode.NUMBER_BUSY.sentence


def test_a_call_whose_reminders_were_erased_is_not_sent() -> None:
    """With their memberships, too: nothing is left that could have changed."""
    erased = Ledger().put(CLAIMED)
    assert erased.members_of(CLAIMED) == []
    assert look(erased) is not None


def test_an_unconfirmed_earlier_call_prevents_the_request() -> None:
    doubt = a_call(CallState.UNREPORTED, id="older", seq=-1)
    assert look(a_ledger(evolve(DIALING, again_seq=-2), CLAIMED, doubt)) == EndCode.UNCONFIRMED.sentence


# Not sent


def test_a_request_that_was_not_sent_does_not_count_as_call_or_try() -> None:
    after = not_sent_settled(SENT).ledger
    call, reminder = after.calls["call-1"], after.reminders["reminder-1"]
    assert (call.state, call.requests, call.error) == (CallState.NOT_PLACED, 0, "not sent: stopping")
    assert (reminder.status, reminder.wake_at, reminder.tries) == (Status.SCHEDULED, NOW, 0)
    assert reminder.hold_code is HoldCode.NOT_SENT


def test_a_reminder_not_sent_because_of_an_opt_out_is_cancelled() -> None:
    out = evolve(SENT, opted_out=frozenset({DIALING.phone_number}))
    reminder = not_sent_settled(out, "opted out").ledger.reminders["reminder-1"]
    assert (reminder.status, reminder.end_code) == (Status.CANCELLED, EndCode.OPTED_OUT)


def test_a_resend_that_was_not_sent_leaves_the_call_unconfirmed() -> None:
    transition = not_sent_settled(AGAIN, action=RESEND)
    call = transition.ledger.calls["call-1"]
    assert (call.state, call.requests, call.lease_token) == (CallState.UNCONFIRMED, 1, None)
    assert call.wake_at == NOW + RULES.backoff.first
    assert "not sent again" in transition.lines[0].text


def test_a_process_without_the_lease_only_closes_a_call_nobody_works_on() -> None:
    lost = a_ledger(a_reminder(Status.PROCESSING), a_call(CallState.UNCONFIRMED))
    free = not_sent_settled(lost, action=an_action(SENT)).ledger
    assert free.calls["call-1"].state is CallState.NOT_PLACED
    taken = a_ledger(a_reminder(Status.PROCESSING), a_call(CallState.UNCONFIRMED, lease_token="another", requests=2))
    assert not_sent_settled(taken, action=an_action(SENT)).ledger.calls["call-1"].state is CallState.UNCONFIRMED
    placed = a_ledger(a_reminder(Status.PROCESSING), a_call(CallState.PLACED))
    assert not_sent_settled(placed, action=an_action(SENT)).ledger.calls["call-1"].state is CallState.PLACED


# Answers to the only request


def test_an_accepted_call_waits_for_a_report_until_the_outcome_timeout() -> None:
    transition = answer_settled(SENT, Accepted("ext-1"))
    call, reminder = transition.ledger.calls["call-1"], transition.ledger.reminders["reminder-1"]
    assert (call.state, call.status, call.external_call_id) == (CallState.PLACED, "queued", "ext-1")
    assert (call.wake_at, call.lease_token, call.evidence) == (NOW + RULES.outcome_timeout, None, True)
    assert (reminder.status, reminder.wake_at) == (Status.PROCESSING, None)
    assert [line.text for line in transition.lines] == ["the provider accepted the call"]


def test_an_acceptance_never_ends_a_call() -> None:
    assert answer_settled(SENT, Accepted("ext-1", "completed")).ledger.calls["call-1"].status == "queued"
    assert answer_settled(SENT, Accepted("ext-1", "ringing")).ledger.calls["call-1"].status == "ringing"


def test_a_permanent_refusal_fails_the_reminder_with_the_providers_reason() -> None:
    transition = answer_settled(SENT, Refused("a wrong number"))
    reminder = transition.ledger.reminders["reminder-1"]
    assert transition.ledger.calls["call-1"].state is CallState.REFUSED
    assert (reminder.status, reminder.end_code, reminder.last_error) == (
        Status.FAILED,
        EndCode.REFUSED,
        "a wrong number",
    )
    assert transition.lines[0].level is Level.ERROR


def test_an_unclear_answer_leaves_the_call_unconfirmed_and_waits_for_a_webhook() -> None:
    after = answer_settled(SENT, Unclear("timeout")).ledger
    call = after.calls["call-1"]
    assert (call.state, call.error, call.lease_token) == (CallState.UNCONFIRMED, "timeout", None)
    assert call.wake_at == NOW + RULES.confirm_after
    assert after.reminders["reminder-1"].status is Status.PROCESSING
    cancelled = a_ledger(evolve(DIALING, status=Status.CANCELLED), CLAIMED)
    assert answer_settled(cancelled, Unclear("timeout")).ledger.reminders["reminder-1"].status is Status.CANCELLED


def test_not_placed_is_tried_again_with_backoff_and_counts_as_a_try() -> None:
    reminder = answer_settled(SENT, NotPlaced("503")).ledger.reminders["reminder-1"]
    assert (reminder.status, reminder.tries, reminder.hold_code) == (Status.SCHEDULED, 1, HoldCode.NOT_PLACED)
    assert reminder.retry_at == reminder.wake_at == NOW + RULES.backoff.full_jitter(1, 0.5)


def test_retry_after_is_honored() -> None:
    assert (
        answer_settled(SENT, NotPlaced("429", retry_after=HOUR)).ledger.reminders["reminder-1"].retry_at == NOW + HOUR
    )


def test_not_placed_is_tried_max_tries_times() -> None:
    last = a_ledger(evolve(DIALING, tries=RULES.max_tries - 1), CLAIMED)
    reminder = answer_settled(last, NotPlaced("503")).ledger.reminders["reminder-1"]
    assert (reminder.status, reminder.end_code) == (Status.FAILED, EndCode.NOT_PLACED)
    assert reminder.last_error == f"not placed after {RULES.max_tries} tries (503)"


def test_not_placed_costs_no_try_while_the_provider_is_failing() -> None:
    last = a_ledger(evolve(DIALING, tries=RULES.max_tries - 1), CLAIMED)
    reminder = answer_settled(last, NotPlaced("503"), counts=False).ledger.reminders["reminder-1"]
    assert (reminder.status, reminder.tries) == (Status.SCHEDULED, RULES.max_tries - 1)


def test_a_number_our_account_may_not_call_waits_the_maximum_backoff_at_once() -> None:
    reminder = answer_settled(SENT, NOT_ALLOWED, counts=False).ledger.reminders["reminder-1"]
    assert (reminder.status, reminder.hold_code) == (Status.SCHEDULED, HoldCode.NOT_PLACED)
    assert reminder.retry_at == NOW + 0.75 * RULES.backoff.maximum


def test_uncounted_refusals_use_up_no_tries() -> None:
    ledger = SENT
    for _ in range(RULES.max_tries):
        held = answer_settled(ledger, NOT_ALLOWED, counts=False).ledger.reminders["reminder-1"]
        ledger = a_ledger(evolve(DIALING, tries=held.tries), CLAIMED)
    counted = answer_settled(ledger, NOT_ALLOWED).ledger.reminders["reminder-1"]
    assert (counted.status, counted.tries) == (Status.SCHEDULED, 1)


def test_a_number_refused_while_others_are_accepted_fails_with_the_reason() -> None:
    last = a_ledger(evolve(DIALING, tries=RULES.max_tries - 1), CLAIMED)
    held = answer_settled(last, NOT_ALLOWED, counts=False).ledger.reminders["reminder-1"]
    assert held.status is Status.SCHEDULED, "nobody else was accepted: it may be our account"
    failed = answer_settled(last, NOT_ALLOWED).ledger.reminders["reminder-1"]
    assert (failed.status, failed.end_code) == (Status.FAILED, EndCode.NOT_PLACED)
    assert failed.last_error == f"not placed after {RULES.max_tries} tries (no calls to this country)"


def test_an_account_error_costs_the_reminder_no_try() -> None:
    reminder = answer_settled(SENT, AccountRefused("401")).ledger.reminders["reminder-1"]
    assert (reminder.status, reminder.tries, reminder.wake_at) == (Status.SCHEDULED, 0, NOW)
    assert (reminder.hold_code, reminder.last_error) == (
        HoldCode.ACCOUNT,
        "the provider refuses us (401); will be tried again",
    )


# Late answers, and answers to one of several requests


@pytest.mark.parametrize("answer", NOT_TAKEN)
def test_the_answer_to_the_only_request_closes_the_call_regardless_of_the_lease(answer: PlacingAnswer) -> None:
    late = a_ledger(a_reminder(Status.PROCESSING), a_call(CallState.UNCONFIRMED, lease_token="another"))
    assert not answer_settled(late, answer, action=an_action(SENT)).ledger.calls["call-1"].state.alive
    final = a_ledger(a_reminder(Status.CANCELLED), CLAIMED)
    transition = answer_settled(final, answer)
    assert transition.ledger.reminders["reminder-1"].status is Status.CANCELLED
    assert "the call is" in transition.lines[0].text


@pytest.mark.parametrize("answer", NOT_TAKEN)
def test_the_answer_to_one_of_several_requests_does_not_close_the_call(answer: PlacingAnswer) -> None:
    after = answer_settled(AGAIN, answer, action=RESEND).ledger.calls["call-1"]
    assert (after.state, after.lease_token) == (CallState.UNCONFIRMED, None)
    assert after.wake_at is not None
    first = answer_settled(AGAIN, answer, action=an_action(SENT)).ledger.calls["call-1"]
    assert first.state is CallState.UNCONFIRMED
    lost = a_ledger(a_reminder(Status.PROCESSING), a_call(CallState.UNCONFIRMED, requests=2, lease_token="another"))
    assert answer_settled(lost, answer, action=RESEND).ledger == lost


def test_a_resend_honors_retry_after() -> None:
    later = answer_settled(AGAIN, NotPlaced("429", retry_after=HOUR), action=RESEND).ledger.calls["call-1"]
    assert later.wake_at == NOW + HOUR


@pytest.mark.parametrize("answer", [*NOT_TAKEN, Unclear("timeout")])
def test_an_answer_never_closes_a_call_with_evidence(answer: PlacingAnswer) -> None:
    unconfirmed = a_call(CallState.UNCONFIRMED, evidence=True, lease_token="lease-1")
    for call in (a_call(CallState.PLACED), a_call(CallState.ENDED), unconfirmed):
        ledger = a_ledger(a_reminder(Status.PROCESSING), call)
        assert answer_settled(ledger, answer, action=an_action(SENT)).ledger == ledger


def test_a_late_unclear_answer_changes_nothing() -> None:
    late = a_ledger(a_reminder(Status.PROCESSING), a_call(CallState.UNCONFIRMED, lease_token="another"))
    assert answer_settled(late, Unclear("timeout"), action=an_action(SENT)).ledger == late


def test_a_late_acceptance_reopens_the_call_regardless_of_the_lease() -> None:
    closed = a_ledger(a_reminder(), a_call(CallState.NOT_PLACED))
    transition = answer_settled(closed, Accepted("ext-1"), action=an_action(SENT))
    assert transition.ledger.calls["call-1"].state is CallState.PLACED
    assert transition.ledger.reminders["reminder-1"].status is Status.PROCESSING
    assert "the call was not placed, and is under way again" in transition.lines[0].text
