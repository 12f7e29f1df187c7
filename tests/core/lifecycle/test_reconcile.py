from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from reminderd.core.answers import Candidates, Found, NoAnswer, NotFound
from reminderd.core.lifecycle.reconcile import MOST_CHECKS, PAUSE_HOLD, CheckLimits, finding_among, not_found
from reminderd.core.lifecycle.transition import ActionKind, Ledger, Level, Transition
from reminderd.core.model import Call, CallState, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Limits
from tests.support.builders import (
    BOTH,
    DAY,
    DROP,
    HOUR,
    KEY,
    LOOK_UP,
    MINUTE,
    NO_HOURS,
    NOW,
    RULES,
    SECOND,
    a_call,
    a_ledger,
    a_member,
    a_reminder,
    a_report,
    able,
    call_claimed,
    hours,
    silent,
)

WAITING = a_reminder(Status.PROCESSING)
UNSURE = a_call(CallState.UNCONFIRMED, wake_at=NOW)
PLACED = a_call(CallState.PLACED, wake_at=NOW, status="queued", external_call_id="ext-1")
OVER = NOW + RULES.outcome_timeout


def call_of(transition: Transition) -> Call:
    return transition.ledger.calls["call-1"]


def kind_of(transition: Transition) -> ActionKind | None:
    return None if transition.action is None else transition.action.kind


# Leases that ran out


def test_an_interrupted_request_leaves_an_unconfirmed_call_that_waits_for_a_webhook() -> None:
    dialing = a_ledger(a_reminder(Status.DIALING), a_call(CallState.DIALING, wake_at=NOW))
    transition = call_claimed(dialing)
    call = call_of(transition)
    assert (call.state, call.lease_token, call.wake_at) == (CallState.UNCONFIRMED, None, NOW + RULES.confirm_after)
    assert transition.ledger.reminders["reminder-1"].status is Status.PROCESSING
    assert transition.recovered
    assert transition.lines[0].level is Level.WARNING


def test_an_interrupted_request_leaves_a_cancelled_reminder_cancelled() -> None:
    ledger = a_ledger(a_reminder(Status.CANCELLED), a_call(CallState.DIALING, wake_at=NOW))
    assert call_claimed(ledger).ledger.reminders["reminder-1"].status is Status.CANCELLED


# Unconfirmed: the same request with the same key


def test_an_unconfirmed_call_is_requested_again_with_its_key() -> None:
    transition = call_claimed(a_ledger(WAITING, UNSURE), rules=able(BOTH))
    call = call_of(transition)
    assert kind_of(transition) is ActionKind.RESEND
    assert (call.requests, call.lease_token, call.last_sign_at) == (2, "lease-2", NOW)
    assert transition.action is not None
    assert transition.action.message == WAITING.message


@pytest.mark.parametrize(
    ("changes", "reminder", "rules", "facts"),
    [
        ({"evidence": True}, WAITING, able(KEY), {}),
        ({"adopted": True}, WAITING, able(KEY), {}),
        ({"account": "another"}, WAITING, able(KEY), {}),
        ({"provider": "another"}, WAITING, able(KEY), {}),
        ({"requests": RULES.max_tries}, WAITING, able(KEY), {}),
        ({"created_at": NOW - KEY.key_lifetime}, WAITING, able(KEY), {}),
        ({}, WAITING, RULES, {}),
        ({}, a_reminder(Status.CANCELLED), able(KEY), {}),
        ({}, evolve(WAITING, expires_at=NOW), able(KEY), {}),
        ({}, evolve(WAITING, message="Other words."), able(KEY), {}),
        ({}, evolve(WAITING, scheduled_at=NOW + HOUR), able(KEY), {}),
        ({}, WAITING, able(KEY, calling_hours=NO_HOURS), {}),
        ({}, WAITING, able(KEY), {"opted_out": frozenset({WAITING.phone_number})}),
        ({}, WAITING, able(KEY, limits=Limits(per_day=1)), {"heard_at": {WAITING.phone_number: (NOW,)}}),
    ],
    ids=[
        "evidence",
        "adopted",
        "another account",
        "another provider",
        "max tries",
        "old key",
        "no keys",
        "cancelled",
        "too late",
        "message",
        "time",
        "closed",
        "opted out",
        "limits",
    ],
)
def test_an_unconfirmed_call_is_not_requested_again_if_anything_changed(
    changes: dict[str, Any], reminder: Any, rules: Any, facts: dict[str, Any]
) -> None:
    call = evolve(UNSURE, **changes)
    ledger = a_ledger(reminder, call, a_member(call, WAITING), **facts)
    assert kind_of(call_claimed(ledger, rules=rules)) is None


def test_an_unconfirmed_call_with_an_old_key_or_no_reminder_is_not_requested_again() -> None:
    old = silent(UNSURE, known=KEY.key_lifetime)
    assert kind_of(call_claimed(a_ledger(WAITING, UNSURE), rules=able(KEY), witness=old)) is None
    assert kind_of(call_claimed(a_ledger(UNSURE), rules=able(KEY))) is None


def test_an_unconfirmed_bundle_is_not_requested_again_if_one_reminder_was_moved() -> None:
    other = a_reminder(Status.PROCESSING, id="reminder-2")
    bundle = a_ledger(WAITING, other, UNSURE)
    assert kind_of(call_claimed(bundle, rules=able(KEY))) is ActionKind.RESEND
    moved = bundle.put(evolve(other, scheduled_at=NOW + DAY))
    assert kind_of(call_claimed(moved, rules=able(KEY))) is None


def test_an_unconfirmed_call_is_not_requested_again_before_its_time() -> None:
    early = call_claimed(a_ledger(WAITING, UNSURE), rules=able(KEY), now=NOW - SECOND)
    assert kind_of(early) is None
    assert call_of(early).requests == 1


def test_an_unconfirmed_call_is_not_requested_again_if_an_earlier_call_is_unconfirmed() -> None:
    doubt = a_call(CallState.UNREPORTED, id="older", seq=-1)
    ledger = a_ledger(evolve(WAITING, again_seq=-2), UNSURE, doubt)
    assert kind_of(call_claimed(ledger, rules=able(KEY))) is None


@pytest.mark.parametrize(
    ("room", "until"),
    [
        (CheckLimits(paused=True), NOW + PAUSE_HOLD),
        (CheckLimits(request_from=NOW + SECOND), NOW + SECOND),
    ],
)
def test_a_pause_and_pacing_delay_the_resend(room: CheckLimits, until: Any) -> None:
    transition = call_claimed(a_ledger(WAITING, UNSURE), rules=able(BOTH), room=room)
    assert (kind_of(transition), call_of(transition).wake_at) == (None, until)


def test_another_alive_call_to_its_number_delays_the_resend() -> None:
    stray = a_call(CallState.STRAY, id="call-2", seq=2, adopted=True)
    transition = call_claimed(a_ledger(WAITING, UNSURE, stray), rules=able(BOTH))
    assert (kind_of(transition), call_of(transition).wake_at) == (None, NOW + PAUSE_HOLD)
    over = evolve(stray, state=CallState.ENDED, wake_at=None)
    assert kind_of(call_claimed(a_ledger(WAITING, UNSURE, over), rules=able(BOTH))) is ActionKind.RESEND


def test_the_calling_hours_delay_the_resend() -> None:
    later = able(BOTH, calling_hours=hours(timedelta(hours=11), timedelta(hours=12)))
    transition = call_claimed(a_ledger(WAITING, UNSURE), rules=later)
    assert (kind_of(transition), call_of(transition).wake_at) == (None, NOW + HOUR)


# Look-ups


def test_without_keys_an_unconfirmed_call_is_looked_up_by_our_id() -> None:
    transition = call_claimed(a_ledger(WAITING, UNSURE), rules=able(LOOK_UP))
    assert (kind_of(transition), call_of(transition).lease_token) == (ActionKind.FIND, "lease-2")


def test_a_placed_call_is_looked_up_by_the_providers_id_after_the_outcome_timeout() -> None:
    early = call_claimed(
        a_ledger(WAITING, PLACED), rules=able(LOOK_UP), now=NOW + MINUTE, witness=silent(PLACED, since=MINUTE)
    )
    assert (kind_of(early), call_of(early).wake_at) == (None, OVER)
    assert kind_of(call_claimed(a_ledger(WAITING, PLACED), rules=able(LOOK_UP), now=OVER)) is ActionKind.FETCH


def test_a_call_of_another_account_only_waits_for_the_timeout() -> None:
    other = evolve(UNSURE, account="another")
    transition = call_claimed(a_ledger(WAITING, other), rules=able(BOTH), witness=silent(other, since=MINUTE))
    assert (kind_of(transition), call_of(transition).wake_at) == (None, OVER - MINUTE)
    assert call_of(call_claimed(a_ledger(WAITING, other), rules=able(BOTH), now=OVER)).state is CallState.UNREPORTED


def test_after_ten_look_ups_a_call_waits_for_the_timeout() -> None:
    checked = evolve(UNSURE, checks=MOST_CHECKS)
    seen = silent(checked, since=MINUTE)
    assert kind_of(call_claimed(a_ledger(WAITING, checked), rules=able(LOOK_UP), witness=seen)) is None


def test_a_look_up_counts_from_its_begin_so_hanging_ones_are_limited() -> None:
    ledger, asked = a_ledger(WAITING, UNSURE), 0
    while (transition := call_claimed(ledger, rules=able(LOOK_UP), now=OVER)).action is not None:
        ledger, asked = transition.ledger, asked + 1
    assert (asked, call_of(transition).state) == (MOST_CHECKS, CallState.UNREPORTED)


@pytest.mark.parametrize("finding", [NotFound(), NoAnswer("503"), Found(a_report())])
def test_a_look_up_without_a_certain_finding_changes_nothing(finding: Any) -> None:
    ledger = a_ledger(WAITING, evolve(UNSURE, lease_token="lease-2"))
    transition = not_found(ledger, ledger.calls["call-1"], finding, token="lease-2", rules=RULES, now=NOW)
    call = call_of(transition)
    assert (call.state, call.checks, call.lease_token) == (CallState.UNCONFIRMED, 0, None)
    assert call.wake_at == NOW + RULES.confirm_after
    assert transition.lines[0].level is Level.WARNING


def test_a_finding_changes_nothing_without_the_lease_or_after_the_calls_end() -> None:
    for call in (UNSURE, a_call(CallState.ENDED, lease_token="lease-2")):
        ledger = a_ledger(WAITING, call)
        assert not_found(ledger, call, NotFound(), token="lease-2", rules=RULES, now=NOW).ledger == ledger


def test_no_candidate_is_chosen_on_a_guess() -> None:
    one, two = a_report(external_call_id="a"), a_report(external_call_id="b")
    assert finding_among(Candidates((one, two)), UNSURE, frozenset({"a"})) == Found(two)
    assert finding_among(Candidates((one, two)), UNSURE, frozenset()) == NoAnswer("several calls could be this one")
    assert finding_among(Candidates((one,)), UNSURE, frozenset({"a"})) == NotFound()
    assert finding_among(Candidates((one, two)), evolve(UNSURE, external_call_id="b"), frozenset()) == Found(two)


# Drops

CANCELLED = a_reminder(Status.CANCELLED)
CANCELLED_TOO = a_reminder(Status.CANCELLED, id="reminder-2")


def test_an_unanswered_call_that_no_reminder_needs_is_dropped() -> None:
    for status in (None, "queued", "initiated", "ringing"):
        ledger = a_ledger(CANCELLED, evolve(PLACED, status=status))
        assert kind_of(call_claimed(ledger, rules=able(DROP))) is ActionKind.DROP


@pytest.mark.parametrize("status", [one for one in Status if one.final])
@pytest.mark.parametrize("state", [CallState.PLACED, CallState.STRAY])
def test_a_call_is_dropped_whatever_ended_its_reminders(state: CallState, status: Status) -> None:
    ledger = a_ledger(a_reminder(status), CANCELLED_TOO, evolve(PLACED, state=state))
    assert kind_of(call_claimed(ledger, rules=able(DROP))) is ActionKind.DROP


def test_a_call_without_reminders_is_dropped() -> None:
    assert kind_of(call_claimed(a_ledger(PLACED), rules=able(DROP))) is ActionKind.DROP


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ({"status": "in-progress"}, (CANCELLED,)),
        ({"external_call_id": None}, (CANCELLED,)),
        ({"account": "another"}, (CANCELLED,)),
        ({"checks": MOST_CHECKS}, (CANCELLED,)),
        ({"adopted": True}, ()),
        ({}, (CANCELLED, a_reminder(Status.PROCESSING, id="reminder-2"))),
    ],
)
def test_a_call_that_may_be_needed_or_answered_is_not_dropped(changes: dict[str, Any], rows: tuple[Any, ...]) -> None:
    ledger = a_ledger(*rows, evolve(PLACED, **changes))
    assert kind_of(call_claimed(ledger, rules=able(DROP))) is not ActionKind.DROP


# Given up


def given_up(call: Call, **changes: Any) -> Ledger:
    facts: dict[str, Any] = {"now": OVER, "witness": silent(call)}
    return call_claimed(a_ledger(WAITING, call), **facts | changes).ledger


def test_a_silent_call_is_given_up_and_left_to_staff() -> None:
    after = given_up(UNSURE)
    assert after.calls["call-1"].state is CallState.UNREPORTED
    reminder = after.reminders["reminder-1"]
    assert (reminder.status, reminder.end_code, reminder.attempts) == (Status.FAILED, EndCode.UNCONFIRMED, 1)
    assert given_up(PLACED).reminders["reminder-1"].end_code is EndCode.NO_REPORT


def test_a_call_is_not_given_up_before_the_timeout_by_the_monotonic_clock() -> None:
    unknown = given_up(UNSURE, witness=silent(UNSURE, since=MINUTE))
    assert unknown.calls["call-1"].wake_at == OVER + RULES.outcome_timeout - MINUTE
    almost = given_up(UNSURE, witness=silent(UNSURE, since=RULES.outcome_timeout - SECOND))
    assert almost.calls["call-1"].wake_at == OVER + SECOND
    newer = silent(evolve(UNSURE, last_sign_at=NOW - DAY))
    assert given_up(UNSURE, witness=newer).calls["call-1"].wake_at == OVER + RULES.outcome_timeout


@pytest.mark.parametrize("call", [UNSURE, PLACED])
def test_setting_the_wall_clock_back_does_not_extend_a_calls_life(call: Call) -> None:
    after = given_up(call, now=NOW - DAY, witness=silent(call, since=RULES.outcome_timeout))
    assert after.calls["call-1"].state is CallState.UNREPORTED


def test_with_call_again_when_unsure_the_patient_is_called_once_more() -> None:
    again = evolve(RULES, call_again_when_unsure=True)
    reminder = given_up(UNSURE, rules=again).reminders["reminder-1"]
    assert (reminder.status, reminder.hold_code, reminder.wake_at) == (Status.SCHEDULED, HoldCode.REDIAL, OVER)
    assert given_up(PLACED, rules=again).reminders["reminder-1"].status is Status.FAILED


def test_an_unsure_call_is_only_repeated_once_and_within_max_calls() -> None:
    again = evolve(RULES, call_again_when_unsure=True)
    older = a_call(CallState.UNREPORTED, id="older", seq=-1)
    row = evolve(WAITING, again_seq=-2)
    ledger = a_ledger(row, UNSURE, older)
    after = call_claimed(ledger, rules=again, now=OVER).ledger.reminders["reminder-1"]
    assert after.status is Status.FAILED
    last = evolve(again, max_calls=1)
    assert given_up(UNSURE, rules=last).reminders["reminder-1"].status is Status.FAILED


def test_giving_up_a_call_does_not_change_a_final_reminder() -> None:
    ledger = a_ledger(CANCELLED, UNSURE)
    assert call_claimed(ledger, now=OVER).ledger.reminders["reminder-1"] == CANCELLED


def test_giving_up_an_open_call_makes_the_stray_call_to_its_number_open() -> None:
    stray = a_call(CallState.STRAY, id="stray", seq=2, reminder_id="other", account="another")
    ledger = a_ledger(WAITING, UNSURE, stray, a_member(UNSURE, WAITING))
    assert call_claimed(ledger, now=OVER).ledger.calls["stray"].state is CallState.PLACED


def test_a_reminders_own_zone_decides_when_its_request_is_sent_again() -> None:
    row = evolve(WAITING, timezone="Asia/Tokyo")
    tokyo = able(KEY, calling_hours=hours(timedelta(hours=18), timedelta(hours=20)))
    assert ZoneInfo("Asia/Tokyo").utcoffset(NOW.replace(tzinfo=None)) == timedelta(hours=9)
    assert kind_of(call_claimed(a_ledger(row, UNSURE), rules=tokyo)) is ActionKind.RESEND
