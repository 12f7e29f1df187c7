from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from reminderd.core.answers import (
    Accepted,
    AccountTrouble,
    Candidates,
    Found,
    NotFound,
    NotPlaced,
    Refused,
    Report,
    Unclear,
)
from reminderd.core.lifecycle.transition import Action
from reminderd.core.model import UNNUMBERED, CallOutcome, CallState, Status
from reminderd.core.reasons import HoldCode
from reminderd.store.errors import UnknownReminderError
from reminderd.store.sqlite.driver import IntegrityError
from tests.support.builders import LOOK_UP, able
from tests.support.rows import insert_call
from tests.support.store import Desk, a_desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path / "reminderd.db") as desk:
        desk.insert()
        yield desk


@pytest.fixture
def action(desk: Desk) -> Action:
    [action] = desk.claim()
    return action


def completed(reminder_id: str = "r1", external_call_id: str = "ext-1", attempt_id: str | None = None) -> Report:
    return Report(
        external_call_id=external_call_id,
        status="completed",
        reminder_id=reminder_id,
        attempt_id=attempt_id,
        transcript="Yes, I'll come.",
    )


def test_an_accepted_call_keeps_the_providers_id(desk: Desk, action: Action) -> None:
    desk.answer(action, Accepted("ext-1"))
    assert (desk.reminder().status, desk.reminder().wake_at) == (Status.PROCESSING, None)
    assert [(call.state, call.status, call.external_call_id) for call in desk.calls()] == [
        (CallState.PLACED, "queued", "ext-1")
    ]


def test_a_completed_report_makes_the_reminder_called_with_its_transcript(desk: Desk, action: Action) -> None:
    desk.answer(action, Accepted("ext-1"))
    assert not desk.report(completed()).duplicate
    assert (desk.reminder().status, desk.reminder().wake_at) == (Status.CALLED, None)
    [call] = desk.calls()
    assert (call.state, call.status, call.outcome) == (CallState.ENDED, "completed", CallOutcome.HEARD)
    assert (call.transcript, call.received_at) == ("Yes, I'll come.", desk.now)
    assert desk.count("webhook_receipts") == 1


def test_a_second_webhook_for_the_same_call_changes_nothing(desk: Desk, action: Action) -> None:
    desk.answer(action, Accepted("ext-1"))
    desk.report(completed())
    before = desk.reminder(), desk.calls()
    for status in ("completed", "failed", "busy"):
        repeat = Report(external_call_id="ext-1", status=status, reminder_id="r1")
        assert desk.report(repeat).duplicate
    assert (desk.reminder(), desk.calls()) == before


def test_a_webhook_before_the_providers_own_answer_is_not_lost(desk: Desk, action: Action) -> None:
    desk.report(completed(attempt_id=action.call.id))
    assert desk.reminder().status is Status.CALLED
    desk.answer(action, Accepted("ext-1"))
    assert desk.reminder().status is Status.CALLED
    assert [(call.status, call.external_call_id) for call in desk.calls()] == [("completed", "ext-1")]


def test_a_report_for_an_unknown_reminder_writes_nothing(desk: Desk) -> None:
    with pytest.raises(UnknownReminderError):
        desk.report(completed("nobody"))
    assert desk.count("webhook_receipts") == 0


def test_a_report_for_a_reminder_that_was_never_called_is_a_call_of_its_own(desk: Desk) -> None:
    before = desk.reminder()
    assert not desk.report(completed()).duplicate
    assert desk.report(completed()).duplicate
    assert desk.reminder() == before
    assert (desk.count("call_logs"), desk.count("call_reminders"), desk.count("webhook_receipts")) == (1, 0, 1)


def test_a_reused_id_cannot_silence_a_call_that_names_itself(desk: Desk, action: Action) -> None:
    desk.answer(action, Accepted("ext-1"))
    desk.report(completed())
    desk.insert("r2", "+12025550002")
    [other] = desk.claim()
    desk.answer(other, Accepted("ext-1"))
    assert desk.calls("r2")[0].external_call_id is None
    desk.report(completed("r2", attempt_id=other.call.id))
    assert desk.reminder("r2").status is Status.CALLED


def test_a_report_of_an_attempt_that_is_not_ours_settles_no_other_call(desk: Desk) -> None:
    desk.claim()
    transition = desk.report(completed(external_call_id="stranger", attempt_id="theirs"))
    assert [call.state for call in desk.calls()] == [CallState.DIALING]
    assert desk.reminder().status is Status.DIALING
    kept = desk.call("theirs")
    assert (kept.state, kept.adopted, kept.external_call_id) == (CallState.ENDED, True, "stranger")
    assert transition.call == evolve(kept, seq=UNNUMBERED, updated_at=None)


def test_a_sign_of_life_of_one_makes_its_number_busy(desk: Desk) -> None:
    desk.report(Report(external_call_id="stranger", status="ringing", reminder_id="r1", attempt_id="theirs"))
    assert desk.claim() == []
    assert desk.reminder().hold_code is HoldCode.NUMBER_BUSY
    desk.report(completed(external_call_id="stranger", attempt_id="theirs"))
    assert len(desk.claim()) == 1


@pytest.mark.parametrize(
    ("answer", "reminder", "state", "tries"),
    [
        (Refused("422: no such number"), Status.FAILED, CallState.REFUSED, 0),
        (NotPlaced("connection refused"), Status.SCHEDULED, CallState.NOT_PLACED, 1),
        (AccountTrouble("401"), Status.SCHEDULED, CallState.NOT_PLACED, 0),
        (Unclear("no answer in time"), Status.PROCESSING, CallState.UNCONFIRMED, 0),
    ],
)
def test_each_answer_is_recorded(
    desk: Desk, action: Action, answer: Refused, reminder: Status, state: CallState, tries: int
) -> None:
    desk.answer(action, answer)
    assert desk.reminder().status is reminder
    assert ([call.state for call in desk.calls()], desk.reminder().tries) == ([state], tries)
    assert str(desk.calls()[0].error).endswith(answer.reason)


def test_a_request_that_was_not_sent_leaves_the_reminder_as_it_was(desk: Desk, action: Action) -> None:
    desk.not_sent(action)
    assert (desk.reminder().status, desk.reminder().wake_at) == (Status.SCHEDULED, desk.now)
    assert [(call.state, call.requests) for call in desk.calls()] == [(CallState.NOT_PLACED, 0)]


def test_a_found_call_is_settled_as_if_reported(desk: Desk, action: Action) -> None:
    desk.rules = able(LOOK_UP)
    desk.answer(action, Unclear("no answer in time"))
    desk.later(desk.rules.confirm_after)
    [look_up] = desk.claim()
    desk.found(look_up, Found(Report(external_call_id="ext-9", status="completed", transcript="Hello?")))
    assert desk.reminder().status is Status.CALLED
    assert [(call.external_call_id, call.transcript) for call in desk.calls()] == [("ext-9", "Hello?")]


def test_a_missing_call_is_looked_for_again(desk: Desk, action: Action) -> None:
    desk.rules = able(LOOK_UP)
    desk.answer(action, Unclear("no answer in time"))
    desk.later(desk.rules.confirm_after)
    [look_up] = desk.claim()
    desk.found(look_up, NotFound())
    [call] = desk.calls()
    assert (desk.reminder().status, call.checks) == (Status.PROCESSING, 1)
    assert call.wake_at == desk.now + desk.rules.confirm_after


def test_what_was_learned_of_a_call_that_is_gone_is_nothing(desk: Desk, action: Action) -> None:
    desk.connection.execute("DELETE FROM call_logs")
    assert desk.answer(action, Accepted("ext-1")) is None
    assert desk.not_sent(action) is None
    assert desk.found(action, NotFound()) is None


def test_the_database_itself_forbids_a_second_open_call_to_a_number(desk: Desk) -> None:
    desk.claim()
    with pytest.raises(IntegrityError):
        desk.connection.execute(
            "INSERT INTO call_logs (reminder_id, phone_number, state, wake_at, last_sign_at)"
            " SELECT 'another', phone_number, 'placed', 1, 1 FROM call_logs"
        )


def test_a_call_outlives_its_reminder(desk: Desk, action: Action) -> None:
    desk.answer(action, Accepted("ext-1"))
    desk.connection.execute("DELETE FROM reminders")
    desk.report(completed(attempt_id=action.call.id))
    assert desk.call(action.call.id).state is CallState.ENDED


def test_a_report_that_names_only_our_call_finds_its_reminder(desk: Desk, action: Action) -> None:
    transition = desk.report(Report(external_call_id="ext-1", status="completed", attempt_id=action.call.id))
    assert desk.reminder().status is Status.CALLED
    assert not transition.duplicate


def test_the_providers_id_alone_finds_the_call_too(desk: Desk, action: Action) -> None:
    desk.answer(action, Accepted("ext-1"))
    desk.report(Report(external_call_id="ext-1", status="completed"))
    assert desk.reminder().status is Status.CALLED


def test_one_that_names_nothing_of_ours_writes_nothing(desk: Desk, action: Action) -> None:
    desk.answer(action, Accepted("ext-1"))
    before = desk.reminder(), desk.calls()
    with pytest.raises(UnknownReminderError):
        desk.report(Report(external_call_id="ext-1", status="completed", attempt_id="nobody's"))
    assert (desk.reminder(), desk.calls()) == before
    assert desk.count("webhook_receipts") == 0


def candidates(*ids: str, status: str = "completed") -> Candidates:
    return Candidates(tuple(Report(external_call_id=name, status=status) for name in ids))


def looked_for(desk: Desk, action: Action) -> Action:
    """Nobody knows what became of the call, and the provider is being asked."""
    desk.rules = able(LOOK_UP)
    desk.answer(action, Unclear("no answer in time"))
    desk.later(desk.rules.confirm_after)
    [look_up] = desk.claim()
    return look_up


def test_the_only_candidate_is_adopted(desk: Desk, action: Action) -> None:
    desk.found(looked_for(desk, action), candidates("ext-9"))
    assert desk.reminder().status is Status.CALLED
    assert [(call.external_call_id, call.status) for call in desk.calls()] == [("ext-9", "completed")]


def test_so_is_the_only_one_that_is_no_other_calls(desk: Desk, action: Action) -> None:
    look_up = looked_for(desk, action)
    desk.insert("r2", "+12025550002", status="called")
    insert_call(desk.connection, "r2", external_call_id="ext-8", status="completed")
    desk.found(look_up, candidates("ext-8", "ext-9", status="ringing"))
    assert [(call.external_call_id, call.status) for call in desk.calls()] == [("ext-9", "ringing")]
    assert desk.calls("r2")[0].external_call_id == "ext-8"


@pytest.mark.parametrize("ids", [(), ("ext-8", "ext-9")], ids=["none", "two"])
def test_none_or_several_are_no_evidence(desk: Desk, action: Action, ids: tuple[str, ...]) -> None:
    desk.found(looked_for(desk, action), candidates(*ids))
    [call] = desk.calls()
    assert (call.state, call.external_call_id, call.checks) == (CallState.UNCONFIRMED, None, 1)
    assert (desk.reminder().status, desk.count("webhook_receipts")) == (Status.PROCESSING, 0)


def test_a_webhook_that_overtook_the_question_decides_which_is_meant(desk: Desk, action: Action) -> None:
    look_up = looked_for(desk, action)
    desk.report(Report(external_call_id="ext-1", status="ringing", attempt_id=action.call.id))
    before = desk.reminder(), desk.calls()
    desk.found(look_up, candidates("ext-9", status="busy"))
    assert (desk.reminder(), desk.calls()) == before
    assert desk.count("webhook_receipts") == 0


@pytest.mark.parametrize("number", ["+12025550194", "202\u00a0555\u200b0194", "(202) 555\n0194", "2-0-2-5-5-5-0-1-9-4"])
def test_no_reason_is_stored_with_a_phone_number_in_it(desk: Desk, action: Action, number: str) -> None:
    desk.answer(action, Refused(f"422 Unprocessable: {number} can't be called"))
    reminder, [call] = desk.reminder(), desk.calls()
    for reason in (reminder.last_error, call.error):
        assert reason is not None
        assert "can't be called" in reason
        assert sum(one.isdigit() for one in reason) <= len("422") + 2
