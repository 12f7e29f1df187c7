from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Capabilities
from reminderd.core.lifecycle import Errand, Level, Surroundings
from reminderd.core.lifecycle.check import MOST_CHECKS, NO_REPORT, RING_BY_HAND
from reminderd.core.reminder import UNANSWERED, Call, Reminder, Status
from reminderd.core.rules import Rules
from tests.support.nouns import (
    BOTH,
    DROP,
    HOUR,
    KEY,
    LOOK_UP,
    MINUTE,
    NO_HOURS,
    NOW,
    RULES,
    SECOND,
    TOKEN,
    a_call,
    a_reminder,
    able,
    hours,
    woken,
)

WAITING = a_reminder(Status.PROCESSING)
UNSURE = a_call("unconfirmed")
RING_AGAIN = evolve(RULES, ring_again_when_unsure=True)


@pytest.mark.parametrize(
    ("capabilities", "errand"),
    [
        (KEY, Errand.RESEND),
        (BOTH, Errand.RESEND),
        (LOOK_UP, Errand.FIND),
        (Capabilities(), None),
        (evolve(KEY, honours_key=False), None),
    ],
    ids=["key", "key and look-up", "look-up", "neither", "a lifetime for keys that are not honoured"],
)
def test_an_unconfirmed_call_is_first_sent_again_then_looked_up_then_given_up(
    capabilities: Capabilities, errand: Errand | None
) -> None:
    step = woken(WAITING, UNSURE, rules=able(capabilities))
    assert step.errand is errand
    if errand is None:
        assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, RING_BY_HAND)
    else:
        assert (step.reminder.lease_token, step.reminder.wake_at) == (TOKEN, NOW + RULES.lease)
        assert step.reminder.status is Status.PROCESSING


def test_a_resend_is_the_same_call_and_counts_as_a_try() -> None:
    step = woken(WAITING, a_call("unconfirmed", tries=2), rules=able(KEY))
    assert step.claimed is not None
    assert step.claimed.resend
    assert [(call.id, call.status, call.tries) for call in step.calls] == [("call-1", "unconfirmed", 3)]


@pytest.mark.parametrize(
    ("reminder", "call", "around"),
    [
        ({}, {"created_at": NOW - KEY.key_lifetime}, Surroundings()),
        ({}, {"tries": 20}, Surroundings()),
        ({}, {"provider": "twilio"}, Surroundings()),
        ({"expires_at": NOW}, {}, Surroundings()),
        ({}, {}, Surroundings(opted_out=True)),
        ({"status": Status.CANCELLED, "wake_at": NOW}, {}, Surroundings()),
    ],
    ids=["key too old", "tries used up", "another provider's call", "expired", "opted out", "final"],
)
def test_it_is_not_sent_again(reminder: dict[str, Any], call: dict[str, Any], around: Surroundings) -> None:
    step = woken(evolve(WAITING, **reminder), a_call("unconfirmed", **call), around=around, rules=able(KEY))
    assert (step.errand, step.calls[0].status) == (None, "unreported")


@pytest.mark.parametrize(("capabilities", "errand"), [(KEY, None), (BOTH, Errand.FIND)])
def test_it_is_not_sent_again_to_a_number_that_was_reached_meanwhile_as_often_as_it_may_be(
    capabilities: Capabilities, errand: Errand | None
) -> None:
    step = woken(WAITING, UNSURE, around=Surroundings(number_free_from=NOW + HOUR), rules=able(capabilities))
    assert step.errand is errand
    assert (step.reminder.last_error == RING_BY_HAND) == (errand is None)


@pytest.mark.parametrize(
    ("around", "until"),
    [(Surroundings(dial_from=NOW + MINUTE), NOW + MINUTE), (Surroundings(dial_from=NOW), None)],
    ids=["no line, no token or a pause", "over by now"],
)
def test_pause_and_pacing_defer_a_resend(around: Surroundings, until: object) -> None:
    step = woken(WAITING, UNSURE, around=around, rules=able(BOTH))
    if until is None:
        assert step.errand is Errand.RESEND
        return
    assert (step.reminder.status, step.reminder.wake_at, step.reminder.lease_token) == (Status.PROCESSING, until, None)
    assert step.reminder.hold_reason == "unconfirmed, to be asked again"
    assert (step.errand, step.calls) == (None, (UNSURE,))


@pytest.mark.parametrize(
    ("limit", "key_lifetime", "deferred"),
    [(24 * HOUR, 23 * HOUR, True), (4 * HOUR, 23 * HOUR, False), (24 * HOUR, 4 * HOUR, False)],
    ids=["deferred to their start", "expired by then", "its key too old by then"],
)
def test_the_calling_hours_defer_a_resend(limit: timedelta, key_lifetime: timedelta, *, deferred: bool) -> None:
    rules = evolve(able(evolve(BOTH, key_lifetime=key_lifetime)), window=hours(14 * HOUR, 18 * HOUR))
    step = woken(evolve(WAITING, expires_at=NOW + limit), UNSURE, rules=rules)
    assert step.errand is (None if deferred else Errand.FIND)
    if deferred:
        assert step.reminder.wake_at == NOW + 4 * HOUR


def test_a_resend_is_passed_over_if_there_are_no_calling_hours() -> None:
    rules = evolve(able(BOTH), window=NO_HOURS)
    assert woken(WAITING, UNSURE, rules=rules).errand is Errand.FIND


def test_a_call_of_another_provider_cannot_be_looked_up() -> None:
    step = woken(WAITING, a_call("queued", provider="twilio"), rules=able(LOOK_UP))
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, NO_REPORT)


@pytest.mark.parametrize(
    ("external_call_id", "errand"), [("ext-1", Errand.FETCH), (None, Errand.FIND)], ids=["its id", "ours"]
)
def test_a_silent_call_is_looked_up_by(external_call_id: str | None, errand: Errand) -> None:
    call = a_call("ringing", external_call_id=external_call_id)
    step = woken(WAITING, call, rules=able(LOOK_UP))
    assert (step.errand, step.call, step.calls) == (errand, call, (call,))
    assert (step.reminder.lease_token, step.reminder.wake_at) == (TOKEN, NOW + RULES.lease)


@pytest.mark.parametrize("rules", [RULES, RING_AGAIN], ids=["ask staff", "ring again"])
@pytest.mark.parametrize("checks", [0, 10], ids=["no look-up", "asked ten times"])
def test_a_call_that_was_accepted_and_never_reported_is_never_rung_again_by_itself(rules: Rules, checks: int) -> None:
    rules = evolve(rules, capabilities=LOOK_UP if checks else Capabilities())
    step = woken(WAITING, a_call("queued", external_call_id="ext-1", checks=checks), rules=rules)
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, NO_REPORT)
    assert (step.reminder.wake_at, step.errand) == (None, None)
    assert (step.calls[0].status, step.calls[0].error) == ("unreported", NO_REPORT)
    assert step.notes[0].level is Level.ERROR


def test_ask_staff_fails_and_says_so_as_an_error() -> None:
    step = woken(WAITING, UNSURE)
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, "unconfirmed, ring by hand")
    assert (step.calls[0].status, step.notes[0].level) == ("unreported", Level.ERROR)


def test_ring_again_schedules_it_at_once_and_closes_the_call_as_unreported() -> None:
    step = woken(WAITING, UNSURE, rules=RING_AGAIN)
    assert (step.reminder.status, step.reminder.wake_at) == (Status.SCHEDULED, NOW)
    assert (step.reminder.lease_token, step.reminder.last_error) == (None, None)
    assert step.calls[0].status == "unreported"
    assert step.notes[0].level is Level.WARNING


def test_ring_again_happens_once_a_reminder() -> None:
    first = woken(WAITING, UNSURE, rules=RING_AGAIN)
    second = evolve(UNSURE, id="call-2", attempt=2)
    step = woken(evolve(WAITING, attempts=2), *first.calls, second, rules=RING_AGAIN)
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, RING_BY_HAND)


def test_ring_again_does_not_exceed_the_calls_of_a_reminder() -> None:
    assert woken(evolve(WAITING, attempts=3), UNSURE, rules=RING_AGAIN).reminder.status is Status.FAILED


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.CALLED])
def test_the_open_call_of_a_final_reminder_is_still_checked(status: Status) -> None:
    call = a_call("ringing", external_call_id="ext-1")
    step = woken(a_reminder(status, wake_at=NOW), call, rules=able(LOOK_UP))
    assert (step.errand, step.reminder.status) == (Errand.FETCH, status)


@pytest.mark.parametrize("call", [UNSURE, a_call("ringing")], ids=["unconfirmed", "ringing"])
def test_and_closed_if_nothing_can_be_learned(call: Call) -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW, last_error="cancelled by staff")
    step = woken(gone, call, rules=RING_AGAIN)
    assert (step.reminder.status, step.reminder.last_error) == (Status.CANCELLED, "cancelled by staff")
    assert (step.reminder.wake_at, step.calls[0].status) == (None, "unreported")


def test_cancelled_while_dialing_its_call_waits_for_news_as_an_unconfirmed_one() -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW, last_error="cancelled by staff")
    step = woken(gone, a_call("dialing"), rules=able(BOTH))
    assert (step.reminder.wake_at, step.errand) == (NOW + RULES.confirm_after, None)
    assert step.calls[0].status == "unconfirmed"


def test_a_final_reminder_with_nothing_open_is_left_in_peace() -> None:
    step = woken(a_reminder(Status.FAILED, wake_at=NOW - SECOND, lease_token="old", last_error="x"), a_call("busy"))
    assert (step.reminder.status, step.reminder.wake_at, step.reminder.lease_token) == (Status.FAILED, None, None)


@pytest.mark.parametrize(
    ("call", "after", "reason"),
    [
        (None, Status.FAILED, "processing without any call of ours, ring by hand"),
        (a_call("not-placed"), Status.SCHEDULED, None),
        (a_call("refused", error="no such number"), Status.FAILED, "no such number"),
        (a_call("busy"), Status.FAILED, "the call ended: busy"),
        (a_call("completed"), Status.CALLED, None),
    ],
    ids=["no call", "not placed", "refused", "busy", "completed"],
)
def test_processing_without_an_open_call_becomes_what_its_newest_call_says(
    call: Call | None, after: Status, reason: str | None
) -> None:
    step = woken(evolve(WAITING, lease_token="old"), *(() if call is None else (call,)))
    assert (step.reminder.status, step.reminder.last_error) == (after, reason)
    assert (step.reminder.wake_at, step.reminder.lease_token) == (NOW if after is Status.SCHEDULED else None, None)


# A call that nobody wants any more

GONE = a_reminder(Status.CANCELLED, wake_at=NOW, last_error="cancelled by staff")
RINGING = a_call("ringing", external_call_id="ext-1")


@pytest.mark.parametrize("status", sorted(UNANSWERED))
@pytest.mark.parametrize("capabilities", [DROP, evolve(DROP, look_up=False)], ids=["look-up too", "no look-up"])
def test_the_unanswered_call_of_a_cancelled_reminder_is_to_be_dropped(status: str, capabilities: Capabilities) -> None:
    call = evolve(RINGING, status=status)
    step = woken(GONE, call, rules=able(capabilities))
    assert (step.errand, step.call, step.calls) == (Errand.DROP, call, (call,))
    assert (step.reminder.status, step.reminder.wake_at) == (Status.CANCELLED, NOW + RULES.lease)
    assert step.reminder.lease_token == TOKEN


@pytest.mark.parametrize("status", ["answered", "in-progress", "on-hold"])
def test_a_call_that_may_have_been_answered_is_left_alone(status: str) -> None:
    assert woken(GONE, evolve(RINGING, status=status), rules=able(DROP)).errand is Errand.FETCH


@pytest.mark.parametrize(
    ("reminder", "call", "capabilities", "errand"),
    [
        (GONE, RINGING, LOOK_UP, Errand.FETCH),
        (GONE, evolve(RINGING, provider="another"), DROP, None),
        (GONE, evolve(RINGING, external_call_id=None), DROP, Errand.FIND),
        (GONE, a_call("unconfirmed"), DROP, Errand.FIND),
        (WAITING, RINGING, DROP, Errand.FETCH),
        (a_reminder(Status.CALLED, wake_at=NOW), RINGING, DROP, Errand.FETCH),
    ],
    ids=["the provider can't", "another provider's", "no id to name it by", "unconfirmed", "still wanted", "called"],
)
def test_else_it_is_only_looked_up(
    reminder: Reminder, call: Call, capabilities: Capabilities, errand: Errand | None
) -> None:
    assert woken(reminder, call, rules=able(capabilities)).errand is errand


def test_after_ten_checks_it_is_given_up() -> None:
    assert woken(GONE, evolve(RINGING, checks=MOST_CHECKS - 1), rules=able(DROP)).errand is Errand.DROP
    step = woken(GONE, evolve(RINGING, checks=MOST_CHECKS), rules=able(DROP))
    assert (step.errand, step.calls[0].status, step.reminder.wake_at) == (None, "unreported", None)


def test_a_voicemail_alone_leaves_a_reminder_in_processing_failed_where_it_does_not_count() -> None:
    rules = evolve(RULES, voicemail_is_reached=False)
    assert (
        woken(WAITING, a_call("completed", answered_by="machine_start"), rules=rules).reminder.status is Status.FAILED
    )
    assert woken(WAITING, a_call("completed", answered_by="machine_start")).reminder.status is Status.CALLED
