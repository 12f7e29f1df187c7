from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, AccountTrouble, Answer, NotPlaced, Refused, Unclear
from reminderd.core.lifecycle import Level
from reminderd.core.reminder import Status
from tests.support.nouns import MINUTE, NOW, RULES, SECOND, TOKEN, a_call, a_reminder, a_report, replied, told, unsent

ACCEPTED = Accepted("ext-1")
REFUSED = Refused("no such number")
NOT_PLACED = NotPlaced("connection refused")
ACCOUNT = AccountTrouble("unauthorised")
UNCLEAR = Unclear("timeout")
NO_ACCEPTANCE: list[Answer] = [REFUSED, NOT_PLACED, ACCOUNT, UNCLEAR]
DIALING = a_reminder(Status.DIALING, lease_token=TOKEN, wake_at=NOW + RULES.lease)
RESENDING = a_reminder(Status.PROCESSING, lease_token=TOKEN, wake_at=NOW + RULES.lease)
TAKEN_OVER = a_reminder(Status.PROCESSING, lease_token="another's", wake_at=NOW + MINUTE)


def test_accepted_waits_for_a_report_until_the_outcome_timeout() -> None:
    step = replied(DIALING, a_call(), ACCEPTED)
    assert (step.reminder.status, step.reminder.lease_token) == (Status.PROCESSING, None)
    assert step.reminder.wake_at == NOW + RULES.outcome_timeout
    assert step.reminder.external_call_id == "ext-1"
    assert step.call is not None
    assert (step.call.status, step.call.external_call_id) == ("queued", "ext-1")
    assert step.notes[-1].text == "accepted"


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("ringing", "ringing"),
        ("in-progress", "in-progress"),
        ("completed", "queued"),  # an end is only believed from a report
        ("on-hold", "queued"),
    ],
)
def test_an_acceptance_is_never_more_than_progress(word: str, kept: str) -> None:
    step = replied(DIALING, a_call(), Accepted("ext-1", word))
    assert (step.reminder.status, step.calls[0].status) == (Status.PROCESSING, kept)


def test_refused_for_good_fails_with_the_providers_reason() -> None:
    step = replied(DIALING, a_call(), REFUSED)
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, "no such number")
    assert (step.reminder.wake_at, step.reminder.lease_token) == (None, None)
    assert (step.calls[0].status, step.calls[0].error) == ("refused", "no such number")


def test_unclear_is_unconfirmed_and_waits_for_a_webhook_first() -> None:
    step = replied(DIALING, a_call(), UNCLEAR)
    assert (step.reminder.status, step.reminder.lease_token) == (Status.PROCESSING, None)
    assert step.reminder.wake_at == NOW + RULES.confirm_after
    assert (step.calls[0].status, step.calls[0].error) == ("unconfirmed", "timeout")


def test_not_placed_is_scheduled_again_with_backoff_and_the_same_call() -> None:
    step = replied(DIALING, a_call(tries=3), NOT_PLACED, draw=0.5)
    assert (step.reminder.status, step.reminder.lease_token) == (Status.SCHEDULED, None)
    assert step.reminder.wake_at == NOW + 2 * SECOND  # half of the third pause, 4 s
    assert step.reminder.hold_reason == "not placed: connection refused"
    assert [(call.id, call.status, call.tries) for call in step.calls] == [("call-1", "not-placed", 3)]


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [(timedelta(seconds=90), timedelta(seconds=90)), (timedelta(0), timedelta(seconds=0.5))],
    ids=["longer than our own pause", "shorter"],
)
def test_retry_after_is_honoured(retry_after: timedelta, wait: timedelta) -> None:
    step = replied(DIALING, a_call(), NotPlaced("busy", retry_after))
    assert step.reminder.wake_at == NOW + wait


@pytest.mark.parametrize(("tries", "after"), [(19, Status.SCHEDULED), (20, Status.FAILED)])
def test_not_placed_is_tried_max_tries_times(tries: int, after: Status) -> None:
    step = replied(DIALING, a_call(tries=tries), NOT_PLACED)
    assert (step.reminder.status, step.calls[0].status) == (after, "not-placed")
    if after is Status.FAILED:
        assert step.reminder.last_error == "not placed after 20 tries: connection refused"


def test_while_the_provider_is_in_trouble_not_placed_costs_no_try() -> None:
    step = replied(DIALING, a_call(tries=20), NOT_PLACED, burns_try=False)
    assert (step.reminder.status, step.calls[0].tries) == (Status.SCHEDULED, 19)


def test_trouble_with_our_account_is_no_matter_of_this_patient() -> None:
    step = replied(DIALING, a_call(tries=20), ACCOUNT)
    assert (step.reminder.status, step.reminder.wake_at) == (Status.SCHEDULED, NOW)
    assert step.reminder.hold_reason == "the provider refuses us: unauthorised"
    assert (step.calls[0].status, step.calls[0].tries) == ("not-placed", 19)


def test_an_accepted_resend_ends_the_doubt() -> None:
    step = replied(RESENDING, a_call("unconfirmed", tries=2), ACCEPTED)
    assert (step.reminder.status, step.reminder.lease_token) == (Status.PROCESSING, None)
    assert step.reminder.wake_at == NOW + RULES.outcome_timeout
    assert (step.calls[0].status, step.calls[0].external_call_id) == ("queued", "ext-1")


@pytest.mark.parametrize("answer", NO_ACCEPTANCE, ids=lambda answer: type(answer).__name__)
def test_any_other_answer_to_a_resend_leaves_the_call_unconfirmed(answer: Answer) -> None:
    step = replied(RESENDING, a_call("unconfirmed", tries=3), answer, draw=0.5)
    assert (step.reminder.status, step.reminder.lease_token) == (Status.PROCESSING, None)
    assert step.calls[0].status == "unconfirmed"
    assert step.reminder.wake_at == NOW + 3 * SECOND  # three quarters of the third pause, 4 s


def test_a_resend_honours_retry_after() -> None:
    step = replied(RESENDING, a_call("unconfirmed", tries=2), NotPlaced("busy", 90 * SECOND))
    assert step.reminder.wake_at == NOW + 90 * SECOND


@pytest.mark.parametrize(
    ("answer", "burns_try", "tries"),
    [
        (NOT_PLACED, True, 2),
        (NOT_PLACED, False, 1),
        (REFUSED, False, 1),
        (ACCOUNT, True, 1),
        (UNCLEAR, True, 2),
        (UNCLEAR, False, 2),  # it may have been taken, so that it must stay counted
    ],
)
def test_which_resends_count_as_tries(answer: Answer, tries: int, *, burns_try: bool) -> None:
    step = replied(RESENDING, a_call("unconfirmed", tries=2), answer, burns_try=burns_try)
    assert step.calls[0].tries == tries


def test_a_late_not_placed_proves_nothing_once_an_unclear_resend_went_out() -> None:
    resent = replied(RESENDING, a_call("unconfirmed", tries=2), UNCLEAR, burns_try=False)
    late = replied(resent.reminder, resent.calls[0], NOT_PLACED, token="the first one's", tries=1, resend=False)
    assert late.calls[0].status == "unconfirmed"


@pytest.mark.parametrize(
    ("answer", "after"),
    [(REFUSED, "refused"), (NOT_PLACED, "not-placed"), (ACCOUNT, "not-placed"), (UNCLEAR, "unconfirmed")],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
@pytest.mark.parametrize("status", ["dialing", "unconfirmed"])
def test_a_late_answer_is_kept_on_its_call_only(answer: Answer, after: str, status: str) -> None:
    step = replied(TAKEN_OVER, a_call(status), answer, resend=False)
    assert step.reminder == TAKEN_OVER
    assert step.calls[0].status == after


@pytest.mark.parametrize(
    ("of_call", "changes"),
    [({}, {"tries": 1}), ({}, {"resend": True}), ({"checks": 4, "not_found": 4}, {})],
    ids=["another request went out since", "it was itself not the first", "look-ups have missed the first"],
)
@pytest.mark.parametrize("answer", NO_ACCEPTANCE, ids=lambda answer: type(answer).__name__)
def test_a_late_answer_that_speaks_of_one_request_of_several_proves_nothing(
    answer: Answer, of_call: dict[str, Any], changes: dict[str, Any]
) -> None:
    call = a_call("unconfirmed", tries=2, **of_call)
    step = replied(TAKEN_OVER, call, answer, **({"resend": False} | changes))
    assert (step.reminder, step.calls) == (TAKEN_OVER, (call,))


def test_a_late_acceptance_is_evidence_whoever_holds_the_lease() -> None:
    step = replied(TAKEN_OVER, a_call("unconfirmed"), ACCEPTED, resend=False)
    assert (step.reminder.status, step.reminder.lease_token) == (Status.PROCESSING, None)
    assert (step.calls[0].status, step.calls[0].external_call_id) == ("queued", "ext-1")


def test_a_late_acceptance_of_a_call_declared_not_placed_opens_it_again() -> None:
    step = replied(a_reminder(attempts=1), a_call("not-placed"), ACCEPTED)
    assert (step.reminder.status, step.calls[0].status) == (Status.PROCESSING, "queued")


def test_a_late_acceptance_leaves_a_newer_call_alone() -> None:
    old = a_call("unreported")
    reminder = evolve(DIALING, lease_token="the new call's")
    step = replied(reminder, old, ACCEPTED, older=(a_call(id="call-2", attempt=2),))
    assert step.reminder == reminder
    assert {call.id: call.status for call in step.calls} == {"call-2": "dialing", "call-1": "unreported"}


@pytest.mark.parametrize("answer", [ACCEPTED, *NO_ACCEPTANCE], ids=lambda answer: type(answer).__name__)
def test_an_answer_after_the_calls_reported_end_changes_no_state(answer: Answer) -> None:
    early = told(DIALING, a_call(), report=a_report("busy"))
    step = replied(early.reminder, early.calls[0], answer)
    assert step.reminder == early.reminder
    assert step.calls == early.calls


@pytest.mark.parametrize("answer", NO_ACCEPTANCE, ids=lambda answer: type(answer).__name__)
def test_an_answer_for_a_call_that_another_program_has_closed_changes_nothing_even_under_its_token(
    answer: Answer,
) -> None:
    closed = a_call("completed")
    step = replied(DIALING, closed, answer)
    assert (step.reminder, step.calls) == (DIALING, (closed,))


@pytest.mark.parametrize(
    ("answer", "status", "asleep"),
    [
        (ACCEPTED, "queued", False),
        (UNCLEAR, "unconfirmed", False),
        (NOT_PLACED, "not-placed", True),
        (REFUSED, "refused", True),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str | bool) else str(value),
)
def test_a_reminder_cancelled_while_its_request_was_out_stays_cancelled(
    answer: Answer, status: str, *, asleep: bool
) -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW, last_error="cancelled by staff")
    step = replied(gone, a_call(), answer)
    assert (step.reminder.status, step.reminder.last_error) == (Status.CANCELLED, "cancelled by staff")
    assert step.calls[0].status == status
    assert (step.reminder.wake_at is None) is asleep


def test_a_final_reminder_is_not_revived_by_an_answer_even_under_its_token() -> None:
    checked = a_reminder(Status.CANCELLED, wake_at=NOW, last_error="cancelled by staff", lease_token=TOKEN)
    step = replied(checked, a_call(), NOT_PLACED)
    assert (step.reminder.status, step.reminder.wake_at) == (Status.CANCELLED, None)


def test_an_id_that_is_another_calls_is_not_stored_again() -> None:
    step = replied(DIALING, a_call(), ACCEPTED, id_taken=True)
    assert (step.reminder.status, step.calls[0].status) == (Status.PROCESSING, "queued")
    assert step.calls[0].external_call_id is None
    assert [note.level for note in step.notes] == [Level.ERROR, Level.INFO]


def test_a_request_that_was_not_sent_is_scheduled_again_and_costs_no_try() -> None:
    step = unsent(DIALING, a_call(tries=2), "stopping")
    assert (step.reminder.status, step.reminder.wake_at) == (Status.SCHEDULED, NOW)
    assert (step.reminder.lease_token, step.reminder.hold_reason) == (None, "stopping")
    assert (step.calls[0].status, step.calls[0].tries) == ("not-placed", 1)


def test_a_request_not_sent_because_of_an_opt_out_cancels_the_reminder() -> None:
    step = unsent(DIALING, a_call(), "opted out", opted_out=True)
    assert (step.reminder.status, step.reminder.last_error) == (Status.CANCELLED, "opted out")
    assert (step.reminder.wake_at, step.calls[0].status) == (None, "not-placed")


@pytest.mark.parametrize("opted_out", [True, False])
def test_a_resend_that_was_not_sent_leaves_the_first_request_in_doubt(*, opted_out: bool) -> None:
    step = unsent(RESENDING, a_call("unconfirmed", tries=2), opted_out=opted_out)
    assert (step.reminder.status, step.reminder.lease_token) == (Status.PROCESSING, None)
    assert step.reminder.wake_at == NOW
    assert (step.calls[0].status, step.calls[0].tries) == ("unconfirmed", 1)


def test_not_sent_for_a_lost_token_marks_only_the_call() -> None:
    step = unsent(TAKEN_OVER, a_call("unconfirmed"), "the lease was lost", resend=False)
    assert step.reminder == TAKEN_OVER
    assert step.calls[0].status == "not-placed"


@pytest.mark.parametrize(
    ("call", "changes"),
    [
        (a_call("unconfirmed", tries=2), {"tries": 1, "resend": False}),
        (a_call("unconfirmed", tries=2), {"resend": True}),
        (a_call("unconfirmed", tries=2, checks=4, not_found=4), {"resend": False}),
        (a_call("queued"), {}),
    ],
    ids=["another request went out", "it was a resend", "look-ups missed an earlier one", "it was placed by another"],
)
def test_not_sent_for_a_lost_token_proves_nothing_about_others_requests(call: Any, changes: dict[str, Any]) -> None:
    step = unsent(TAKEN_OVER, call, "the lease was lost", **changes)
    assert (step.reminder, step.calls) == (TAKEN_OVER, (call,))


def test_not_sent_for_a_final_reminder_leaves_it_final() -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW, last_error="cancelled by staff")
    step = unsent(gone, a_call(), "the reminder is cancelled")
    assert (step.reminder.status, step.reminder.wake_at) == (Status.CANCELLED, None)
    assert step.calls[0].status == "not-placed"


@pytest.mark.parametrize("ring_again", [False, True])
@pytest.mark.parametrize(
    ("answer", "tries"), [(REFUSED, 2), (NOT_PLACED, RULES.max_tries)], ids=["refused", "no tries"]
)
def test_where_the_key_is_of_no_more_use_a_call_that_look_ups_missed_is_in_doubt_again(
    answer: Answer, tries: int, *, ring_again: bool
) -> None:
    rules = evolve(RULES, ring_again_when_unsure=ring_again)
    step = replied(DIALING, a_call(checks=4, not_found=4, tries=tries), answer, rules=rules)
    assert step.calls[0].status == "unreported"
    assert step.reminder.status is (Status.SCHEDULED if ring_again else Status.FAILED)
    assert step.reminder.last_error == (None if ring_again else "unconfirmed, ring by hand")
