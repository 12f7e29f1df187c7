from collections.abc import Iterator

import pytest
from attrs import evolve

from reminderd.core.answers import (
    Accepted,
    AccountRefused,
    Candidates,
    Found,
    NotFound,
    NotPlaced,
    Refused,
    Report,
    Unclear,
)
from reminderd.core.lifecycle.transition import Action, ActionKind
from reminderd.core.model import UNNUMBERED, CallOutcome, CallState, Status
from reminderd.core.reasons import HoldCode
from reminderd.databases import Target
from reminderd.store.errors import UnknownReminderError
from tests.support.builders import LOOK_UP, able
from tests.support.rows import insert_call, refused_as_second
from tests.support.store import Store, a_store


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        store.insert()
        yield store


@pytest.fixture
def action(store: Store) -> Action:
    [action] = store.claim()
    return action


def completed(reminder_id: str = "r1", external_call_id: str = "ext-1", attempt_id: str | None = None) -> Report:
    return Report(
        external_call_id=external_call_id,
        status="completed",
        reminder_id=reminder_id,
        attempt_id=attempt_id,
        transcript="Yes, I'll come.",
    )


def test_an_accepted_call_keeps_the_providers_id(store: Store, action: Action) -> None:
    store.answer(action, Accepted("ext-1"))
    assert (store.reminder().status, store.reminder().wake_at) == (Status.PROCESSING, None)
    assert [(call.state, call.status, call.external_call_id) for call in store.calls()] == [
        (CallState.PLACED, "queued", "ext-1")
    ]


def test_a_completed_report_makes_the_reminder_called_with_its_transcript(store: Store, action: Action) -> None:
    store.answer(action, Accepted("ext-1"))
    assert not store.report(completed()).duplicate
    assert (store.reminder().status, store.reminder().wake_at) == (Status.CALLED, None)
    [call] = store.calls()
    assert (call.state, call.status, call.outcome) == (CallState.ENDED, "completed", CallOutcome.HEARD)
    assert (call.transcript, call.received_at) == ("Yes, I'll come.", store.now)
    assert store.count("webhook_receipts") == 1


def test_a_second_webhook_for_the_same_call_changes_nothing(store: Store, action: Action) -> None:
    store.answer(action, Accepted("ext-1"))
    store.report(completed())
    before = store.reminder(), store.calls()
    for status in ("completed", "failed", "busy"):
        repeat = Report(external_call_id="ext-1", status=status, reminder_id="r1")
        assert store.report(repeat).duplicate
    assert (store.reminder(), store.calls()) == before


def test_a_webhook_before_the_providers_own_answer_is_not_lost(store: Store, action: Action) -> None:
    store.report(completed(attempt_id=action.call.id))
    assert store.reminder().status is Status.CALLED
    store.answer(action, Accepted("ext-1"))
    assert store.reminder().status is Status.CALLED
    assert [(call.status, call.external_call_id) for call in store.calls()] == [("completed", "ext-1")]


def test_a_report_for_an_unknown_reminder_writes_nothing(store: Store) -> None:
    with pytest.raises(UnknownReminderError):
        store.report(completed("nobody"))
    assert store.count("webhook_receipts") == 0


def test_a_report_for_a_reminder_without_a_call_adopts_its_call(store: Store) -> None:
    before = store.reminder()
    assert not store.report(completed()).duplicate
    assert store.report(completed()).duplicate
    assert store.reminder() == before
    assert (store.count("call_logs"), store.count("call_reminders"), store.count("webhook_receipts")) == (1, 0, 1)


def test_a_reused_provider_id_does_not_suppress_a_report_with_our_id(store: Store, action: Action) -> None:
    store.answer(action, Accepted("ext-1"))
    store.report(completed())
    store.insert("r2", "+12025550002")
    [other] = store.claim()
    store.answer(other, Accepted("ext-1"))
    assert store.calls("r2")[0].external_call_id is None
    store.report(completed("r2", attempt_id=other.call.id))
    assert store.reminder("r2").status is Status.CALLED


def test_a_report_of_an_attempt_that_is_not_ours_settles_no_other_call(store: Store) -> None:
    store.claim()
    transition = store.report(completed(external_call_id="stranger", attempt_id="theirs"))
    assert [call.state for call in store.calls()] == [CallState.DIALING]
    assert store.reminder().status is Status.DIALING
    kept = store.call("theirs")
    assert (kept.state, kept.adopted, kept.external_call_id) == (CallState.ENDED, True, "stranger")
    assert transition.call == evolve(kept, seq=UNNUMBERED, updated_at=None)


def test_a_sign_of_life_of_an_adopted_call_makes_its_number_busy(store: Store) -> None:
    store.report(Report(external_call_id="stranger", status="ringing", reminder_id="r1", attempt_id="theirs"))
    assert store.claim() == []
    assert store.reminder().hold_code is HoldCode.NUMBER_BUSY
    store.report(completed(external_call_id="stranger", attempt_id="theirs"))
    assert len(store.claim()) == 1


@pytest.mark.parametrize(
    ("answer", "reminder", "state", "tries"),
    [
        (Refused("422: no such number"), Status.FAILED, CallState.REFUSED, 0),
        (NotPlaced("connection refused"), Status.SCHEDULED, CallState.NOT_PLACED, 1),
        (AccountRefused("401"), Status.SCHEDULED, CallState.NOT_PLACED, 0),
        (Unclear("no answer in time"), Status.PROCESSING, CallState.UNCONFIRMED, 0),
    ],
)
def test_each_answer_is_recorded(
    store: Store, action: Action, answer: Refused, reminder: Status, state: CallState, tries: int
) -> None:
    store.answer(action, answer)
    assert store.reminder().status is reminder
    assert ([call.state for call in store.calls()], store.reminder().tries) == ([state], tries)
    assert str(store.calls()[0].error).endswith(answer.reason)


def test_a_request_that_was_not_sent_leaves_the_reminder_as_it_was(store: Store, action: Action) -> None:
    store.not_sent(action)
    assert (store.reminder().status, store.reminder().wake_at) == (Status.SCHEDULED, store.now)
    assert [(call.state, call.requests) for call in store.calls()] == [(CallState.NOT_PLACED, 0)]


def test_a_found_call_is_settled_like_a_reported_one(store: Store, action: Action) -> None:
    store.rules = able(LOOK_UP)
    store.answer(action, Unclear("no answer in time"))
    store.later(store.rules.confirm_after)
    [look_up] = store.claim()
    store.found(look_up, Found(Report(external_call_id="ext-9", status="completed", transcript="Hello?")))
    assert store.reminder().status is Status.CALLED
    assert [(call.external_call_id, call.transcript) for call in store.calls()] == [("ext-9", "Hello?")]


def test_a_look_up_of_an_id_that_the_provider_has_given_to_another_call_settles_nothing(
    store: Store, action: Action
) -> None:
    store.rules = able(LOOK_UP)
    store.answer(action, Accepted("7"))
    store.insert("r2", "+12025550002")
    [other] = store.claim()
    store.answer(other, Accepted("7"))
    store.later(store.rules.outcome_timeout)
    look_up = next(one for one in store.claim() if one.call.id == action.call.id)
    assert look_up.kind is ActionKind.FETCH
    store.found(look_up, Found(completed("r2", "7", attempt_id=other.call.id)))
    assert store.reminder("r1").status is Status.PROCESSING
    assert (store.calls("r1")[0].state, store.count("webhook_receipts")) == (CallState.PLACED, 0)


def test_a_call_that_is_not_found_is_looked_up_again(store: Store, action: Action) -> None:
    store.rules = able(LOOK_UP)
    store.answer(action, Unclear("no answer in time"))
    store.later(store.rules.confirm_after)
    [look_up] = store.claim()
    store.found(look_up, NotFound())
    [call] = store.calls()
    assert (store.reminder().status, call.checks) == (Status.PROCESSING, 1)
    assert call.wake_at == store.now + store.rules.confirm_after


def test_a_finding_about_a_deleted_call_changes_nothing(store: Store, action: Action) -> None:
    store.connection.execute("DELETE FROM call_logs")
    assert store.answer(action, Accepted("ext-1")) is None
    assert store.not_sent(action) is None
    assert store.found(action, NotFound()) is None


def test_the_database_forbids_a_second_open_call_to_a_number(store: Store) -> None:
    store.claim()
    with refused_as_second("call_logs.phone_number", "call_logs_one_open_call"):
        store.connection.execute(
            "INSERT INTO call_logs (reminder_id, phone_number, state, wake_at, last_sign_at)"
            " SELECT 'another', phone_number, 'placed', 1, 1 FROM call_logs"
        )


def test_a_call_outlives_its_reminder(store: Store, action: Action) -> None:
    store.answer(action, Accepted("ext-1"))
    store.connection.execute("DELETE FROM reminders")
    store.report(completed(attempt_id=action.call.id))
    assert store.call(action.call.id).state is CallState.ENDED


def test_a_report_that_names_only_our_call_finds_its_reminder(store: Store, action: Action) -> None:
    transition = store.report(Report(external_call_id="ext-1", status="completed", attempt_id=action.call.id))
    assert store.reminder().status is Status.CALLED
    assert not transition.duplicate


def test_the_providers_id_alone_identifies_the_call(store: Store, action: Action) -> None:
    store.answer(action, Accepted("ext-1"))
    store.report(Report(external_call_id="ext-1", status="completed"))
    assert store.reminder().status is Status.CALLED


def test_a_report_without_any_of_our_ids_writes_nothing(store: Store, action: Action) -> None:
    store.answer(action, Accepted("ext-1"))
    before = store.reminder(), store.calls()
    with pytest.raises(UnknownReminderError):
        store.report(Report(external_call_id="ext-1", status="completed", attempt_id="nobody's"))
    assert (store.reminder(), store.calls()) == before
    assert store.count("webhook_receipts") == 0


def candidates(*ids: str, status: str = "completed") -> Candidates:
    return Candidates(tuple(Report(external_call_id=name, status=status) for name in ids))


def looked_for(store: Store, action: Action) -> Action:
    """Return the look-up of an unconfirmed call."""
    store.rules = able(LOOK_UP)
    store.answer(action, Unclear("no answer in time"))
    store.later(store.rules.confirm_after)
    [look_up] = store.claim()
    return look_up


def test_the_only_candidate_is_adopted(store: Store, action: Action) -> None:
    store.found(looked_for(store, action), candidates("ext-9"))
    assert store.reminder().status is Status.CALLED
    assert [(call.external_call_id, call.status) for call in store.calls()] == [("ext-9", "completed")]


def test_the_only_candidate_that_is_not_another_call_is_adopted(store: Store, action: Action) -> None:
    look_up = looked_for(store, action)
    store.insert("r2", "+12025550002", status="called")
    insert_call(store.connection, "r2", external_call_id="ext-8", status="completed")
    store.found(look_up, candidates("ext-8", "ext-9", status="ringing"))
    assert [(call.external_call_id, call.status) for call in store.calls()] == [("ext-9", "ringing")]
    assert store.calls("r2")[0].external_call_id == "ext-8"


@pytest.mark.parametrize("ids", [(), ("ext-8", "ext-9")], ids=["none", "two"])
def test_no_candidate_or_several_prove_nothing(store: Store, action: Action, ids: tuple[str, ...]) -> None:
    store.found(looked_for(store, action), candidates(*ids))
    [call] = store.calls()
    assert (call.state, call.external_call_id, call.checks) == (CallState.UNCONFIRMED, None, 1)
    assert (store.reminder().status, store.count("webhook_receipts")) == (Status.PROCESSING, 0)


def test_a_webhook_before_the_look_ups_answer_decides_which_call_it_is(store: Store, action: Action) -> None:
    look_up = looked_for(store, action)
    store.report(Report(external_call_id="ext-1", status="ringing", attempt_id=action.call.id))
    before = store.reminder(), store.calls()
    store.found(look_up, candidates("ext-9", status="busy"))
    assert (store.reminder(), store.calls()) == before
    assert store.count("webhook_receipts") == 0


@pytest.mark.parametrize("number", ["+12025550194", "202\u00a0555\u200b0194", "(202) 555\n0194", "2-0-2-5-5-5-0-1-9-4"])
def test_stored_reasons_contain_no_phone_number(store: Store, action: Action, number: str) -> None:
    store.answer(action, Refused(f"422 Unprocessable: {number} can't be called"))
    reminder, [call] = store.reminder(), store.calls()
    for reason in (reminder.last_error, call.error):
        assert reason is not None
        assert "can't be called" in reason
        assert sum(one.isdigit() for one in reason) <= len("422") + 2
