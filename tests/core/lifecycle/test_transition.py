from typing import Any

import pytest
from attrs import evolve

from reminderd.core.lifecycle.transition import LogLine, Transition
from reminderd.core.model import CallState, Status
from tests.support.builders import DAY, NOW, a_call, a_ledger, a_member, a_reminder

ROW = a_reminder(Status.PROCESSING)
CALL = a_call(CallState.PLACED)


@pytest.mark.parametrize(
    "changes", [{"scheduled_at": NOW + DAY}, {"phone_number": "+12025550009"}], ids=["moved", "another number"]
)
def test_a_reminder_that_was_changed_has_left_its_calls(changes: dict[str, Any]) -> None:
    ledger = a_ledger(evolve(ROW, **changes), CALL, a_member(CALL, ROW))
    assert ledger.current_members(CALL) == []
    assert ledger.history(ledger.reminders["reminder-1"]) == []
    assert ledger.alive_call(ledger.reminders["reminder-1"]) is None


def test_a_deleted_reminder_has_left_its_calls() -> None:
    assert a_ledger(ROW, CALL, a_member(CALL, ROW, deleted=True)).current_members(CALL) == []
    assert a_ledger(CALL, a_member(CALL, ROW)).current_members(CALL) == []


def test_only_our_own_calls_since_call_again_are_counted() -> None:
    calls = [a_call(CallState.ENDED, id=f"c{n}", seq=n) for n in (1, 2, 3)]
    row = evolve(ROW, again_seq=1)
    ledger = a_ledger(row, *calls, evolve(calls[2], id="theirs", seq=4, adopted=True))
    assert [call.id for _, call in ledger.counted_calls(row)] == ["c2", "c3"]
    assert ledger.attempts(row) == 2


def test_calls_in_progress_or_never_placed_are_not_attempts() -> None:
    states = [CallState.PLACED, CallState.NOT_PLACED, CallState.REFUSED, CallState.UNREPORTED, CallState.ENDED]
    calls = [a_call(state, id=f"c{n}", seq=n) for n, state in enumerate(states, 1)]
    assert a_ledger(ROW, *calls).attempts(ROW) == 2


def test_a_transition_may_be_logged_after_other_lines() -> None:
    line = LogLine("dialing")
    assert Transition(ledger=a_ledger(), lines=(line,)).with_lines_before([line]).lines == (line, line)
