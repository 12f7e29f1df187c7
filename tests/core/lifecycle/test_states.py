import pytest
from attrs import evolve

from reminderd.core.lifecycle.states import CallEnd, EndKind, close_call, line_for
from reminderd.core.model import CallOutcome, CallState, Reminder, Status
from reminderd.core.reasons import EndCode, HoldCode
from tests.support.builders import HOUR, NOW, RULES, a_call, a_ledger, a_member, a_reminder

ROW = a_reminder(Status.PROCESSING)
CALL = a_call(CallState.PLACED)


@pytest.mark.parametrize("kind", [kind for kind in EndKind if kind is not EndKind.REPORTED])
def test_the_end_of_a_call_does_not_change_a_final_reminder(kind: EndKind) -> None:
    row = a_reminder(Status.CANCELLED)
    closed = evolve(CALL, state=CallState.ENDED, wake_at=None)
    end = CallEnd(kind=kind, reason="why")
    transition = close_call(a_ledger(row, CALL), closed, end, rules=RULES, now=NOW)
    assert (transition.ledger.reminders["reminder-1"], transition.lines) == (row, ())


def test_a_call_recorded_as_heard_still_counts_when_it_closes() -> None:
    heard = evolve(CALL, outcome=CallOutcome.HEARD)
    ledger = a_ledger(a_reminder(Status.EXPIRED), heard, a_member(heard, ROW, spoken=True))
    closed = evolve(heard, state=CallState.ENDED, wake_at=None)
    after = close_call(ledger, closed, CallEnd(kind=EndKind.REPORTED_LATE), rules=RULES, now=NOW).ledger
    assert after.reminders["reminder-1"].status is Status.CALLED


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (
            a_reminder(last_error="busy", retry_at=NOW, wake_at=NOW + HOUR),
            "scheduled: busy, not before 2026-03-02 11:00:00 UTC",
        ),
        (a_reminder(hold_code=HoldCode.NOT_SENT), "scheduled: the request was not sent; will be tried again"),
        (a_reminder(), "scheduled: its call is over"),
        (a_reminder(Status.FAILED, last_error="busy"), "failed: busy"),
        (a_reminder(Status.EXPIRED, last_error="too late"), "expired: too late"),
        (a_reminder(Status.CANCELLED, last_error=EndCode.OPTED_OUT.sentence), "cancelled: opted out"),
        (a_reminder(Status.CALLED), "called: the patient was reached"),
    ],
)
def test_the_log_shows_the_new_status_of_a_reminder_and_why(row: Reminder, text: str) -> None:
    assert line_for(row, None, RULES).text == text


@pytest.mark.parametrize(
    ("outcome", "how"),
    [
        (CallOutcome.HEARD, "somebody heard the message"),
        (CallOutcome.CONFIRMED, "somebody heard the message"),
        (CallOutcome.HUNG_UP, "hung up, but only after the message"),
        (CallOutcome.VOICEMAIL, "voicemail, which counts as reached"),
    ],
)
def test_the_log_says_that_somebody_heard_the_message_only_if_that_was_concluded(
    outcome: CallOutcome, how: str
) -> None:
    assert line_for(a_reminder(Status.CALLED), evolve(CALL, outcome=outcome), RULES).text == f"called: {how}"
