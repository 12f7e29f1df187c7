from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.lifecycle import Errand, Level, Surroundings, put_aside
from reminderd.core.lifecycle.check import RING_BY_HAND
from reminderd.core.lifecycle.lookup import LOOK_UPS_FOR_NONE
from reminderd.core.lifecycle.wake import BROKEN, BROKEN_HOLD, NUMBER_BUSY_HOLD
from reminderd.core.reminder import Status
from reminderd.core.rules import Rules
from tests.support.nouns import (
    BOTH,
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

AFTERNOON = evolve(RULES, window=hours(14 * HOUR, 18 * HOUR))
NEVER = evolve(RULES, window=NO_HOURS)


def test_a_due_reminder_is_leased_and_dialled_with_a_new_call() -> None:
    step = woken(a_reminder(hold_reason="busy, to be rung again"))
    assert (step.reminder.status, step.reminder.lease_token) == (Status.DIALING, TOKEN)
    assert step.reminder.wake_at == NOW + RULES.lease
    assert step.reminder.hold_reason is None
    assert step.reminder.attempts == 1
    assert step.errand is Errand.DIAL
    assert step.call is not None
    assert (step.call.id, step.call.attempt, step.call.status, step.call.tries) == ("call-new", 1, "dialing", 1)
    assert step.calls == (step.call,)


def test_the_claimer_is_told_the_row_its_call_and_the_errand() -> None:
    claimed = woken(a_reminder()).claimed
    assert claimed is not None
    assert (claimed.token, claimed.call.id, claimed.errand, claimed.resend) == (TOKEN, "call-new", Errand.DIAL, False)


def test_a_call_that_was_not_placed_is_taken_up_again_with_its_key() -> None:
    step = woken(a_reminder(attempts=1), a_call("not-placed", tries=4))
    assert step.call is not None
    assert (step.call.id, step.call.status, step.call.tries) == ("call-1", "dialing", 5)
    assert len(step.calls) == 1
    assert step.reminder.attempts == 1


def test_a_call_taken_up_again_is_sent_to_the_provider_configured_now() -> None:
    step = woken(a_reminder(attempts=1), a_call("not-placed", provider="twilio"))
    assert step.call is not None
    assert step.call.provider == "generic"


@pytest.mark.parametrize("ended", ["busy", "no-answer", "canceled", "unreported"])
def test_after_a_call_that_has_ended_there_is_a_new_one_with_the_next_number(ended: str) -> None:
    step = woken(a_reminder(attempts=1), a_call(ended))
    assert step.call is not None
    assert (step.call.id, step.call.attempt) == ("call-new", 2)
    assert [call.status for call in step.calls] == [ended, "dialing"]
    assert step.reminder.attempts == 2


def test_called_again_by_staff_gets_a_new_call_even_after_one_that_was_not_placed() -> None:
    step = woken(a_reminder(attempts=0), a_call("not-placed"))
    assert step.call is not None
    assert (step.call.id, step.call.attempt) == ("call-new", 2)
    assert step.reminder.attempts == 1


def test_a_report_kept_without_a_call_does_not_count_as_an_attempt() -> None:
    step = woken(a_reminder(attempts=0), a_call("busy", attempt=None))
    assert step.call is not None
    assert step.call.attempt == 1


@pytest.mark.parametrize("status", ["dialing", "unconfirmed", "ringing"])
def test_scheduled_with_an_open_call_by_foreign_sql_is_left_to_a_check_not_dialled(status: str) -> None:
    """Its look-up needs a checker: here, where lines are counted, there may be none free."""
    step = woken(a_reminder(), a_call(status), rules=able(LOOK_UP))
    assert step.errand is None
    assert (step.reminder.status, step.reminder.wake_at) == (Status.PROCESSING, NOW)
    assert [call.status for call in step.calls] == [status]


def test_outside_the_calling_hours_it_waits_for_their_next_start() -> None:
    step = woken(a_reminder(expires_at=NOW + 24 * HOUR), rules=AFTERNOON)
    assert step.reminder.status is Status.SCHEDULED
    assert step.reminder.wake_at == NOW + 4 * HOUR
    assert step.reminder.hold_reason == "outside the calling hours"
    assert step.reminder.lease_token is None
    assert (step.errand, step.claimed, step.calls) == (None, None, ())


def test_the_calling_hours_are_those_of_the_patients_own_zone() -> None:
    step = woken(a_reminder(timezone="Asia/Dubai"), rules=AFTERNOON)  # 14:00 there
    assert step.errand is Errand.DIAL


def test_why_a_reminder_waits_is_said_once() -> None:
    held = a_reminder(expires_at=NOW + 24 * HOUR)
    first = woken(held, rules=AFTERNOON)
    again = woken(evolve(first.reminder, wake_at=NOW), rules=AFTERNOON)
    assert (len(first.notes), len(again.notes)) == (1, 0)


def test_two_open_calls_never_go_to_one_number() -> None:
    step = woken(a_reminder(), around=Surroundings(number_busy=True))
    assert step.reminder.status is Status.SCHEDULED
    assert step.reminder.wake_at == NOW + NUMBER_BUSY_HOLD
    assert step.reminder.hold_reason == "another call to this number is open"
    assert step.errand is None


@pytest.mark.parametrize(
    ("now", "after"),
    [
        (NOW + RULES.max_lateness - SECOND, Status.DIALING),
        (NOW + RULES.max_lateness, Status.EXPIRED),
    ],
    ids=["just in time", "too late"],
)
def test_it_is_rung_until_its_lateness_is_used_up(now: datetime, after: Status) -> None:
    assert woken(a_reminder(), now=now).reminder.status is after


def test_its_own_time_limit_comes_before_the_clinics() -> None:
    step = woken(a_reminder(expires_at=NOW))
    assert step.reminder.status is Status.EXPIRED
    assert step.reminder.last_error == "too late: was to be rung before 2026-03-02 10:00 UTC"
    assert (step.reminder.wake_at, step.reminder.hold_reason, step.errand) == (None, None, None)


def test_it_has_expired_at_once_if_the_hours_begin_only_after_its_limit() -> None:
    assert woken(a_reminder(expires_at=NOW + 4 * HOUR), rules=AFTERNOON).reminder.status is Status.EXPIRED


def test_it_expires_if_the_calling_hours_leave_no_time_at_all() -> None:
    step = woken(a_reminder(), rules=NEVER)
    assert step.reminder.status is Status.EXPIRED
    assert step.reminder.last_error == "too late: the calling hours leave no time to ring before its limit"


@pytest.mark.parametrize(
    ("limit", "rules", "reason"),
    [
        (NOW, RULES, "too late: was to be rung before 2026-03-02 10:00 UTC"),
        (NOW + HOUR, AFTERNOON, "too late: the calling hours leave no time to ring before its limit"),
    ],
)
def test_an_expired_reminder_says_what_it_had_waited_for(limit: datetime, rules: Rules, reason: str) -> None:
    step = woken(a_reminder(expires_at=limit, hold_reason="the provider refuses us: 402"), rules=rules)
    assert step.reminder.last_error == f"{reason}; it had waited: the provider refuses us: 402"
    assert (step.reminder.hold_reason, step.expired) == (None, True)
    assert [note.level for note in step.notes] == [Level.ERROR]


@pytest.mark.parametrize("rules", [RULES, NEVER], ids=["too late", "no calling hours"])
def test_too_late_after_an_unclear_call_is_a_matter_for_staff(rules: Rules) -> None:
    step = woken(a_reminder(expires_at=NOW, attempts=1), a_call("unreported"), rules=rules)
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, RING_BY_HAND)
    assert step.notes[0].level is Level.ERROR


def test_opted_out_is_cancelled_with_that_reason() -> None:
    step = woken(a_reminder(), around=Surroundings(opted_out=True))
    assert (step.reminder.status, step.reminder.last_error) == (Status.CANCELLED, "opted out")
    assert (step.reminder.wake_at, step.errand) == (None, None)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"phone_number": "030 123"}, "phone_number: not a possible number"),
        ({"phone_number": "+1 555 010 0001"}, "phone_number: not in its international form"),
        ({"message": " "}, "message: empty"),
        ({"timezone": "Mars/Base"}, "timezone: unknown"),
    ],
    ids=["no number", "not normalised", "no message", "no zone"],
)
def test_a_foreign_row_that_can_never_be_rung_fails_with_the_reason(wrong: dict[str, Any], says: str) -> None:
    step = woken(a_reminder(**wrong))
    assert step.reminder.status is Status.FAILED
    assert (step.reminder.last_error or "").startswith(says)
    assert step.errand is None


def test_a_lease_that_ran_out_leaves_an_unconfirmed_call_that_waits_for_news() -> None:
    step = woken(a_reminder(Status.DIALING, lease_token="a dead process's"), a_call("dialing"))
    assert (step.reminder.status, step.reminder.lease_token) == (Status.PROCESSING, None)
    assert step.reminder.wake_at == NOW + RULES.confirm_after
    assert [call.status for call in step.calls] == ["unconfirmed"]
    assert step.errand is None
    assert step.recovered


def test_dialing_with_a_call_that_is_already_unconfirmed_is_checked_at_once() -> None:
    step = woken(a_reminder(Status.DIALING), a_call("unconfirmed"), rules=able(LOOK_UP))
    assert step.errand is Errand.FIND
    assert (step.reminder.status, step.reminder.lease_token) == (Status.PROCESSING, TOKEN)


def test_dialing_whose_call_was_not_placed_is_scheduled_again() -> None:
    step = woken(a_reminder(Status.DIALING), a_call("not-placed"))
    assert (step.reminder.status, step.reminder.wake_at) == (Status.SCHEDULED, NOW)


@pytest.mark.parametrize(
    ("look_ups", "age", "rung"),
    [
        (LOOK_UPS_FOR_NONE, HOUR, True),
        (LOOK_UPS_FOR_NONE, KEY.key_lifetime, False),
        (0, KEY.key_lifetime, True),
    ],
    ids=["missing, its key holds", "missing, its key is too old", "the provider itself said that it was not placed"],
)
def test_a_call_that_only_look_ups_missed_is_sent_again_while_its_key_holds(
    look_ups: int, age: timedelta, *, rung: bool
) -> None:
    call = a_call("not-placed", checks=look_ups, not_found=look_ups, created_at=NOW - age)
    step = woken(a_reminder(attempts=1), call, rules=able(BOTH))
    assert (step.errand is Errand.DIAL) is rung
    if not rung:
        assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, RING_BY_HAND)


def test_a_call_that_only_look_ups_missed_does_not_wait_for_hours_in_which_its_key_has_ended() -> None:
    rules = evolve(able(evolve(BOTH, key_lifetime=HOUR)), window=AFTERNOON.window)
    call = a_call("not-placed", checks=LOOK_UPS_FOR_NONE, not_found=LOOK_UPS_FOR_NONE)
    step = woken(a_reminder(attempts=1, expires_at=NOW + 24 * HOUR), call, rules=rules)
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, RING_BY_HAND)


def test_a_row_that_breaks_the_program_fails_if_nothing_was_sent() -> None:
    step = put_aside(a_reminder(), NOW)
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, BROKEN)
    assert step.reminder.wake_at == NOW + HOUR  # one of its calls may be open: nobody could tell
    assert step.notes[0].level is Level.ERROR


@pytest.mark.parametrize("status", [Status.DIALING, Status.PROCESSING])
def test_a_row_that_breaks_the_program_waits_if_its_phone_may_be_ringing(status: Status) -> None:
    step = put_aside(a_reminder(status, lease_token=TOKEN), NOW + MINUTE)
    assert (step.reminder.status, step.reminder.lease_token) == (status, None)
    assert (step.reminder.wake_at, step.reminder.hold_reason) == (NOW + MINUTE + BROKEN_HOLD, BROKEN)


def test_too_late_after_look_ups_found_none_is_for_staff_as_no_request_proved_it() -> None:
    late = a_reminder(attempts=1, expires_at=NOW)
    step = woken(late, a_call("not-placed", checks=4, not_found=4), rules=able(BOTH))
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, "unconfirmed, ring by hand")


def test_a_number_that_was_reached_often_enough_waits_for_the_day_that_frees_it_and_for_its_hours() -> None:
    free_from = NOW + 14 * HOUR  # midnight
    rules = evolve(RULES, window=hours(9 * HOUR, 19 * HOUR), max_lateness=48 * HOUR)
    step = woken(a_reminder(), around=Surroundings(number_free_from=free_from), rules=rules)
    assert (step.reminder.status, step.reminder.wake_at) == (Status.SCHEDULED, free_from + 9 * HOUR)
    assert step.reminder.hold_reason == "this number was reached as often as the limits allow"


def test_a_reminder_that_can_not_wait_for_its_number_to_be_free_expires_and_says_why() -> None:
    step = woken(a_reminder(), around=Surroundings(number_free_from=NOW + 14 * HOUR))
    assert step.reminder.status is Status.EXPIRED
    assert step.reminder.last_error is not None
    assert "reached as often as the limits allow" in step.reminder.last_error
