from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Candidates, Finding, Found, NoAnswer, NotFound
from reminderd.core.lifecycle import Level, chosen
from reminderd.core.lifecycle.check import NO_REPORT, RING_BY_HAND
from reminderd.core.reminder import Status
from tests.support.nouns import (
    BOTH,
    DROP,
    HOUR,
    KEY,
    LOOK_UP,
    MINUTE,
    NOW,
    RULES,
    TOKEN,
    a_call,
    a_reminder,
    a_report,
    able,
    asked,
)

CHECKING = a_reminder(Status.PROCESSING, lease_token=TOKEN, wake_at=NOW + RULES.lease)
TAKEN_OVER = evolve(CHECKING, lease_token="another's")
NONE: Finding = NotFound()
SILENCE: Finding = NoAnswer("timeout")
LAST = 3


def found(status: str, **changes: Any) -> Found:
    """A look-up's report: it need not repeat what it was asked with."""
    return Found(a_report(status, **({"reminder_id": None, "attempt_id": None} | changes)))


def test_a_call_that_is_found_is_adopted_with_its_id() -> None:
    step = asked(CHECKING, a_call("unconfirmed", checks=3, not_found=3), found("ringing"))
    assert (step.reminder.status, step.reminder.lease_token) == (Status.PROCESSING, None)
    assert step.reminder.wake_at == NOW + RULES.outcome_timeout
    assert (step.calls[0].status, step.calls[0].external_call_id) == ("ringing", "ext-1")
    assert (step.calls[0].checks, step.calls[0].not_found) == (0, 0), "the checks of an accepted call are counted anew"


@pytest.mark.parametrize(
    ("word", "after"), [("completed", Status.CALLED), ("busy", Status.SCHEDULED), ("failed", Status.FAILED)]
)
@pytest.mark.parametrize("status", ["unconfirmed", "ringing"])
def test_a_call_that_has_ended_is_settled_as_if_reported(word: str, after: Status, status: str) -> None:
    step = asked(CHECKING, a_call(status), found(word, transcript="Yes"))
    assert (step.reminder.status, step.reminder.lease_token) == (after, None)
    assert (step.calls[0].status, step.calls[0].received_at, step.calls[0].transcript) == (word, NOW, "Yes")


def test_a_call_that_still_rings_is_asked_about_again_later() -> None:
    step = asked(CHECKING, a_call("ringing", checks=4), found("ringing"))
    assert (step.reminder.wake_at, step.reminder.lease_token) == (NOW + RULES.outcome_timeout, None)
    assert step.calls[0].checks == 5


def test_what_was_found_counts_whoever_holds_the_lease_by_now() -> None:
    step = asked(TAKEN_OVER, a_call("unconfirmed"), found("completed"))
    assert step.reminder.status is Status.CALLED


def test_what_was_found_after_the_webhook_is_a_repeat() -> None:
    called = a_reminder(Status.CALLED)
    call = a_call("completed", received_at=NOW - MINUTE, external_call_id="ext-1")
    step = asked(called, call, found("completed", transcript="Yes"))
    assert (step.duplicate, step.reminder) == (True, called)
    assert (step.calls[0].transcript, step.calls[0].received_at) == ("Yes", NOW - MINUTE)


def test_a_call_whose_id_is_anothers_is_not_adopted() -> None:
    step = asked(CHECKING, a_call("unconfirmed"), found("completed"), id_taken=True)
    assert (step.reminder.status, step.calls[0].status) == (Status.PROCESSING, "unconfirmed")
    assert (step.reminder.wake_at, step.calls[0].checks) == (NOW + RULES.confirm_after, 1)


@pytest.mark.parametrize("finding", [NONE, SILENCE], ids=["none", "no answer"])
@pytest.mark.parametrize("status", ["unconfirmed", "queued"])
def test_finding_nothing_is_asked_again_after_a_while(finding: Finding, status: str) -> None:
    step = asked(CHECKING, a_call(status), finding, rules=able(BOTH))
    assert (step.reminder.status, step.reminder.lease_token) == (Status.PROCESSING, None)
    assert step.reminder.wake_at == NOW + RULES.confirm_after
    assert (step.calls[0].status, step.calls[0].checks) == (status, 1)
    assert step.notes[0].level is Level.WARNING


@pytest.mark.parametrize(
    ("capabilities", "age"),
    [(LOOK_UP, 0 * HOUR), (BOTH, BOTH.key_lifetime), (evolve(BOTH, honours_key=False), 0 * HOUR)],
    ids=["no key", "key too old", "key not honoured"],
)
def test_missing_four_times_proves_nothing_without_an_honoured_key(capabilities: Any, age: Any) -> None:
    call = a_call("unconfirmed", checks=LAST, not_found=LAST, created_at=NOW - age)
    step = asked(CHECKING, call, NONE, rules=able(capabilities))
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, RING_BY_HAND)
    assert step.calls[0].status == "unreported"


def test_missing_four_times_proves_nothing_about_another_providers_call() -> None:
    call = a_call("unconfirmed", checks=LAST, not_found=LAST, provider="twilio")
    assert asked(CHECKING, call, NONE, rules=able(BOTH)).calls[0].status == "unreported"


def test_missing_four_times_together_with_an_honoured_key_means_not_placed() -> None:
    step = asked(CHECKING, a_call("unconfirmed", checks=LAST, not_found=LAST), NONE, rules=able(BOTH))
    assert (step.reminder.status, step.reminder.wake_at) == (Status.SCHEDULED, NOW)
    assert step.reminder.lease_token is None
    assert [(call.id, call.status) for call in step.calls] == [("call-1", "not-placed")]


def test_look_ups_that_failed_do_not_count_as_having_missed_the_call() -> None:
    call = a_call("unconfirmed", checks=LAST, not_found=LAST - 1)
    step = asked(CHECKING, call, NONE, rules=able(BOTH))
    assert (step.reminder.status, step.reminder.wake_at) == (Status.PROCESSING, NOW + RULES.confirm_after)
    step = asked(CHECKING, a_call("unconfirmed", checks=LAST, not_found=LAST), SILENCE, rules=able(BOTH))
    assert (step.calls[0].status, step.calls[0].checks, step.calls[0].not_found) == ("unconfirmed", LAST + 1, LAST)


@pytest.mark.parametrize(("status", "finding"), [("unconfirmed", SILENCE), ("queued", NONE)], ids=["an error", "none"])
def test_a_call_once_found_missing_and_sent_again_is_not_easily_taken_for_unplaced(
    status: str, finding: Finding
) -> None:
    """Its count of misses is full already: an error is still no miss, and an accepted call is known to be there."""
    call = a_call(status, checks=LAST + 1, not_found=LAST + 1, tries=2)
    step = asked(CHECKING, call, finding, rules=able(BOTH))
    assert (step.reminder.status, step.calls[0].status) == (Status.PROCESSING, status)


def test_missing_with_no_try_left_is_for_staff_as_nothing_more_can_be_sent_under_the_key() -> None:
    step = asked(CHECKING, a_call("unconfirmed", checks=LAST, not_found=LAST, tries=20), NONE, rules=able(BOTH))
    assert (step.reminder.status, step.calls[0].status) == (Status.FAILED, "unreported")
    assert step.reminder.last_error == "unconfirmed, ring by hand"
    assert step.notes[0].level is Level.ERROR


def test_missing_for_a_final_reminder_only_closes_the_call() -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW, last_error="cancelled by staff", lease_token=TOKEN)
    step = asked(gone, a_call("unconfirmed", checks=LAST, not_found=LAST), NONE, rules=able(BOTH))
    assert (step.reminder.status, step.reminder.wake_at) == (Status.CANCELLED, None)
    assert step.calls[0].status == "not-placed"


@pytest.mark.parametrize("capabilities", [LOOK_UP, BOTH, KEY], ids=["look-up", "both", "key"])
def test_an_error_proves_nothing_however_often_it_comes(capabilities: Any) -> None:
    step = asked(CHECKING, a_call("unconfirmed", checks=9), SILENCE, rules=able(capabilities))
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, RING_BY_HAND)
    assert step.calls[0].status == "unreported"


@pytest.mark.parametrize("finding", [NONE, SILENCE], ids=["404", "error"])
def test_a_404_or_an_error_proves_nothing_about_a_call_that_was_accepted(finding: Finding) -> None:
    step = asked(CHECKING, a_call("ringing", checks=9), finding, rules=able(BOTH))
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, NO_REPORT)
    assert step.calls[0].status == "unreported"


@pytest.mark.parametrize("finding", [NONE, SILENCE], ids=["none", "no answer"])
def test_finding_nothing_changes_nothing_once_the_lease_is_lost(finding: Finding) -> None:
    call = a_call("unconfirmed", checks=10)
    step = asked(TAKEN_OVER, call, finding, rules=able(BOTH))
    assert (step.reminder, step.calls) == (TAKEN_OVER, (call,))


def test_finding_nothing_changes_nothing_once_the_call_is_closed() -> None:
    call = a_call("not-placed", checks=10)
    step = asked(CHECKING, call, NONE, rules=able(BOTH))
    assert (step.reminder, step.calls) == (CHECKING, (call,))


# A provider that repeats no id of ours names candidates


def candidates(*ids: str) -> Candidates:
    return Candidates(tuple(a_report("ringing", external_call_id=name, attempt_id=None) for name in ids))


@pytest.mark.parametrize(
    ("ids", "taken"),
    [(["a"], []), (["a", "b"], ["b"]), (["b", "a", "c"], ["b", "c"])],
    ids=["the only one", "one is taken", "two are taken"],
)
def test_exactly_one_that_is_no_other_calls_is_the_one_that_was_meant(ids: list[str], taken: list[str]) -> None:
    found_one = chosen(candidates(*ids), a_call("unconfirmed"), taken=frozenset(taken))
    assert isinstance(found_one, Found)
    assert found_one.report.external_call_id == "a"


@pytest.mark.parametrize(("ids", "taken"), [([], []), (["a", "b"], ["a", "b"])], ids=["none", "all are taken"])
def test_if_there_is_none_the_call_is_missing(ids: list[str], taken: list[str]) -> None:
    assert chosen(candidates(*ids), a_call("unconfirmed"), taken=frozenset(taken)) == NotFound()


def test_of_several_none_is_taken_as_a_guess() -> None:
    finding = chosen(candidates("a", "b", "c"), a_call("unconfirmed"), taken=frozenset({"c"}))
    assert isinstance(finding, NoAnswer)
    step = asked(CHECKING, a_call("unconfirmed"), finding)
    assert (step.calls[0].status, step.calls[0].checks, step.calls[0].not_found) == ("unconfirmed", 1, 0)


def test_once_a_webhook_has_told_its_id_no_other_call_is_meant() -> None:
    call = a_call("ringing", external_call_id="a")
    assert chosen(candidates("b"), call, taken=frozenset()) == NotFound()
    finding = chosen(candidates("b", "a"), call, taken=frozenset())
    assert isinstance(finding, Found)
    assert finding.report.external_call_id == "a"


# What asking to drop it came to


@pytest.mark.parametrize("word", ["canceled", "busy", "completed"])
def test_a_dropped_call_is_settled_as_if_reported_and_its_reminder_stays_cancelled(word: str) -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW + MINUTE, lease_token=TOKEN, last_error="cancelled by staff")
    step = asked(gone, a_call("ringing", external_call_id="ext-1"), found(word), rules=able(DROP))
    assert (step.reminder.status, step.reminder.wake_at, step.reminder.lease_token) == (Status.CANCELLED, None, None)
    assert (step.reminder.last_error, step.calls[0].status) == ("cancelled by staff", word)


@pytest.mark.parametrize("finding", [NONE, SILENCE], ids=["404", "no answer"])
def test_a_drop_that_failed_is_tried_again_after_a_while(finding: Finding) -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW + MINUTE, lease_token=TOKEN, last_error="cancelled by staff")
    step = asked(gone, a_call("ringing", external_call_id="ext-1"), finding, rules=able(DROP))
    assert (step.reminder.wake_at, step.calls[0].checks) == (NOW + RULES.confirm_after, 1)


def test_a_drop_that_came_to_nothing_is_not_asked_for_again_at_once() -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW + MINUTE, lease_token=TOKEN, last_error="cancelled by staff")
    step = asked(gone, a_call("ringing", external_call_id="ext-1"), found("ringing"), rules=able(DROP))
    assert (step.reminder.wake_at, step.calls[0].checks) == (NOW + RULES.outcome_timeout, 1)
