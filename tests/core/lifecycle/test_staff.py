from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.lifecycle.staff import accepted, called_again, cancelled, done, opt_out_allowed, restored, withdrawn
from reminderd.core.lifecycle.states import limit_of
from reminderd.core.lifecycle.transition import Ledger, Level, Transition
from reminderd.core.model import CallOutcome, CallState, Reminder, Response, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Limits
from reminderd.core.sentences import NotAllowedError
from tests.support.builders import (
    DAY,
    HOUR,
    NO_HOURS,
    NOW,
    RULES,
    SECOND,
    a_call,
    a_ledger,
    a_member,
    a_reminder,
    a_report,
    claimed,
    hours,
    report_settled,
)

FAILED = a_reminder(Status.FAILED, end_code=EndCode.NOT_ANSWERED, last_error="busy", attempts=3, tries=2)
OF_ANOTHER = a_call(CallState.STRAY, reminder_id="other")


def cancel(ledger: Ledger, **changes: Any) -> Ledger:
    reminder = ledger.reminders["reminder-1"]
    return cancelled(ledger, reminder, EndCode.CANCELLED_BY_STAFF, NOW, **changes).ledger


def again(ledger: Ledger, *, rules: Any = RULES) -> Reminder:
    after = called_again(ledger, ledger.reminders["reminder-1"], rules=rules, now=NOW).ledger
    return after.reminders["reminder-1"]


def test_a_waiting_reminder_is_cancelled_with_its_reason() -> None:
    reminder = cancel(a_ledger(a_reminder()), reason="cancelled by anna").reminders["reminder-1"]
    assert (reminder.status, reminder.end_code, reminder.wake_at) == (
        Status.CANCELLED,
        EndCode.CANCELLED_BY_STAFF,
        None,
    )
    assert reminder.last_error == "cancelled by anna"


def test_a_call_that_is_no_longer_needed_is_checked_at_once() -> None:
    row = a_reminder(Status.PROCESSING)
    assert cancel(a_ledger(row, a_call(CallState.PLACED))).calls["call-1"].wake_at == NOW
    other = a_reminder(Status.PROCESSING, id="reminder-2")
    needed = a_ledger(row, other, a_call(CallState.PLACED))
    assert cancel(needed).calls == needed.calls
    for at_work in (a_call(CallState.DIALING), a_call(CallState.PLACED, lease_token="lease")):
        assert cancel(a_ledger(row, at_work)).calls["call-1"] == at_work


@pytest.mark.parametrize(
    ("code", "after"),
    [(EndCode.CANCELLED_BY_STAFF, EndCode.WITHDRAWN), (EndCode.OPTED_OUT, EndCode.OPTED_OUT)],
)
def test_withdrawing_a_cancelled_reminder_keeps_its_reason(code: EndCode, after: EndCode) -> None:
    reminder = a_reminder(Status.CANCELLED, end_code=code, last_error="by anna")
    row = withdrawn(a_ledger(reminder), reminder).ledger.reminders["reminder-1"]
    assert (row.status, row.end_code, row.last_error) == (Status.CANCELLED, after, "by anna")


@pytest.mark.parametrize("status", [one for one in Status if one.final])
def test_a_final_reminder_cannot_be_cancelled(status: Status) -> None:
    why = "the patient has already been reached" if status is Status.CALLED else "the reminder is already final"
    with pytest.raises(NotAllowedError, match=f"^{why} \\(status: {status}\\)$"):
        cancel(a_ledger(a_reminder(status)))


def test_call_again_allows_all_calls_again_with_a_new_limit() -> None:
    reminder = again(a_ledger(FAILED, a_call(CallState.ENDED, status="busy")))
    assert (reminder.status, reminder.wake_at, reminder.attempts, reminder.tries) == (Status.SCHEDULED, NOW, 0, 0)
    assert (reminder.end_code, reminder.last_error, reminder.again_seq) == (None, None, 1)
    assert reminder.again_until == NOW + RULES.max_lateness
    assert reminder.expires_at is None


def test_the_new_limit_counts_from_the_calling_hours_and_a_later_expiry_is_kept() -> None:
    later = evolve(RULES, calling_hours=hours(timedelta(hours=12), timedelta(hours=13)))
    assert again(a_ledger(FAILED), rules=later).again_until == NOW + 2 * HOUR + RULES.max_lateness
    long = again(a_ledger(evolve(FAILED, expires_at=NOW + DAY)))
    assert limit_of(long, RULES) == NOW + DAY
    early = again(a_ledger(evolve(FAILED, expires_at=NOW - DAY, scheduled_at=NOW - DAY)))
    assert limit_of(early, RULES) == NOW + RULES.max_lateness


def test_call_again_undoes_a_cancel_long_before_the_reminders_time() -> None:
    reminder = again(a_ledger(a_reminder(Status.CANCELLED, scheduled_at=NOW + DAY)))
    assert reminder.wake_at == NOW + DAY
    assert reminder.again_until == NOW + DAY + RULES.max_lateness


def test_call_again_works_after_unconfirmed_calls_and_the_maximum_of_calls() -> None:
    older = [a_call(CallState.UNREPORTED), *(a_call(CallState.ENDED, id=f"c{n}", seq=n) for n in (2, 3, 4))]
    after = again(a_ledger(FAILED, *older))
    assert claimed(a_ledger(after, *older)).ledger.reminders["reminder-1"].status is Status.DIALING


@pytest.mark.parametrize(
    ("rows", "facts", "rules", "why"),
    [
        ((FAILED, a_call(CallState.UNCONFIRMED)), {}, RULES, r"under way \(unconfirmed\)"),
        (
            (FAILED, a_call(CallState.PLACED, status="ringing")),
            {},
            RULES,
            r"\(ringing\); its end will be known by 2026-03-02",
        ),
        (
            (FAILED, a_call(CallState.STRAY, reminder_id="x"), a_member(a_call(), a_reminder(id="x"))),
            {},
            RULES,
            "under way",
        ),
        ((evolve(FAILED, response="confirmed"),), {}, RULES, "has answered: confirmed"),
        ((a_reminder(),), {}, RULES, "the reminder is scheduled"),
        ((a_reminder(Status.CALLED),), {}, RULES, "the reminder is called"),
        ((FAILED,), {"opted_out": frozenset({FAILED.phone_number})}, RULES, "opted out"),
        ((evolve(FAILED, phone_number="", message=""),), {}, RULES, "purged"),
        ((evolve(FAILED, message=" "),), {}, RULES, "message: empty"),
        ((FAILED,), {}, evolve(RULES, calling_hours=NO_HOURS), "the calling hours leave no time"),
    ],
    ids=[
        "unconfirmed call",
        "ringing",
        "stray call",
        "answered",
        "scheduled",
        "called",
        "opted out",
        "purged",
        "no message",
        "no calling hours",
    ],
)
def test_call_again_is_refused_with_the_reason(
    rows: tuple[Any, ...], facts: dict[str, Any], rules: Any, why: str
) -> None:
    with pytest.raises(NotAllowedError, match=why):
        again(a_ledger(*rows, **facts), rules=rules)


def test_call_again_is_refused_after_a_heard_call_but_not_after_a_voicemail() -> None:
    heard = a_call(CallState.ENDED, outcome=CallOutcome.HEARD)
    with pytest.raises(NotAllowedError, match="the patient was reached"):
        again(a_ledger(FAILED, heard, a_member(heard, FAILED, spoken=True)))
    machine = a_call(CallState.ENDED, outcome=CallOutcome.VOICEMAIL)
    rules = evolve(RULES, voicemail_is_reached=False)
    assert again(a_ledger(FAILED, machine, a_member(machine, FAILED, spoken=True)), rules=rules).status == "scheduled"


@pytest.mark.parametrize("outcome", CallOutcome)
@pytest.mark.parametrize("seconds", [6, 7])
def test_call_again_is_allowed_unless_a_call_reached_the_patient(outcome: CallOutcome, seconds: int) -> None:
    hung_up_at = NOW + timedelta(seconds=seconds) if outcome is CallOutcome.HUNG_UP else None
    call = a_call(CallState.ENDED, outcome=outcome, received_at=NOW, hung_up_at=hung_up_at)
    spoken = a_member(call, FAILED, spoken=True, spoken_by=NOW + timedelta(seconds=7))
    is_reached = outcome in {CallOutcome.CONFIRMED, CallOutcome.HEARD} or (hung_up_at is not None and seconds == 7)
    if is_reached:
        with pytest.raises(NotAllowedError, match="the patient was reached: the message was heard in a call"):
            again(a_ledger(FAILED, call, spoken))
    else:
        assert again(a_ledger(FAILED, call, spoken)).status is Status.SCHEDULED
    not_spoken = a_ledger(FAILED, call, a_member(call, FAILED))
    assert again(not_spoken).status is Status.SCHEDULED, "nothing of it was spoken"


def test_call_again_ignores_a_response_that_another_program_wrote() -> None:
    assert again(a_ledger(evolve(FAILED, response="perhaps"))).status is Status.SCHEDULED


def test_call_again_ignores_a_response_for_an_earlier_time() -> None:
    before = a_reminder(Status.CANCELLED, response="confirmed")
    heard = a_call(CallState.ENDED, outcome=CallOutcome.HEARD)
    moved = evolve(before, scheduled_at=NOW + DAY)
    assert again(a_ledger(moved, heard, a_member(heard, before, spoken=True))).status is Status.SCHEDULED


def test_the_new_limit_counts_from_when_the_limits_allow_a_call() -> None:
    limited = evolve(RULES, limits=Limits(per_day=1))
    reminder = again(a_ledger(FAILED, heard_at={FAILED.phone_number: (NOW,)}), rules=limited)
    assert reminder.again_until == NOW + 14 * HOUR + RULES.max_lateness


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.EXPIRED, Status.FAILED])
def test_call_again_does_not_accept_a_changed_number(status: Status) -> None:
    held = a_reminder(status, hold_code=HoldCode.NUMBER_CHANGED)
    transition = called_again(a_ledger(held), held, rules=RULES, now=NOW)
    assert transition.ledger.reminders["reminder-1"].hold_code is HoldCode.NUMBER_CHANGED
    assert "accept the new number" in transition.lines[0].text


def test_accepting_a_changed_number_releases_its_reminder() -> None:
    for due, wakes in ((NOW - HOUR, NOW), (NOW + HOUR, NOW + HOUR)):
        held = a_reminder(hold_code=HoldCode.NUMBER_CHANGED, last_error="changed", scheduled_at=due)
        transition = accepted(a_ledger(held), held, NOW)
        reminder = transition.ledger.reminders["reminder-1"]
        assert (reminder.hold_code, reminder.last_error, reminder.wake_at) == (None, None, wakes)
        assert [line.text for line in transition.lines] == ["new phone number accepted by staff"]


@pytest.mark.parametrize(
    "reminder",
    [
        a_reminder(),
        a_reminder(hold_code=HoldCode.HOURS),
        a_reminder(Status.CANCELLED, hold_code=HoldCode.NUMBER_CHANGED),
    ],
)
def test_accept_is_refused_unless_the_number_has_changed(reminder: Reminder) -> None:
    with pytest.raises(NotAllowedError, match="no new phone number waits to be accepted"):
        accepted(a_ledger(reminder), reminder, NOW)


# Called manually


def finish(ledger: Ledger) -> Transition:
    return done(ledger, ledger.reminders["reminder-1"], NOW, "done by anna")


@pytest.mark.parametrize("hold", [None, HoldCode.NUMBER_CHANGED])
def test_a_waiting_reminder_whose_patient_staff_have_called_is_cancelled(hold: HoldCode | None) -> None:
    row = finish(a_ledger(a_reminder(hold_code=hold))).ledger.reminders["reminder-1"]
    assert (row.status, row.end_code, row.done_at, row.wake_at) == (
        Status.CANCELLED,
        EndCode.DONE_BY_STAFF,
        NOW,
        None,
    )
    assert row.last_error == "done by anna"


def test_the_call_of_a_reminder_done_by_staff_is_checked_at_once() -> None:
    after = finish(a_ledger(a_reminder(Status.PROCESSING), a_call(CallState.PLACED)))
    assert after.ledger.calls["call-1"].wake_at == NOW
    assert [line.text for line in after.lines] == ["cancelled: done by anna"]


@pytest.mark.parametrize(
    "row",
    [FAILED, a_reminder(Status.EXPIRED), a_reminder(Status.CALLED, response=Response.CANCEL_REQUESTED)],
    ids=["failed", "expired", "wants to cancel"],
)
def test_a_reminder_that_needed_a_human_keeps_its_status_when_done(row: Reminder) -> None:
    after = finish(a_ledger(row))
    assert after.ledger.reminders["reminder-1"] == evolve(row, done_at=NOW)
    assert [line.text for line in after.lines] == [f"{row.status}: done by staff"]
    again = finish(after.ledger)
    assert (again.ledger, again.lines) == (after.ledger, ())


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (a_reminder(Status.CALLED), r"it needs nothing: reached \(status: called\)"),
        (a_reminder(Status.CALLED, response=Response.CONFIRMED), r"confirmed \(status: called\)"),
        (a_reminder(Status.CANCELLED), r"cancelled \(status: cancelled\)"),
    ],
)
def test_a_reminder_that_needs_no_human_cannot_be_done(row: Reminder, why: str) -> None:
    with pytest.raises(NotAllowedError, match=why):
        finish(a_ledger(row))


def test_call_again_clears_done_by_staff() -> None:
    assert again(a_ledger(evolve(FAILED, done_at=NOW))).done_at is None


@pytest.mark.parametrize(
    ("number", "is_listed", "why"),
    [
        ("", False, "its phone number and message were purged"),
        ("0170 123456", False, "this phone number can never be called"),
        ("+12025550001", True, "the number has opted out"),
    ],
)
def test_a_number_that_is_never_called_cannot_opt_out(number: str, is_listed: bool, why: str) -> None:
    with pytest.raises(NotAllowedError, match=f"^{why}$"):
        opt_out_allowed(number, is_listed=is_listed)
    opt_out_allowed("+12025550001")


def put_back(ledger: Ledger) -> Ledger:
    return restored(ledger, restored_at=NOW, now=NOW + HOUR).ledger


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.DIALING, Status.PROCESSING])
def test_a_restore_fails_reminders_that_may_have_been_called_since_the_backup(status: Status) -> None:
    reminder = put_back(a_ledger(a_reminder(status))).reminders["reminder-1"]
    assert (reminder.status, reminder.end_code, reminder.wake_at) == (Status.FAILED, EndCode.RESTORED, None)


@pytest.mark.parametrize(
    "row",
    [
        a_reminder(scheduled_at=NOW + SECOND),
        a_reminder(Status.CALLED),
        a_reminder(Status.CANCELLED),
        a_reminder(Status.FAILED, end_code=EndCode.NOT_ANSWERED),
    ],
)
def test_a_restore_keeps_reminders_that_cannot_have_been_called_since(row: object) -> None:
    ledger = a_ledger(row)  # type: ignore[arg-type] # a reminder
    assert put_back(ledger) == ledger


@pytest.mark.parametrize("state", list(CallState))
def test_a_restore_gives_up_alive_calls_until_a_sign_of_life(state: CallState) -> None:
    after = put_back(a_ledger(a_reminder(Status.PROCESSING), a_call(state)))
    call = after.calls["call-1"]
    assert call.state is (CallState.UNREPORTED if state.alive else state)
    if state.alive:
        assert (call.wake_at, call.lease_token) == (None, None)
        assert report_settled(after, a_report("ringing")).ledger.calls["call-1"].state is CallState.PLACED
        assert report_settled(after, a_report()).ledger.reminders["reminder-1"].status is Status.CALLED


def test_each_reminder_that_a_restore_fails_is_an_error_in_the_log() -> None:
    [line] = restored(a_ledger(a_reminder()), restored_at=NOW, now=NOW).lines
    assert (line.level, line.reminder_id) == (Level.ERROR, "reminder-1")
