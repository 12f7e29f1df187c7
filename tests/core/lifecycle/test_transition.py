from typing import Any

import pytest
from attrs import evolve

from reminderd.core.lifecycle.transition import CallEnd, EndKind, Transition, close, line_for
from reminderd.core.model import CallOutcome, CallState, Status
from reminderd.core.reasons import EndCode, HoldCode
from tests.support.builders import DAY, HOUR, NOW, RULES, a_call, a_ledger, a_member, a_reminder

ROW = a_reminder(Status.PROCESSING)
CALL = a_call(CallState.PLACED)


@pytest.mark.parametrize(
    "changes", [{"scheduled_at": NOW + DAY}, {"phone_number": "+12025550009"}], ids=["moved", "another number"]
)
def test_a_reminder_that_was_changed_has_left_its_calls(changes: dict[str, Any]) -> None:
    ledger = a_ledger(evolve(ROW, **changes), CALL, a_member(CALL, ROW))
    assert ledger.current(CALL) == []
    assert ledger.history(ledger.reminders["reminder-1"]) == []
    assert ledger.alive_call(ledger.reminders["reminder-1"]) is None


def test_a_deleted_reminder_has_left_its_calls() -> None:
    assert a_ledger(ROW, CALL, a_member(CALL, ROW, deleted=True)).current(CALL) == []
    assert a_ledger(CALL, a_member(CALL, ROW)).current(CALL) == []


def test_only_our_own_calls_since_call_again_are_counted() -> None:
    calls = [a_call(CallState.ENDED, id=f"c{n}", seq=n) for n in (1, 2, 3)]
    row = evolve(ROW, again_seq=1)
    ledger = a_ledger(row, *calls, evolve(calls[2], id="theirs", seq=4, adopted=True))
    assert [call.id for _, call in ledger.counted(row)] == ["c2", "c3"]
    assert ledger.attempts(row) == 2


def test_calls_in_progress_or_never_placed_are_not_attempts() -> None:
    states = [CallState.PLACED, CallState.NOT_PLACED, CallState.REFUSED, CallState.UNREPORTED, CallState.ENDED]
    calls = [a_call(state, id=f"c{n}", seq=n) for n, state in enumerate(states, 1)]
    assert a_ledger(ROW, *calls).attempts(ROW) == 2


@pytest.mark.parametrize("kind", [kind for kind in EndKind if kind is not EndKind.REPORTED])
def test_the_end_of_a_call_does_not_change_a_final_reminder(kind: EndKind) -> None:
    row = a_reminder(Status.CANCELLED)
    closed = evolve(CALL, state=CallState.ENDED, wake_at=None)
    after, lines = close(a_ledger(row, CALL), closed, CallEnd(kind=kind, reason="why"), rules=RULES, now=NOW)
    assert (after.reminders["reminder-1"], lines) == (row, ())


def test_a_call_recorded_as_heard_still_counts_when_it_closes() -> None:
    heard = evolve(CALL, outcome=CallOutcome.HEARD)
    ledger = a_ledger(a_reminder(Status.EXPIRED), heard, a_member(heard, ROW, spoken=True))
    closed = evolve(heard, state=CallState.ENDED, wake_at=None)
    after, _ = close(ledger, closed, CallEnd(kind=EndKind.NOTED), rules=RULES, now=NOW)
    assert after.reminders["reminder-1"].status is Status.CALLED


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (
            a_reminder(last_error="busy", retry_at=NOW, wake_at=NOW + HOUR),
            "scheduled again: busy, not before 2026-03-02 11:00 UTC",
        ),
        (a_reminder(hold_code=HoldCode.NOT_SENT), "scheduled again: the request was not sent; will be tried again"),
        (a_reminder(), "scheduled again: its call is over"),
        (a_reminder(Status.FAILED, last_error="busy"), "failed: busy"),
        (a_reminder(Status.EXPIRED, last_error="too late"), "expired: too late"),
        (a_reminder(Status.CANCELLED, last_error=EndCode.OPTED_OUT.sentence), "cancelled: opted out"),
        (a_reminder(Status.CALLED), "called"),
    ],
)
def test_the_log_says_what_became_of_a_reminder_and_why(row: object, text: str) -> None:
    assert line_for(row, None, RULES).text == text  # type: ignore[arg-type] # a reminder


def test_a_transition_may_be_logged_after_other_lines() -> None:
    line = line_for(ROW, CALL, RULES)
    assert Transition(ledger=a_ledger(), lines=(line,)).after([line]).lines == (line, line)
