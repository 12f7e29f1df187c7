from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Capabilities, Found, Report
from reminderd.core.lifecycle.keypress import CALL_NOT_NEEDED, HANG_UP
from reminderd.core.lifecycle.transition import Action, ActionKind
from reminderd.core.model import TERMINAL, CallOutcome, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.script.prompts import Prompt, Question
from reminderd.core.sentences import NotAllowedError
from reminderd.databases import Target
from reminderd.store.audit import acts_on
from reminderd.store.errors import UnknownReminderError
from reminderd.store.intake import Source
from reminderd.store.opt_outs import opt_out
from reminderd.store.reminders import call_again, cancel
from reminderd.store.rows import to_ms
from reminderd.store.settle import settle_unspoken
from tests.support.builders import DROP, MINUTE, RULES, SECOND, able
from tests.support.rows import refuse_changes_of, refused
from tests.support.store import Store, a_store

ASKS = able(Capabilities(asks_what_to_say=True))
PHONE, OTHER_PHONE = "+12025550001", "+12025550002"


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        store.insert()
        yield store


@pytest.fixture
def action(store: Store) -> Action:
    """Return the action of a call that is being placed."""
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    return action


@pytest.fixture
def line(action: Action) -> Report:
    """Return a webhook of an answered call, which names only our call's id."""
    return Report(external_call_id="ext-1", status="in-progress", attempt_id=action.call.id)


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("reminders", "call_logs", "webhook_receipts", "opt_outs", "audit")
    return {name: [tuple(row) for row in store.connection.execute(f"SELECT * FROM {name}")] for name in tables}


def acts(store: Store, reminder_id: str = "r1") -> list[tuple[object, object]]:
    return [(act["actor"], act["act"]) for act in acts_on(store.connection, reminder_id)]


# Somebody picks up


def test_the_answer_is_recorded_before_the_message_is_spoken(store: Store, line: Report) -> None:
    spoken = store.pick_up(evolve(line, answered_by="human"))
    assert spoken.reply.parts == (Prompt.GREETING, Prompt.MESSAGE, Prompt.MENU)
    assert spoken.message == "Tomorrow at nine."
    assert [(call.status, call.answered_by) for call in store.calls()] == [("in-progress", "human")]
    assert store.calls()[0].wake_at == store.now + store.rules.outcome_timeout
    assert [bool(row["spoken"]) for row in store.connection.execute("SELECT spoken FROM call_reminders")] == [True]


def test_a_call_may_be_answered_before_the_providers_answer_arrives(store: Store) -> None:
    [action] = store.claim()
    store.pick_up(Report(external_call_id="ext-1", status="in-progress", attempt_id=action.call.id))
    assert (store.reminder().status, store.calls()[0].external_call_id) == (Status.PROCESSING, "ext-1")
    store.answer(action, Accepted("ext-1"))
    assert [(call.status, call.external_call_id) for call in store.calls()] == [("in-progress", "ext-1")]


def test_a_call_answered_by_a_machine_ends_as_voicemail(store: Store, line: Report) -> None:
    store.rules = evolve(RULES, voicemail_is_reached=False)
    assert store.pick_up(evolve(line, answered_by="machine_end_beep")).reply.parts == (Prompt.VOICEMAIL,)
    store.report(evolve(line, status="completed"))
    reminder = store.reminder()
    assert (reminder.status, reminder.last_error) == (Status.SCHEDULED, "voicemail; will be called again")
    store.later(store.rules.redial_delay(1))
    assert len(store.claim()) == 1


def test_a_cancel_while_ringing_is_known_when_the_call_is_answered(store: Store, line: Report) -> None:
    store.write(partial(cancel, reminder_id="r1", rules=RULES, source=Source(actor="anna")))
    assert store.pick_up(line).reply == CALL_NOT_NEEDED
    assert store.reminder().status is Status.CANCELLED
    assert store.calls()[0].status == "in-progress"


def test_an_opt_out_while_ringing_is_known_when_the_call_is_answered(store: Store, line: Report) -> None:
    store.write(partial(opt_out, phone_number=PHONE, source="front desk", actor="anna", rules=RULES))
    assert store.pick_up(line).reply == CALL_NOT_NEEDED
    assert store.pick_up(evolve(line, answered_by="fax")).reply == HANG_UP


def test_an_expiry_while_ringing_is_known_when_the_call_is_answered(store: Store, line: Report) -> None:
    store.later(store.rules.max_lateness)
    assert store.pick_up(line).reply == CALL_NOT_NEEDED


@pytest.mark.parametrize("attempt_id", ["nobody's", None, ""])
def test_a_webhook_of_an_unknown_call_writes_nothing(store: Store, attempt_id: str | None) -> None:
    before = everything(store)
    stranger = Report(external_call_id="ext-9", status="completed", attempt_id=attempt_id)
    for settle in (store.pick_up, partial(store.press, digits="9"), store.report):
        with pytest.raises(UnknownReminderError):
            settle(stranger)
    assert everything(store) == before


def test_a_reminder_without_a_call_has_no_message_to_speak(store: Store) -> None:
    stranger = Report(external_call_id="ext-9", status="in-progress", reminder_id="r1")
    before = store.reminder()
    assert store.pick_up(stranger).reply == CALL_NOT_NEEDED
    store.press(stranger, "1")
    assert (store.reminder(), store.count("audit")) == (before, 0)


# A key is pressed


@pytest.mark.parametrize(
    ("digits", "question", "response"),
    [
        ("1", Question.MENU, "confirmed"),
        ("2", Question.CANCEL, "cancel_requested"),
        ("9", Question.MENU, "opted_out"),
    ],
)
def test_a_response_is_recorded_with_its_source(
    store: Store, line: Report, digits: str, question: Question, response: str
) -> None:
    spoken = store.press(line, digits, question)
    assert (store.reminder().status, store.reminder().response) == (Status.CALLED, response)
    assert acts(store) == [("patient", response)]
    lines = [line.text for transition in spoken.transitions for line in transition.lines]
    assert lines == ["the provider reported: in-progress", f"called: {response.replace('_', ' ')} by key"]


@pytest.mark.parametrize("digits", ["2", "3", "7", ""])
def test_a_key_without_a_meaning_records_no_response(store: Store, line: Report, digits: str) -> None:
    assert store.press(line, digits).reply.question is not None
    assert (store.reminder().status, store.reminder().response) == (Status.CALLED, None)
    assert (store.count("audit"), store.count("opt_outs")) == (0, 0)


@pytest.mark.parametrize(
    ("digits", "question"), [("1", Question.MENU), ("2", Question.MENU), ("2", Question.CANCEL), ("9", Question.MENU)]
)
def test_the_same_key_delivered_twice_changes_nothing(
    store: Store, line: Report, digits: str, question: Question
) -> None:
    store.insert("r2", scheduled_at=1_900_000_000_000)
    first = store.press(line, digits, question)
    before = everything(store)
    again = store.press(line, digits, question)
    assert again.reply == first.reply
    assert everything(store) == before


@pytest.mark.parametrize("word", sorted(TERMINAL))
def test_a_confirmation_stands_for_every_end_of_the_call(store: Store, line: Report, word: str) -> None:
    store.press(line, "1")
    store.report(evolve(line, status=word))
    assert (store.reminder().status, store.reminder().response) == (Status.CALLED, "confirmed")
    assert (store.reminder().wake_at, store.calls()[0].status) == (None, word)
    store.later(timedelta(hours=1))
    assert store.claims() == []


def test_a_key_and_the_end_of_its_call_may_come_in_one_webhook(store: Store, line: Report) -> None:
    store.press(evolve(line, status="completed"), "1")
    assert (store.reminder().response, store.reminder().wake_at) == ("confirmed", None)
    assert store.count("webhook_receipts") == 1
    assert store.report(evolve(line, status="completed")).duplicate


def test_a_key_does_not_undo_a_cancel_by_staff_and_is_recorded(store: Store, line: Report) -> None:
    store.write(partial(cancel, reminder_id="r1", rules=RULES, source=Source(actor="anna")))
    store.press(line, "1")
    found = store.reminder()
    assert (found.status, found.last_error, found.response) == (Status.CANCELLED, "cancelled by anna", "confirmed")
    assert acts(store) == [("anna", "cancel"), ("patient", "confirmed")]


# The number opts out


def test_key_9_cancels_all_waiting_reminders_of_the_number_in_one_transaction(store: Store, line: Report) -> None:
    for name, phone in (("r2", PHONE), ("r3", PHONE), ("r4", OTHER_PHONE)):
        store.insert(name, phone, scheduled_at=1_900_000_000_000)
    spoken = store.press(line, "9")
    lines = [line for transition in spoken.transitions for line in transition.lines]
    assert [line.reminder_id for line in lines] == ["r1", "r1", "r2", "r3"]
    assert (store.reminder().status, store.reminder().response) == (Status.CALLED, "opted_out")
    for name in ("r2", "r3"):
        waiting = store.reminder(name)
        assert (waiting.status, waiting.end_code, waiting.wake_at) == (Status.CANCELLED, EndCode.OPTED_OUT, None)
        assert waiting.response is None
        assert acts(store, name) == [("patient", "opt-out")]
    assert store.reminder("r4").status is Status.SCHEDULED
    [row] = store.connection.execute("SELECT phone_number, source FROM opt_outs").fetchall()
    assert tuple(row) == (PHONE, f"key pressed in call {line.attempt_id}")


def test_if_one_reminder_cannot_be_cancelled_nothing_of_key_9_is_recorded(store: Store, line: Report) -> None:
    store.insert("r2", scheduled_at=1_900_000_000_000)
    refuse_changes_of(store.connection, "r2")
    before = everything(store)
    with refused("failed"):
        store.press(line, "9")
    assert everything(store) == before


def test_an_opt_out_is_not_replaced_by_a_later_key(store: Store, line: Report) -> None:
    store.press(line, "9")
    store.press(line, "1")
    assert store.reminder().response == "opted_out"
    assert acts(store) == [("patient", "opted_out")]


def test_key_9_keeps_the_source_of_an_earlier_opt_out_by_staff(store: Store, line: Report) -> None:
    store.write(partial(opt_out, phone_number=PHONE, source="front desk", actor="anna", rules=RULES))
    store.insert("r2", scheduled_at=1_900_000_000_000)
    store.press(line, "9")
    assert store.reminder().response == "opted_out"
    assert store.reminder("r2").status is Status.CANCELLED, "another program had added it since"
    assert [row["source"] for row in store.connection.execute("SELECT source FROM opt_outs")] == ["front desk"]


# Nobody wants it anymore


def test_a_cancelled_reminders_ringing_call_is_dropped_once_its_id_is_known(store: Store) -> None:
    store.rules = able(DROP)
    [action] = store.claim()
    store.write(partial(cancel, reminder_id="r1", rules=RULES, source=Source(actor="anna")))
    assert store.claim() == [], "there is no id yet by which to drop it"
    store.answer(action, Accepted("ext-1"))
    [drop] = store.claim()
    assert (drop.kind, drop.call.external_call_id) == (ActionKind.DROP, "ext-1")


# Several reminders in one call


def a_bundle(store: Store) -> Report:
    """Place a call for `r1` and `r2`; return a webhook of it as answered."""
    store.rules = evolve(ASKS, group_within=timedelta(hours=1))
    store.insert("r2", message="Bring your papers.")
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    return Report(external_call_id="ext-1", status="in-progress", attempt_id=action.call.id)


def cancels(store: Store, reminder_id: str) -> None:
    store.write(partial(cancel, reminder_id=reminder_id, rules=store.rules, source=Source(actor="anna")))


def test_a_bundle_is_spoken_and_answered_together(store: Store) -> None:
    line = a_bundle(store)
    assert store.pick_up(line).message == "Tomorrow at nine. Bring your papers."
    assert store.press(line, "3").message == "Tomorrow at nine. Bring your papers."
    store.press(line, "1")
    for name in ("r1", "r2"):
        assert (store.reminder(name).status, store.reminder(name).response) == (Status.CALLED, "confirmed")
        assert acts(store, name) == [("patient", "confirmed")]
    before = everything(store)
    store.press(line, "1")
    assert everything(store) == before
    store.report(evolve(line, status="busy"))
    assert store.claim() == []
    assert store.reminder("r2").response == "confirmed"


def test_a_later_key_is_the_response_of_the_whole_bundle(store: Store) -> None:
    line = a_bundle(store)
    store.press(line, "1")
    store.pick_up(line)  # delivered a second time
    store.press(line, "2", Question.CANCEL)
    assert [store.reminder(name).response for name in ("r1", "r2")] == ["cancel_requested"] * 2


def test_key_9_opts_out_the_number_and_its_waiting_reminders(store: Store) -> None:
    line = a_bundle(store)
    store.insert("r3", scheduled_at=1_900_000_000_000)
    store.pick_up(line)
    store.press(line, "9")
    assert [store.reminder(name).response for name in ("r1", "r2")] == ["opted_out", "opted_out"]
    assert store.reminder("r3").status is Status.CANCELLED
    assert store.count("opt_outs") == 1


def test_a_bundled_reminder_that_expired_while_ringing_is_not_spoken_or_answered(store: Store) -> None:
    line = a_bundle(store)
    store.connection.execute("UPDATE reminders SET expires_at = ? WHERE id = 'r2'", (to_ms(store.now),))
    assert store.pick_up(line).message == "Tomorrow at nine."
    store.press(line, "1")
    store.report(evolve(line, status="completed"))
    store.claims()
    reminder = store.reminder("r2")
    assert (reminder.status, reminder.response) == (Status.EXPIRED, None)


def test_a_reminder_that_expires_after_it_was_spoken_is_answered(store: Store) -> None:
    line = a_bundle(store)
    store.connection.execute("UPDATE reminders SET expires_at = ? WHERE id = 'r2'", (to_ms(store.now) + 1_000,))
    store.pick_up(line)
    store.later(timedelta(seconds=2))
    store.press(line, "1")
    assert (store.reminder("r2").status, store.reminder("r2").response) == (Status.CALLED, "confirmed")


def test_a_reminder_cancelled_before_it_was_spoken_may_be_called_again(store: Store) -> None:
    line = a_bundle(store)
    cancels(store, "r2")
    store.pick_up(line)
    store.report(evolve(line, status="completed"))
    store.write(partial(call_again, reminder_id="r2", rules=store.rules, source=Source(actor="anna")))
    assert store.reminder("r2").status is Status.SCHEDULED


def test_a_key_does_not_answer_the_reminder_named_to_the_provider_if_it_was_not_spoken(store: Store) -> None:
    line = a_bundle(store)
    store.connection.execute("UPDATE reminders SET expires_at = ? WHERE id = 'r1'", (to_ms(store.now),))
    assert store.pick_up(line).message == "Bring your papers."
    assert store.press(line, "3").message == "Bring your papers."
    store.press(line, "2", Question.CANCEL)
    assert [store.reminder(name).response for name in ("r1", "r2")] == [None, "cancel_requested"]
    assert (store.reminder("r1").status, store.reminder("r1").end_code) == (Status.EXPIRED, EndCode.TOO_LATE)
    assert acts(store, "r1") == []


def test_an_opt_out_while_ringing_applies_to_the_whole_bundle(store: Store) -> None:
    line = a_bundle(store)
    store.write(partial(opt_out, phone_number=PHONE, source="letter", actor="anna", rules=RULES))
    assert store.pick_up(line).reply == CALL_NOT_NEEDED
    store.report(evolve(line, status="completed"))
    store.claims()
    assert {store.reminder(name).end_code for name in ("r1", "r2")} == {EndCode.OPTED_OUT}


def test_a_patient_who_hung_up_after_the_message_is_reached(store: Store) -> None:
    line = a_bundle(store)
    store.pick_up(line)
    store.later(MINUTE)
    store.report(evolve(line, status="completed", ended_at=store.now))
    assert store.claim() == []
    assert (store.reminder("r2").status, store.reminder("r2").response) == (Status.CALLED, None)


def test_a_patient_who_hung_up_between_two_messages_heard_the_first(store: Store) -> None:
    line = a_bundle(store)
    store.pick_up(line)
    # "Tomorrow at nine." takes 1.2 seconds, and "Bring your papers." as much.
    store.later(store.rules.greeting_takes(None) + 1.5 * SECOND)
    store.report(evolve(line, status="completed", ended_at=store.now))
    assert store.reminder("r1").status is Status.CALLED
    assert (store.reminder("r2").status, store.reminder("r2").end_code) == (Status.FAILED, EndCode.HUNG_UP)
    store.write(partial(call_again, reminder_id="r2", rules=store.rules, source=Source(actor="anna")))
    with pytest.raises(NotAllowedError):
        store.write(partial(call_again, reminder_id="r1", rules=store.rules, source=Source(actor="anna")))


@pytest.mark.parametrize("is_looked_up", [True, False])
def test_a_completed_call_alone_does_not_prove_that_its_message_was_spoken(
    store: Store, line: Report, *, is_looked_up: bool
) -> None:
    store.rules = ASKS
    over = evolve(line, status="completed", duration_seconds=31)
    [call] = store.calls()
    if is_looked_up:
        store.found(Action(kind=ActionKind.FETCH, call=call, reminders=()), Found(over))
    else:
        store.report(over)
    [call] = store.calls()
    assert (call.status, call.outcome, call.fetched_at) == ("completed", CallOutcome.NOT_HEARD, None)
    assert (store.reminder().status, store.reminder().hold_code) == (Status.SCHEDULED, HoldCode.REDIAL)


@pytest.mark.parametrize("is_looked_up", [True, False])
@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"duration_seconds": 0}, CallOutcome.NOT_HEARD),
        ({"answered_by": "FAX"}, CallOutcome.NOT_HEARD),
        ({"answered_by": "Voice-Mail"}, CallOutcome.VOICEMAIL),
        ({"answered_by": "machine_start"}, CallOutcome.VOICEMAIL),
        ({"answered_by": "silence"}, CallOutcome.VOICEMAIL),
    ],
)
def test_a_report_that_nobody_heard_the_message_leads_to_a_redial(
    store: Store, line: Report, said: dict[str, Any], outcome: CallOutcome, *, is_looked_up: bool
) -> None:
    over = evolve(line, status="completed", **said)
    [call] = store.calls()
    if is_looked_up:
        store.found(Action(kind=ActionKind.FETCH, call=call, reminders=()), Found(over))
    else:
        store.report(over)
    assert [call.outcome for call in store.calls()] == [outcome]
    assert (store.reminder().status, store.reminder().hold_code) == (Status.SCHEDULED, HoldCode.REDIAL)


def test_fetch_time_and_outcome_are_recorded_once(store: Store, line: Report) -> None:
    answered_at = store.now
    store.pick_up(line)
    assert store.calls()[0].fetched_at == answered_at
    store.later(MINUTE)
    store.press(line, "")
    assert (store.calls()[0].outcome, store.reminder().status) == (CallOutcome.HEARD, Status.CALLED)
    before = everything(store)
    store.pick_up(line)
    store.press(line, "")
    assert everything(store) == before


def test_a_document_the_provider_could_not_use_was_not_heard(store: Store, line: Report) -> None:
    store.rules = ASKS
    store.pick_up(line)
    call_id = store.calls()[0].id
    store.write(partial(settle_unspoken, call_id=call_id, rules=store.rules))
    store.later(MINUTE)
    store.report(evolve(line, status="completed", duration_seconds=60))
    assert (store.calls()[0].outcome, store.reminder().status) == (CallOutcome.NOT_HEARD, Status.SCHEDULED)
    assert store.write(partial(settle_unspoken, call_id="nobody's", rules=store.rules)) is None


@pytest.mark.parametrize(("gone", "left"), [("r1", "Bring your papers."), ("r2", "Tomorrow at nine.")])
def test_a_bundled_reminder_cancelled_while_ringing_is_not_spoken(store: Store, gone: str, left: str) -> None:
    line = a_bundle(store)
    cancels(store, gone)
    spoken = store.pick_up(line)
    assert spoken.reply.question is Question.MENU
    assert spoken.message == left


def test_a_bundle_without_wanted_reminders_says_it_is_no_longer_needed(store: Store) -> None:
    line = a_bundle(store)
    for one in ("r1", "r2"):
        cancels(store, one)
    assert store.pick_up(line).reply == CALL_NOT_NEEDED
