import pytest
from attrs import evolve

from reminderd.core.lifecycle import NotAllowedError, Step, called_again, cancelled
from reminderd.core.reminder import Call, Reminder, Response, Status
from reminderd.core.rules import Rules
from tests.support.nouns import HOUR, NO_HOURS, NOW, RULES, TOKEN, a_call, a_reminder, hours

FINAL = [Status.CALLED, Status.FAILED, Status.EXPIRED, Status.CANCELLED]
WAITING = [Status.SCHEDULED, Status.DIALING, Status.PROCESSING]


def cancel(reminder: Reminder, *calls: Call) -> Step:
    return cancelled(reminder, calls, "cancelled by staff", NOW)


def again(reminder: Reminder, *calls: Call, opted_out: bool = False, rules: Rules = RULES) -> Step:
    return called_again(reminder, calls, opted_out=opted_out, rules=rules, now=NOW)


@pytest.mark.parametrize("status", WAITING)
def test_a_waiting_reminder_is_cancelled_with_its_reason(status: Status) -> None:
    step = cancel(a_reminder(status, lease_token=TOKEN, hold_reason="outside the calling hours"))
    assert (step.reminder.status, step.reminder.last_error) == (Status.CANCELLED, "cancelled by staff")
    assert (step.reminder.wake_at, step.reminder.lease_token, step.reminder.hold_reason) == (None, None, None)


@pytest.mark.parametrize("call", ["dialing", "unconfirmed", "ringing"])
def test_the_open_call_of_a_cancelled_reminder_is_looked_at_at_once(call: str) -> None:
    step = cancel(a_reminder(Status.PROCESSING, lease_token=TOKEN, wake_at=NOW + HOUR), a_call(call))
    assert (step.reminder.status, step.reminder.wake_at) == (Status.CANCELLED, NOW)
    assert step.reminder.lease_token is None
    assert step.calls == (a_call(call),)


@pytest.mark.parametrize("status", FINAL)
def test_a_final_reminder_cannot_be_cancelled(status: Status) -> None:
    with pytest.raises(NotAllowedError, match=f"it is {status} already"):
        cancel(a_reminder(status))


@pytest.mark.parametrize("status", [Status.FAILED, Status.EXPIRED, Status.CANCELLED])
def test_calling_again_gives_fresh_calls_and_a_new_time_limit(status: Status) -> None:
    old = a_reminder(status, scheduled_at=NOW - 48 * HOUR, attempts=3, last_error="busy, after 3 calls")
    step = again(old, a_call("busy"))
    assert (step.reminder.status, step.reminder.wake_at) == (Status.SCHEDULED, NOW)
    assert (step.reminder.attempts, step.reminder.last_error) == (0, None)
    assert step.reminder.expires_at == NOW + RULES.max_lateness
    assert step.calls == (a_call("busy"),)


def test_the_new_limit_counts_from_when_the_phone_may_ring() -> None:
    rules = evolve(RULES, window=hours(14 * HOUR, 18 * HOUR))
    step = again(a_reminder(Status.EXPIRED, last_error="too late"), rules=rules)
    assert step.reminder.expires_at == NOW + 4 * HOUR + RULES.max_lateness


def test_a_later_limit_of_its_own_is_kept() -> None:
    step = again(a_reminder(Status.FAILED, last_error="x", expires_at=NOW + 24 * HOUR))
    assert step.reminder.expires_at == NOW + 24 * HOUR


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.FAILED])
@pytest.mark.parametrize("call", ["dialing", "unconfirmed", "ringing", "on-hold"])
def test_it_is_refused_while_a_call_is_open_and_says_until_when(status: Status, call: str) -> None:
    with pytest.raises(NotAllowedError, match=rf"still open \({call}\); its end is known by 2026-03-02 11:00 UTC"):
        again(a_reminder(status, wake_at=NOW + HOUR, last_error="x"), a_call(call))


def test_until_when_is_left_out_where_it_is_not_known() -> None:
    with pytest.raises(NotAllowedError, match=r"still open \(ringing\)$"):
        again(a_reminder(Status.FAILED, wake_at=None, last_error="x"), a_call("ringing"))


@pytest.mark.parametrize("attempt", [1, None], ids=["one of its calls", "a report kept without a call"])
def test_it_is_refused_if_a_call_was_completed(attempt: int | None) -> None:
    with pytest.raises(NotAllowedError, match="reached"):
        again(a_reminder(Status.CANCELLED, last_error="x"), a_call("completed", attempt=attempt))


def test_a_voicemail_is_no_reason_to_refuse_where_it_does_not_count_as_reached() -> None:
    failed = a_reminder(Status.FAILED, last_error="voicemail, after 3 calls", attempts=3)
    calls = (
        a_call("completed", answered_by="machine_start"),
        a_call("completed", id="2", attempt=2, answered_by="fax"),
    )
    step = again(failed, *calls, rules=evolve(RULES, voicemail_is_reached=False))
    assert (step.reminder.status, step.reminder.attempts, step.calls) == (Status.SCHEDULED, 0, calls)
    with pytest.raises(NotAllowedError, match="reached"):
        again(failed, *calls)


@pytest.mark.parametrize("response", Response)
def test_it_is_refused_if_the_patient_has_answered_by_a_key_though_the_call_was_never_reported(
    response: Response,
) -> None:
    gone = a_reminder(Status.CANCELLED, last_error="cancelled by staff", response=response.value)
    with pytest.raises(NotAllowedError, match=f"reached, and has answered: {response}"):
        again(gone, a_call("unreported"))


def test_another_programs_own_word_for_an_answer_is_no_reason_to_refuse() -> None:
    step = again(a_reminder(Status.FAILED, last_error="x", response="asked by mail"))
    assert (step.reminder.status, step.reminder.response) == (Status.SCHEDULED, "asked by mail")


@pytest.mark.parametrize("status", [*WAITING, Status.CALLED])
def test_it_is_refused_for_what_still_waits_or_was_reached(status: Status) -> None:
    with pytest.raises(NotAllowedError, match=f"it is {status}: only failed, expired or cancelled"):
        again(a_reminder(status))


def test_it_is_refused_for_a_number_that_has_opted_out() -> None:
    with pytest.raises(NotAllowedError, match="opted out"):
        again(a_reminder(Status.FAILED, last_error="x"), opted_out=True)


def test_it_is_refused_for_a_row_that_can_never_be_rung() -> None:
    with pytest.raises(NotAllowedError, match="phone_number: not a possible number"):
        again(a_reminder(Status.FAILED, last_error="x", phone_number="12"))


def test_it_is_refused_if_the_calling_hours_leave_no_time() -> None:
    with pytest.raises(NotAllowedError, match="no time to ring"):
        again(
            a_reminder(Status.FAILED, last_error="x"),
            rules=evolve(RULES, window=NO_HOURS),
        )


def test_a_purged_reminder_is_not_rung_again() -> None:
    with pytest.raises(NotAllowedError, match="its phone number and message were purged"):
        again(a_reminder(Status.FAILED, phone_number="", message=""))
