from collections.abc import Iterator
from pathlib import Path

import pytest

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
from reminderd.core.lifecycle import Claimed
from reminderd.core.reminder import Status
from reminderd.store.driver import IntegrityError
from reminderd.store.errors import UnknownReminderError
from tests.support.desk import Desk, a_desk
from tests.support.nouns import LOOK_UP, able


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path / "reminderd.db") as desk:
        desk.insert()
        yield desk


@pytest.fixture
def claimed(desk: Desk) -> Claimed:
    [claimed] = desk.claim()
    return claimed


def completed(reminder_id: str = "r1", external_call_id: str = "ext-1", attempt_id: str | None = None) -> Report:
    return Report(
        external_call_id=external_call_id,
        status="completed",
        reminder_id=reminder_id,
        attempt_id=attempt_id,
        transcript="Yes, I'll come.",
    )


def test_an_accepted_call_keeps_the_providers_id(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, Accepted("ext-1"))
    assert (desk.reminder().status, desk.reminder().external_call_id) == (Status.PROCESSING, "ext-1")
    assert [(call.status, call.external_call_id) for call in desk.calls()] == [("queued", "ext-1")]


def test_a_completed_report_makes_the_reminder_called_with_its_transcript(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, Accepted("ext-1"))
    assert not desk.report(completed()).duplicate
    assert (desk.reminder().status, desk.reminder().wake_at) == (Status.CALLED, None)
    [call] = desk.calls()
    assert (call.status, call.transcript, call.received_at) == ("completed", "Yes, I'll come.", desk.now)
    assert desk.count("webhook_receipts") == 1


def test_a_second_webhook_for_the_same_call_changes_nothing(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, Accepted("ext-1"))
    desk.report(completed())
    before = desk.reminder(), desk.calls()
    for status in ("completed", "failed", "busy"):
        repeat = Report(external_call_id="ext-1", status=status, reminder_id="r1")
        assert desk.report(repeat).duplicate
    assert (desk.reminder(), desk.calls()) == before


def test_a_webhook_before_the_providers_own_answer_is_not_lost(desk: Desk, claimed: Claimed) -> None:
    desk.report(completed(attempt_id=claimed.call.id))
    assert desk.reminder().status is Status.CALLED
    desk.answer(claimed, Accepted("ext-1"))
    assert desk.reminder().status is Status.CALLED
    assert [(call.status, call.external_call_id) for call in desk.calls()] == [("completed", "ext-1")]


def test_a_report_for_an_unknown_reminder_writes_nothing(desk: Desk) -> None:
    with pytest.raises(UnknownReminderError):
        desk.report(completed("nobody"))
    assert desk.count("webhook_receipts") == 0


def test_a_report_for_a_reminder_that_was_never_dialled_leaves_a_receipt_only(desk: Desk) -> None:
    before = desk.reminder()
    assert not desk.report(completed()).duplicate
    assert desk.report(completed()).duplicate
    assert desk.reminder() == before
    assert (desk.count("call_logs"), desk.count("webhook_receipts")) == (0, 1)


def test_a_reused_id_cannot_silence_a_call_that_names_itself(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, Accepted("ext-1"))
    desk.report(completed())
    desk.insert("r2", "+15550100002")
    [other] = desk.claim()
    desk.answer(other, Accepted("ext-1"))
    assert desk.calls("r2")[0].external_call_id is None
    desk.report(completed("r2", attempt_id=other.call.id))
    assert desk.reminder("r2").status is Status.CALLED


def test_a_report_that_matches_none_of_several_calls_is_kept_in_a_row_of_its_own(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, Accepted("ext-1"))
    desk.report(Report(external_call_id="stranger", status="busy", reminder_id="r1"))
    assert [(call.attempt, call.status, call.external_call_id) for call in desk.calls()] == [
        (1, "queued", "ext-1"),
        (None, "busy", "stranger"),
    ]
    assert desk.reminder().status is Status.PROCESSING
    desk.report(completed(external_call_id="another stranger"))
    assert desk.reminder().status is Status.CALLED


@pytest.mark.parametrize(
    ("answer", "reminder", "call", "tries"),
    [
        (Refused("422: no such number"), Status.FAILED, "refused", 1),
        (NotPlaced("connection refused"), Status.SCHEDULED, "not-placed", 1),
        (AccountTrouble("401"), Status.SCHEDULED, "not-placed", 0),
        (Unclear("no answer in time"), Status.PROCESSING, "unconfirmed", 1),
    ],
)
def test_each_answer_is_recorded(
    desk: Desk, claimed: Claimed, answer: Refused, reminder: Status, call: str, tries: int
) -> None:
    desk.answer(claimed, answer)
    assert desk.reminder().status is reminder
    assert [(c.status, c.tries) for c in desk.calls()] == [(call, tries)]
    assert str(desk.calls()[0].error).endswith(answer.reason)


def test_a_call_that_was_not_placed_is_taken_up_again_with_its_key(desk: Desk, claimed: Claimed) -> None:
    desk.answer(claimed, NotPlaced("connection refused"))
    desk.later(desk.rules.backoff.maximum)
    [again] = desk.claim()
    assert (again.call.id, again.call.tries) == (claimed.call.id, 2)
    assert desk.reminder().attempts == 1


def test_a_request_that_was_not_sent_leaves_the_reminder_as_it_was(desk: Desk, claimed: Claimed) -> None:
    desk.not_sent(claimed)
    assert (desk.reminder().status, desk.reminder().wake_at) == (Status.SCHEDULED, desk.now)
    assert [(call.status, call.tries) for call in desk.calls()] == [("not-placed", 0)]


def test_a_found_call_is_settled_as_if_reported(desk: Desk, claimed: Claimed) -> None:
    desk.rules = able(LOOK_UP)
    desk.answer(claimed, Unclear("no answer in time"))
    desk.later(desk.rules.confirm_after)
    [look_up] = desk.claim()
    desk.found(look_up, Found(Report(external_call_id="ext-9", status="completed", transcript="Hello?")))
    assert desk.reminder().status is Status.CALLED
    assert [(call.external_call_id, call.transcript) for call in desk.calls()] == [("ext-9", "Hello?")]


def test_a_missing_call_is_looked_for_again(desk: Desk, claimed: Claimed) -> None:
    desk.rules = able(LOOK_UP)
    desk.answer(claimed, Unclear("no answer in time"))
    desk.later(desk.rules.confirm_after)
    [look_up] = desk.claim()
    desk.found(look_up, NotFound())
    assert (desk.reminder().status, desk.calls()[0].checks) == (Status.PROCESSING, 1)
    assert desk.reminder().wake_at == desk.now + desk.rules.confirm_after


def test_what_was_learned_of_a_row_that_is_gone_is_nothing(desk: Desk, claimed: Claimed) -> None:
    desk.connection.execute("DELETE FROM reminders")
    assert desk.answer(claimed, Accepted("ext-1")) is None
    assert desk.not_sent(claimed) is None
    assert desk.found(claimed, NotFound()) is None


def test_the_database_itself_forbids_a_second_open_call(desk: Desk, claimed: Claimed) -> None:
    with pytest.raises(IntegrityError):
        desk.connection.execute("INSERT INTO call_logs (reminder_id, attempt) VALUES (?, 2)", (claimed.reminder.id,))


def test_a_report_that_names_only_our_call_finds_its_reminder(desk: Desk, claimed: Claimed) -> None:
    step = desk.report(Report(external_call_id="ext-1", status="completed", attempt_id=claimed.call.id))
    assert (step.reminder.id, desk.reminder().status) == ("r1", Status.CALLED)
    assert not step.duplicate


@pytest.mark.parametrize("attempt_id", ["nobody's", None])
def test_one_that_names_nothing_of_ours_writes_nothing(desk: Desk, claimed: Claimed, attempt_id: str | None) -> None:
    desk.answer(claimed, Accepted("ext-1"))
    before = desk.reminder(), desk.calls()
    with pytest.raises(UnknownReminderError):
        desk.report(Report(external_call_id="ext-1", status="completed", attempt_id=attempt_id))
    assert (desk.reminder(), desk.calls()) == before
    assert desk.count("webhook_receipts") == 0


def candidates(*ids: str, status: str = "completed") -> Candidates:
    return Candidates(tuple(Report(external_call_id=name, status=status) for name in ids))


def looked_for(desk: Desk, claimed: Claimed) -> Claimed:
    """Nobody knows what became of the call, and the provider is being asked."""
    desk.rules = able(LOOK_UP)
    desk.answer(claimed, Unclear("no answer in time"))
    desk.later(desk.rules.confirm_after)
    [look_up] = desk.claim()
    return look_up


def test_the_only_candidate_is_adopted(desk: Desk, claimed: Claimed) -> None:
    desk.found(looked_for(desk, claimed), candidates("ext-9"))
    assert desk.reminder().status is Status.CALLED
    assert [(call.external_call_id, call.status) for call in desk.calls()] == [("ext-9", "completed")]


def test_so_is_the_only_one_that_is_no_other_calls(desk: Desk, claimed: Claimed) -> None:
    look_up = looked_for(desk, claimed)
    desk.insert("r2", "+15550100002", status="called")
    desk.connection.execute(
        "INSERT INTO call_logs (reminder_id, attempt, external_call_id, status) VALUES ('r2', 1, 'ext-8', 'completed')"
    )
    desk.found(look_up, candidates("ext-8", "ext-9", status="ringing"))
    assert [(call.external_call_id, call.status) for call in desk.calls()] == [("ext-9", "ringing")]
    assert desk.calls("r2")[0].external_call_id == "ext-8"


@pytest.mark.parametrize(("ids", "missing"), [((), 1), (("ext-8", "ext-9"), 0)], ids=["none", "two"])
def test_none_or_several_are_no_evidence(desk: Desk, claimed: Claimed, ids: tuple[str, ...], missing: int) -> None:
    desk.found(looked_for(desk, claimed), candidates(*ids))
    [call] = desk.calls()
    assert (call.status, call.external_call_id, call.checks, call.not_found) == ("unconfirmed", None, 1, missing)
    assert (desk.reminder().status, desk.count("webhook_receipts")) == (Status.PROCESSING, 0)


def test_a_webhook_that_overtook_the_question_decides_which_is_meant(desk: Desk, claimed: Claimed) -> None:
    look_up = looked_for(desk, claimed)
    desk.report(Report(external_call_id="ext-1", status="ringing", attempt_id=claimed.call.id))
    before = desk.reminder(), desk.calls()
    desk.found(look_up, candidates("ext-9", status="busy"))
    assert (desk.reminder(), desk.calls()) == before
    assert desk.count("webhook_receipts") == 0
