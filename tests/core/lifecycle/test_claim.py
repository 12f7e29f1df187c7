from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from reminderd.core.lifecycle.claim import NUMBER_BUSY_HOLD, PROGRAM_ERROR_HOLD, unexpected_error
from reminderd.core.lifecycle.states import limit_of
from reminderd.core.lifecycle.transition import ActionKind, Level
from reminderd.core.model import CallOutcome, CallState, Reminder, Status, digest
from reminderd.core.phone import Numbering
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Limits
from tests.support.builders import (
    ACCOUNT,
    DAY,
    HOUR,
    KEY,
    MINUTE,
    NO_HOURS,
    NOW,
    RULES,
    TOKEN,
    a_call,
    a_ledger,
    a_member,
    a_reminder,
    able,
    claimed,
    hours,
    silent,
)

DUE = a_reminder()
HEARD = a_call(CallState.ENDED, status="completed", outcome=CallOutcome.HEARD, received_at=NOW)
BUSY = a_call(CallState.ENDED, status="busy", outcome=CallOutcome.NOT_ANSWERED, received_at=NOW - HOUR)


def after(*rows: Any, rules: Any = RULES, now: datetime = NOW, **facts: Any) -> Reminder:
    """Claim the first reminder, and return it."""
    return claimed(a_ledger(*rows, **facts), rules=rules, now=now).ledger.reminders["reminder-1"]


# What may be called


def test_a_due_reminder_is_dialing_and_its_call_is_leased_until_it_is_answered() -> None:
    transition = claimed(a_ledger(DUE))
    reminder, call = transition.ledger.reminders["reminder-1"], transition.ledger.calls["call-new"]
    assert (reminder.status, reminder.wake_at) == (Status.DIALING, None)
    assert (call.state, call.requests, call.lease_token) == (CallState.DIALING, 1, TOKEN)
    assert (call.wake_at, call.last_sign_at) == (NOW + RULES.lease, NOW)
    assert (call.provider, call.account, call.phone_number) == ("generic", ACCOUNT, DUE.phone_number)
    [member] = transition.ledger.members.values()
    assert (member.position, member.scheduled_at, member.message_digest) == (0, NOW, digest(DUE.message))
    assert not member.spoken


def test_a_claim_returns_the_call_its_reminders_and_the_message() -> None:
    transition = claimed(a_ledger(DUE))
    assert transition.action is not None
    assert transition.action.kind is ActionKind.PLACE
    assert transition.action.kind.is_request
    assert (transition.action.token, transition.action.message) == (TOKEN, DUE.message)
    assert [one.id for one in transition.action.reminders] == ["reminder-1"]
    assert transition.call == transition.action.call


def test_after_an_ended_call_a_new_one_is_made() -> None:
    transition = claimed(a_ledger(evolve(DUE, retry_at=NOW), BUSY))
    assert set(transition.ledger.calls) == {"call-1", "call-new"}
    assert transition.ledger.reminders["reminder-1"].attempts == 1


# What ends instead


@pytest.mark.parametrize(
    ("rows", "facts", "status", "code"),
    [
        ((evolve(DUE, phone_number="030"),), {}, Status.FAILED, EndCode.INVALID),
        ((evolve(DUE, message=" "),), {}, Status.FAILED, EndCode.INVALID),
        ((evolve(DUE, timezone="Mars"),), {}, Status.FAILED, EndCode.INVALID),
        ((DUE,), {"opted_out": frozenset({DUE.phone_number})}, Status.CANCELLED, EndCode.OPTED_OUT),
        ((DUE, HEARD, a_member(HEARD, DUE, spoken=True)), {}, Status.CALLED, None),
        ((DUE,), {"restored_at": NOW, "restored_seq": 1}, Status.FAILED, EndCode.RESTORED),
        ((DUE, a_call(CallState.UNREPORTED)), {}, Status.FAILED, EndCode.UNCONFIRMED),
        ((evolve(DUE, expires_at=NOW),), {}, Status.EXPIRED, EndCode.TOO_LATE),
    ],
    ids=["number", "message", "time zone", "opted out", "heard", "restored", "unreported call", "too late"],
)
def test_a_reminder_that_may_not_be_called_ends(
    rows: tuple[Any, ...], facts: dict[str, Any], status: Status, code: EndCode | None
) -> None:
    reminder = after(*rows, **facts)
    assert (reminder.status, reminder.end_code, reminder.wake_at, reminder.ended_at) == (status, code, None, NOW)


def test_a_reminder_fails_after_its_maximum_of_calls() -> None:
    busy = [a_call(CallState.ENDED, id=f"call-{n}", seq=n, status="busy") for n in (1, 2, 3)]
    assert after(DUE, *busy).end_code is EndCode.MAX_CALLS


def test_an_expired_reminder_says_what_it_had_waited_for() -> None:
    reminder = after(evolve(DUE, hold_code=HoldCode.NUMBER_BUSY), now=NOW + DAY)
    assert reminder.last_error == (
        "too late: was to be called before 2026-03-02 14:00 UTC;"
        " it had waited: another call to this number is under way"
    )


def test_a_reminder_expires_at_once_if_calling_hours_begin_after_its_limit() -> None:
    late = evolve(RULES, calling_hours=hours(timedelta(hours=20), timedelta(hours=21)))
    reminder = after(DUE, rules=late)
    assert reminder.status is Status.EXPIRED
    assert reminder.last_error == "too late: the calling hours leave no time to call before it expires"


def test_a_reminder_expires_if_calling_hours_never_begin() -> None:
    assert after(DUE, rules=evolve(RULES, calling_hours=NO_HOURS)).status is Status.EXPIRED


def test_a_reminder_expires_if_the_limits_free_its_number_too_late() -> None:
    limited = evolve(RULES, limits=Limits(per_day=1))
    reminder = after(DUE, rules=limited, heard_at={DUE.phone_number: (NOW,)})
    assert (reminder.status, reminder.end_code) == (Status.EXPIRED, EndCode.TOO_LATE)
    assert (reminder.last_error or "").startswith("too late: this number was reached as often as the limits allow")


def test_an_expired_reminder_is_an_error_in_the_log() -> None:
    [line] = claimed(a_ledger(evolve(DUE, expires_at=NOW))).lines
    assert (line.level, line.expired, line.reminder_id) == (Level.ERROR, True, "reminder-1")


# What waits


def test_no_reminder_is_called_before_its_time_even_if_woken_early() -> None:
    reminder = after(evolve(DUE, scheduled_at=NOW + DAY))
    assert (reminder.status, reminder.wake_at, reminder.hold_code) == (Status.SCHEDULED, NOW + DAY, None)


def test_a_redial_waits_for_its_delay_even_if_it_is_checked_early() -> None:
    reminder = after(evolve(DUE, retry_at=NOW + HOUR, hold_code=HoldCode.REDIAL), BUSY)
    assert (reminder.wake_at, reminder.hold_code) == (NOW + HOUR, HoldCode.REDIAL)
    assert after(evolve(DUE, retry_at=NOW + HOUR), BUSY).hold_code is HoldCode.REDIAL


@pytest.mark.parametrize(
    "changes", [{"scheduled_at": NOW}, {"phone_number": "+12025550002"}], ids=["moved", "another number"]
)
def test_a_changed_reminder_does_not_wait_for_the_delay_of_its_old_calls(changes: dict[str, Any]) -> None:
    was = evolve(DUE, scheduled_at=NOW - HOUR, retry_at=NOW + HOUR, hold_code=HoldCode.REDIAL, attempts=1, tries=1)
    reminder = after(evolve(was, **changes), BUSY, a_member(BUSY, was))
    assert (reminder.status, reminder.attempts, reminder.tries) == (Status.DIALING, 0, 0)


def test_outside_calling_hours_in_the_patients_zone_a_reminder_waits() -> None:
    berlin = evolve(RULES, calling_hours=hours(timedelta(hours=12), timedelta(hours=18), zone="America/New_York"))
    reminder = after(evolve(DUE, timezone="Europe/Berlin"), rules=berlin)
    assert (reminder.wake_at, reminder.hold_code) == (
        datetime(2026, 3, 2, 12, tzinfo=ZoneInfo("Europe/Berlin")),
        HoldCode.HOURS,
    )


def test_a_number_at_its_limit_waits_for_a_free_day_and_its_calling_hours() -> None:
    limited = evolve(
        RULES,
        limits=Limits(per_day=1),
        calling_hours=hours(timedelta(hours=9), timedelta(hours=18)),
        max_lateness=2 * DAY,
    )
    reminder = after(DUE, rules=limited, heard_at={DUE.phone_number: (NOW,)})
    assert (reminder.wake_at, reminder.hold_code) == (NOW + DAY - HOUR, HoldCode.LIMITS)


@pytest.mark.parametrize("state", [one for one in CallState if one.alive])
def test_no_second_call_is_made_to_a_number_whose_phone_may_be_ringing(state: CallState) -> None:
    ringing = a_call(state, reminder_id="other")
    reminder = after(DUE, ringing, a_member(ringing, a_reminder(id="other")))
    assert (reminder.wake_at, reminder.hold_code) == (NOW + NUMBER_BUSY_HOLD, HoldCode.NUMBER_BUSY)


@pytest.mark.parametrize("wake_at", [NOW - HOUR, NOW + HOUR], ids=["overdue", "much later"])
def test_a_reminder_for_a_busy_number_is_checked_again_soon(wake_at: datetime) -> None:
    """A call that nobody has got round to must not keep the claim busy, nor a quiet one hold the reminder longer."""
    ringing = a_call(CallState.PLACED, reminder_id="other", wake_at=wake_at)
    reminder = after(DUE, ringing, a_member(ringing, a_reminder(id="other")))
    assert reminder.wake_at == NOW + NUMBER_BUSY_HOLD


def test_the_reason_of_a_hold_is_logged_once() -> None:
    ledger = a_ledger(DUE, a_call(CallState.PLACED, reminder_id="other"), a_member(a_call(), a_reminder(id="other")))
    first = claimed(ledger)
    assert [line.text for line in first.lines] == [
        "held until 2026-03-02 10:01 UTC: another call to this number is under way"
    ]
    assert claimed(first.ledger).lines == ()


# Rows that other programs wrote


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (CallState.DIALING, Status.DIALING),
        (CallState.UNCONFIRMED, Status.PROCESSING),
        (CallState.PLACED, Status.PROCESSING),
        (CallState.STRAY, Status.PROCESSING),
    ],
)
def test_a_reminder_set_to_scheduled_during_its_call_waits_for_that_call(state: CallState, status: Status) -> None:
    reminder = after(DUE, a_call(state))
    assert (reminder.status, reminder.wake_at) == (status, None)


@pytest.mark.parametrize("status", [Status.DIALING, Status.PROCESSING])
def test_a_reminder_in_a_call_only_by_its_status_is_settled_from_its_calls(status: Status) -> None:
    row = a_reminder(status, wake_at=NOW)
    assert after(row).end_code is EndCode.UNCONFIRMED
    assert after(row, HEARD, a_member(HEARD, row, spoken=True)).status is Status.CALLED
    assert after(row, a_call(CallState.UNREPORTED)).end_code is EndCode.UNCONFIRMED
    assert after(row, BUSY).status is Status.DIALING  # called again at once
    moved = evolve(row, scheduled_at=NOW + DAY, attempts=2)
    waiting = after(moved, BUSY, a_member(BUSY, row))
    assert (waiting.status, waiting.wake_at, waiting.attempts) == (Status.SCHEDULED, NOW + DAY, 0)


@pytest.mark.parametrize("status", [Status.DIALING, Status.PROCESSING])
def test_the_end_of_a_reminders_call_counts_before_an_opt_out(status: Status) -> None:
    row = a_reminder(status, wake_at=NOW)
    out: dict[str, Any] = {"opted_out": frozenset({row.phone_number})}
    assert after(row, HEARD, a_member(HEARD, row, spoken=True), **out).status is Status.CALLED
    assert after(row, a_call(CallState.UNREPORTED), **out).end_code is EndCode.UNCONFIRMED
    assert after(row, BUSY, **out).end_code is EndCode.OPTED_OUT


def test_a_reminder_ended_by_another_program_stays_ended_and_gets_a_reason() -> None:
    cancelled = after(a_reminder(Status.CANCELLED, wake_at=NOW))
    assert (cancelled.wake_at, cancelled.end_code) == (None, EndCode.CANCELLED_ELSEWHERE)
    called = after(a_reminder(Status.CALLED, wake_at=NOW))
    assert (called.status, called.wake_at, called.end_code) == (Status.CALLED, None, None)


@pytest.mark.parametrize("status", [Status.CALLED, Status.FAILED, Status.EXPIRED])
def test_a_reminder_that_is_moved_after_its_call_waits_for_its_new_time(status: Status) -> None:
    before = a_reminder(status)
    moved = evolve(before, scheduled_at=NOW + DAY, wake_at=NOW, attempts=2)
    reminder = after(moved, HEARD, a_member(HEARD, before, spoken=True))
    assert (reminder.status, reminder.wake_at, reminder.attempts) == (Status.SCHEDULED, NOW + DAY, 0)


@pytest.mark.parametrize(
    ("response", "kept"), [("confirmed", None), ("cancel_requested", None), ("by mail", "by mail")]
)
@pytest.mark.parametrize("status", [Status.CALLED, Status.SCHEDULED])
def test_moving_a_reminder_clears_the_patients_response_but_no_foreign_text(
    status: Status, response: str, kept: str | None
) -> None:
    before = a_reminder(status, response=response, wake_at=NOW)
    moved = evolve(before, scheduled_at=NOW + DAY)
    assert after(moved, HEARD, a_member(HEARD, before, spoken=True)).response == kept
    assert after(before, HEARD, a_member(HEARD, before, spoken=True)).response == response


def test_moving_a_cancelled_or_purged_reminder_does_not_revive_it() -> None:
    for row in (a_reminder(Status.CANCELLED), a_reminder(Status.CALLED, phone_number="", message="")):
        moved = evolve(row, scheduled_at=NOW + DAY, wake_at=NOW)
        assert after(moved, HEARD, a_member(HEARD, row, spoken=True)).status is row.status


def test_the_log_names_the_call_that_reached_the_patient_also_if_another_one_followed() -> None:
    later = evolve(BUSY, id="later", seq=HEARD.seq + 1)
    members = (a_member(HEARD, DUE, spoken=True), a_member(later, DUE))
    [line] = claimed(a_ledger(DUE, HEARD, later, *members)).lines
    assert (line.text, line.call_id) == ("called: somebody heard the message", HEARD.id)


def test_rewriting_a_row_after_it_was_heard_does_not_call_again() -> None:
    assert after(DUE, HEARD, a_member(HEARD, DUE, spoken=True)).status is Status.CALLED


@pytest.mark.parametrize(
    ("call", "code", "reason"),
    [
        (a_call(CallState.REFUSED, error="422: no such number"), EndCode.REFUSED, "422: no such number"),
        (a_call(CallState.REFUSED), EndCode.REFUSED, "refused by the provider"),
        (
            a_call(CallState.ENDED, status="failed", outcome=CallOutcome.FAILED),
            EndCode.PROVIDER_FAILED,
            "the provider reported: failed",
        ),
        (
            a_call(CallState.ENDED, status="failed", outcome=CallOutcome.DECLINED, sip_response_code=603),
            EndCode.DECLINED,
            "the provider reported: declined (SIP 603)",
        ),
    ],
)
def test_rewriting_a_row_after_a_final_call_fails_it_again(call: Any, code: EndCode, reason: str) -> None:
    reminder = after(DUE, call)
    assert (reminder.status, reminder.end_code, reminder.last_error) == (Status.FAILED, code, reason)
    other = evolve(DUE, message="Other words.")
    assert after(other, call, a_member(call, DUE)).status is Status.DIALING
    assert after(DUE, call, evolve(BUSY, id="call-2", seq=2)).status is Status.DIALING


def test_rewriting_a_row_during_its_redial_delay_still_waits() -> None:
    just_now = evolve(BUSY, received_at=NOW - MINUTE)
    reminder = after(DUE, just_now)
    due = NOW - MINUTE + RULES.redial_delay(1)
    assert (reminder.status, reminder.wake_at, reminder.hold_code) == (Status.SCHEDULED, due, HoldCode.REDIAL)
    assert after(DUE, just_now, now=due).status is Status.DIALING
    assert after(evolve(DUE, again_seq=just_now.seq), just_now).status is Status.DIALING


def test_a_row_that_was_deleted_and_inserted_again_is_called() -> None:
    reminder = after(DUE, HEARD, a_member(HEARD, DUE, spoken=True, deleted=True))
    assert reminder.status is Status.DIALING


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.FAILED])
def test_a_reminder_expired_by_a_clock_that_was_ahead_waits_again(status: Status) -> None:
    ahead = a_reminder(status, end_code=EndCode.TOO_LATE, ended_at=NOW + DAY)
    reminder = after(ahead)
    assert (reminder.status, reminder.end_code, reminder.ended_at) == (Status.SCHEDULED, None, None)
    stays = after(evolve(ahead, ended_at=NOW - HOUR, wake_at=NOW))
    assert stays.status is status
    assert after(evolve(ahead, done_at=NOW - HOUR, wake_at=NOW)).status is status, "its patient was called manually"


def test_moving_or_rescheduling_a_reminder_clears_done_by_staff() -> None:
    done = evolve(DUE, done_at=NOW - HOUR, scheduled_at=NOW + HOUR)
    assert after(done).done_at is None
    moved = evolve(done, status=Status.FAILED, scheduled_at=NOW)
    left = a_member(HEARD, evolve(moved, scheduled_at=NOW - DAY))
    assert (after(moved, HEARD, left).status, after(moved, HEARD, left).done_at) == (Status.SCHEDULED, None)


# After a restore


def test_after_a_restore_only_reminders_due_by_then_may_have_been_called() -> None:
    facts: dict[str, Any] = {"restored_at": NOW, "restored_seq": 5}
    assert after(evolve(DUE, scheduled_at=NOW + MINUTE), now=NOW + MINUTE, **facts).status is Status.DIALING
    assert after(evolve(DUE, again_seq=5), **facts).status is Status.DIALING
    since = a_call(CallState.ENDED, seq=6, status="busy", outcome=CallOutcome.NOT_ANSWERED)
    assert after(DUE, since, **facts).status is Status.DIALING
    before = evolve(since, seq=4)
    assert after(DUE, before, **facts).end_code is EndCode.RESTORED
    adopted = evolve(since, adopted=True)
    assert after(DUE, adopted, a_member(adopted, DUE), **facts).end_code is EndCode.RESTORED


# The key of a call that was not placed

NOT_PLACED = a_call(CallState.NOT_PLACED, requests=1, external_call_id=None, error="not placed: 503")


def test_a_call_that_was_not_placed_is_requested_again_with_its_key() -> None:
    transition = claimed(a_ledger(DUE, NOT_PLACED), rules=able(KEY))
    assert set(transition.ledger.calls) == {"call-1"}
    call = transition.ledger.calls["call-1"]
    assert (call.state, call.requests, call.lease_token, call.error) == (CallState.DIALING, 1, TOKEN, None)
    assert transition.action is not None
    assert transition.action.kind is ActionKind.PLACE


@pytest.mark.parametrize(
    ("reminder", "call", "rules", "witness"),
    [
        (DUE, NOT_PLACED, RULES, None),
        (DUE, evolve(NOT_PLACED, account="another"), able(KEY), None),
        (DUE, evolve(NOT_PLACED, evidence=True), able(KEY), None),
        (DUE, evolve(NOT_PLACED, received_at=NOW), able(KEY), None),
        (DUE, evolve(NOT_PLACED, created_at=NOW - KEY.key_lifetime), able(KEY), None),
        (DUE, NOT_PLACED, able(KEY), silent(NOT_PLACED, known=KEY.key_lifetime)),
        (evolve(DUE, again_seq=1), NOT_PLACED, able(KEY), None),
        (evolve(DUE, message="Other words."), NOT_PLACED, able(KEY), None),
    ],
    ids=[
        "no keys",
        "another account",
        "evidence",
        "reported",
        "old",
        "old by this process",
        "asked again",
        "other words",
    ],
)
def test_a_changed_or_old_request_is_a_new_call_with_a_new_key(
    reminder: Reminder, call: Any, rules: Any, witness: Any
) -> None:
    ledger = a_ledger(reminder, call, a_member(call, DUE))
    transition = claimed(ledger, rules=rules, witness=witness or silent(call))
    assert set(transition.ledger.calls) == {"call-1", "call-new"}


# Rows on which the program fails


def test_an_unexpected_error_fails_a_waiting_reminder_and_delays_any_other_row() -> None:
    waiting = unexpected_error(a_ledger(DUE), DUE, NOW).ledger.reminders["reminder-1"]
    assert (waiting.status, waiting.end_code) == (Status.FAILED, EndCode.PROGRAM_ERROR)
    row = a_reminder(Status.PROCESSING, wake_at=NOW)
    later = unexpected_error(a_ledger(row), row, NOW)
    assert later.ledger.reminders["reminder-1"].wake_at == NOW + PROGRAM_ERROR_HOLD
    assert later.lines[0].level is Level.ERROR


# What is looked at before its time


def test_an_invalid_reminder_for_later_fails_at_once() -> None:
    later = a_reminder(scheduled_at=NOW + DAY, phone_number="+15550100001")
    reminder = after(later)
    assert (reminder.status, reminder.end_code) == (Status.FAILED, EndCode.INVALID)
    german = evolve(RULES, numbering=Numbering(country="DE"))
    assert after(a_reminder(scheduled_at=NOW + DAY), rules=german).status is Status.FAILED


def test_a_valid_reminder_for_later_waits_for_its_time() -> None:
    reminder = after(a_reminder(scheduled_at=NOW + DAY))
    assert (reminder.status, reminder.wake_at, reminder.hold_code) == (Status.SCHEDULED, NOW + DAY, None)


def test_hours_that_leave_no_time_may_change_until_a_reminder_is_due() -> None:
    closed = evolve(RULES, calling_hours=NO_HOURS)
    later = a_reminder(scheduled_at=NOW + DAY)
    assert (after(later, rules=closed).status, after(later, rules=closed).wake_at) == (Status.SCHEDULED, NOW + DAY)
    assert after(later, rules=closed, now=NOW + DAY).status is Status.EXPIRED


# A new number


def test_a_changed_number_waits_for_staff_until_the_reminders_limit() -> None:
    for due in (NOW, NOW + HOUR):
        held = evolve(DUE, scheduled_at=due, hold_code=HoldCode.NUMBER_CHANGED, last_error="changed")
        transition = claimed(a_ledger(held))
        reminder = transition.ledger.reminders["reminder-1"]
        assert (reminder.status, reminder.hold_code, reminder.last_error) == (
            Status.SCHEDULED,
            HoldCode.NUMBER_CHANGED,
            "changed",
        )
        assert reminder.wake_at == limit_of(held, RULES)
        assert transition.action is None


def test_a_clock_that_was_ahead_does_not_release_a_changed_number() -> None:
    held = evolve(DUE, hold_code=HoldCode.NUMBER_CHANGED)
    expired = after(held, now=NOW + DAY)
    assert (expired.status, expired.hold_code) == (Status.EXPIRED, HoldCode.NUMBER_CHANGED)
    again = after(expired)
    assert (again.status, again.hold_code) == (Status.SCHEDULED, HoldCode.NUMBER_CHANGED)
    assert claimed(a_ledger(again)).action is None


def test_a_changed_number_stays_held_until_due_even_without_calling_hours() -> None:
    held = evolve(DUE, scheduled_at=NOW + HOUR, hold_code=HoldCode.NUMBER_CHANGED)
    reminder = after(held, rules=evolve(RULES, calling_hours=NO_HOURS))
    assert (reminder.wake_at, reminder.hold_code) == (NOW + HOUR, HoldCode.NUMBER_CHANGED)


def test_a_reminder_held_for_its_changed_number_is_not_bundled() -> None:
    rules = evolve(RULES, group_within=HOUR)
    held = evolve(DUE, id="reminder-2", hold_code=HoldCode.NUMBER_CHANGED)
    transition = claimed(a_ledger(DUE, held), rules=rules)
    assert transition.action is not None
    assert [one.id for one in transition.action.reminders] == ["reminder-1"]
