from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Capabilities, Found, Report
from reminderd.core.lifecycle.keypress import HANG_UP, NOT_NEEDED
from reminderd.core.lifecycle.staff import NotAllowedError
from reminderd.core.lifecycle.transition import Action, ActionKind
from reminderd.core.model import TERMINAL, CallOutcome, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.script.prompts import Prompt, Question
from reminderd.store import queries
from reminderd.store.errors import UnknownReminderError
from reminderd.store.opt_outs import opt_out
from reminderd.store.reminders import Source, call_again, cancel
from reminderd.store.rows import to_ms
from reminderd.store.settle import settle_unspoken
from reminderd.store.sqlite.driver import IntegrityError
from tests.support.desk import Desk, a_desk
from tests.support.nouns import DROP, MINUTE, RULES, SECOND, able

ASKS = able(Capabilities(asks_what_to_say=True))
PHONE, OTHER_PHONE = "+12025550001", "+12025550002"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path / "reminderd.db") as desk:
        desk.insert()
        yield desk


@pytest.fixture
def action(desk: Desk) -> Action:
    """A call on its way."""
    [action] = desk.claim()
    desk.answer(action, Accepted("ext-1"))
    return action


@pytest.fixture
def line(action: Action) -> Report:
    """What a webhook tells of a call in which somebody listens: of ours it names the call alone."""
    return Report(external_call_id="ext-1", status="in-progress", attempt_id=action.call.id)


def everything(desk: Desk) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("reminders", "call_logs", "webhook_receipts", "opt_outs", "audit")
    return {name: [tuple(row) for row in desk.connection.execute(f"SELECT * FROM {name}")] for name in tables}


def acts(desk: Desk, reminder_id: str = "r1") -> list[tuple[object, object]]:
    return [(act["actor"], act["act"]) for act in queries.acts_on(desk.connection, reminder_id)]


# Somebody picks up


def test_picking_up_is_on_record_before_the_message_is_said(desk: Desk, line: Report) -> None:
    spoken = desk.pick_up(evolve(line, answered_by="human"))
    assert spoken.reply.parts == (Prompt.GREETING, Prompt.MESSAGE, Prompt.MENU)
    assert spoken.message == "Tomorrow at nine."
    assert [(call.status, call.answered_by) for call in desk.calls()] == [("in-progress", "human")]
    assert desk.calls()[0].wake_at == desk.now + desk.rules.outcome_timeout
    assert [bool(row["said"]) for row in desk.connection.execute("SELECT said FROM call_reminders")] == [True]


def test_a_call_may_be_picked_up_before_the_providers_answer_is_here(desk: Desk) -> None:
    [action] = desk.claim()
    desk.pick_up(Report(external_call_id="ext-1", status="in-progress", attempt_id=action.call.id))
    assert (desk.reminder().status, desk.calls()[0].external_call_id) == (Status.PROCESSING, "ext-1")
    desk.answer(action, Accepted("ext-1"))
    assert [(call.status, call.external_call_id) for call in desk.calls()] == [("in-progress", "ext-1")]


def test_a_machine_is_known_by_the_end_of_the_call(desk: Desk, line: Report) -> None:
    desk.rules = evolve(RULES, voicemail_is_reached=False)
    assert desk.pick_up(evolve(line, answered_by="machine_end_beep")).reply.parts == (Prompt.VOICEMAIL,)
    desk.report(evolve(line, status="completed"))
    reminder = desk.reminder()
    assert (reminder.status, reminder.last_error) == (Status.SCHEDULED, "voicemail; will be called again")
    desk.later(desk.rules.redial_delay(1))
    assert len(desk.claim()) == 1


def test_what_changed_while_it_rang_is_known_when_it_is_picked_up(desk: Desk, line: Report) -> None:
    desk.write(partial(cancel, reminder_id="r1", rules=RULES, source=Source(actor="anna")))
    assert desk.pick_up(line).reply == NOT_NEEDED
    assert desk.reminder().status is Status.CANCELLED
    assert desk.calls()[0].status == "in-progress"


def test_so_is_that_its_number_has_opted_out(desk: Desk, line: Report) -> None:
    desk.write(partial(opt_out, phone_number=PHONE, source="front desk", actor="anna", rules=RULES))
    assert desk.pick_up(line).reply == NOT_NEEDED
    assert desk.pick_up(evolve(line, answered_by="fax")).reply == HANG_UP


def test_so_is_that_its_time_is_over(desk: Desk, line: Report) -> None:
    desk.later(desk.rules.max_lateness)
    assert desk.pick_up(line).reply == NOT_NEEDED


@pytest.mark.parametrize("attempt_id", ["nobody's", None, ""])
def test_an_unknown_call_writes_nothing(desk: Desk, attempt_id: str | None) -> None:
    before = everything(desk)
    stranger = Report(external_call_id="ext-9", status="completed", attempt_id=attempt_id)
    for settle in (desk.pick_up, partial(desk.press, digits="9"), desk.report):
        with pytest.raises(UnknownReminderError):
            settle(stranger)
    assert everything(desk) == before


def test_a_reminder_that_was_never_called_has_no_message_for_whoever_asks(desk: Desk) -> None:
    stranger = Report(external_call_id="ext-9", status="in-progress", reminder_id="r1")
    before = desk.reminder()
    assert desk.pick_up(stranger).reply == NOT_NEEDED
    desk.press(stranger, "1")
    assert (desk.reminder(), desk.count("audit")) == (before, 0)


# A key is pressed


@pytest.mark.parametrize(
    ("digits", "question", "response"),
    [
        ("1", Question.MENU, "confirmed"),
        ("2", Question.CANCEL, "cancel_requested"),
        ("9", Question.MENU, "opted_out"),
    ],
)
def test_an_answer_is_on_record_with_who_gave_it(
    desk: Desk, line: Report, digits: str, question: Question, response: str
) -> None:
    spoken = desk.press(line, digits, question)
    assert (desk.reminder().status, desk.reminder().response) == (Status.CALLED, response)
    assert acts(desk) == [("patient", response)]
    lines = [line.text for transition in spoken.transitions for line in transition.lines]
    assert lines == ["in-progress", f"called: {response.replace('_', ' ')} by key"]


@pytest.mark.parametrize("digits", ["2", "3", "7", ""])
def test_a_key_that_answers_nothing_leaves_no_answer(desk: Desk, line: Report, digits: str) -> None:
    assert desk.press(line, digits).reply.question is not None
    assert (desk.reminder().status, desk.reminder().response) == (Status.CALLED, None)
    assert (desk.count("audit"), desk.count("opt_outs")) == (0, 0)


@pytest.mark.parametrize(
    ("digits", "question"), [("1", Question.MENU), ("2", Question.MENU), ("2", Question.CANCEL), ("9", Question.MENU)]
)
def test_the_same_key_delivered_twice_changes_nothing(
    desk: Desk, line: Report, digits: str, question: Question
) -> None:
    desk.insert("r2", scheduled_at=1_900_000_000_000)
    first = desk.press(line, digits, question)
    before = everything(desk)
    again = desk.press(line, digits, question)
    assert again.reply == first.reply
    assert everything(desk) == before


@pytest.mark.parametrize("word", sorted(TERMINAL))
def test_confirmed_stands_whatever_the_call_comes_to(desk: Desk, line: Report, word: str) -> None:
    desk.press(line, "1")
    desk.report(evolve(line, status=word))
    assert (desk.reminder().status, desk.reminder().response) == (Status.CALLED, "confirmed")
    assert (desk.reminder().wake_at, desk.calls()[0].status) == (None, word)
    desk.later(timedelta(hours=1))
    assert desk.claims() == []


def test_a_key_and_the_end_of_its_call_may_come_in_one_webhook(desk: Desk, line: Report) -> None:
    desk.press(evolve(line, status="completed"), "1")
    assert (desk.reminder().response, desk.reminder().wake_at) == ("confirmed", None)
    assert desk.count("webhook_receipts") == 1
    assert desk.report(evolve(line, status="completed")).duplicate


def test_a_cancel_by_staff_stands_and_the_answer_is_kept(desk: Desk, line: Report) -> None:
    desk.write(partial(cancel, reminder_id="r1", rules=RULES, source=Source(actor="anna")))
    desk.press(line, "1")
    found = desk.reminder()
    assert (found.status, found.last_error, found.response) == (Status.CANCELLED, "cancelled by anna", "confirmed")
    assert acts(desk) == [("anna", "cancel"), ("patient", "confirmed")]


# The number opts out


def test_9_cancels_all_that_waits_for_that_number_in_the_same_transaction(desk: Desk, line: Report) -> None:
    for name, phone in (("r2", PHONE), ("r3", PHONE), ("r4", OTHER_PHONE)):
        desk.insert(name, phone, scheduled_at=1_900_000_000_000)
    spoken = desk.press(line, "9")
    lines = [line for transition in spoken.transitions for line in transition.lines]
    assert [line.reminder_id for line in lines] == ["r1", "r1", "r2", "r3"]
    assert (desk.reminder().status, desk.reminder().response) == (Status.CALLED, "opted_out")
    for name in ("r2", "r3"):
        waiting = desk.reminder(name)
        assert (waiting.status, waiting.end_code, waiting.wake_at) == (Status.CANCELLED, EndCode.OPTED_OUT, None)
        assert waiting.response is None
        assert acts(desk, name) == [("patient", "opt-out")]
    assert desk.reminder("r4").status is Status.SCHEDULED
    [row] = desk.connection.execute("SELECT phone_number, source FROM opt_outs").fetchall()
    assert tuple(row) == (PHONE, f"key pressed in call {line.attempt_id}")


def test_if_one_of_them_cannot_be_cancelled_nothing_of_the_key_is_on_record(desk: Desk, line: Report) -> None:
    desk.insert("r2", scheduled_at=1_900_000_000_000)
    desk.connection.execute(
        "CREATE TEMP TRIGGER trouble BEFORE UPDATE ON reminders WHEN NEW.id = 'r2'"
        " BEGIN SELECT RAISE(ABORT, 'trouble'); END"
    )
    before = everything(desk)
    with pytest.raises(IntegrityError):
        desk.press(line, "9")
    assert everything(desk) == before


def test_opted_out_is_the_last_word(desk: Desk, line: Report) -> None:
    desk.press(line, "9")
    desk.press(line, "1")
    assert desk.reminder().response == "opted_out"
    assert acts(desk) == [("patient", "opted_out")]


def test_9_for_a_number_that_staff_have_put_down_keeps_their_word_for_why(desk: Desk, line: Report) -> None:
    desk.write(partial(opt_out, phone_number=PHONE, source="front desk", actor="anna", rules=RULES))
    desk.insert("r2", scheduled_at=1_900_000_000_000)
    desk.press(line, "9")
    assert desk.reminder().response == "opted_out"
    assert desk.reminder("r2").status is Status.CANCELLED, "another program had added it since"
    assert [row["source"] for row in desk.connection.execute("SELECT source FROM opt_outs")] == ["front desk"]


# Nobody wants it any more


def test_the_ringing_call_of_a_cancelled_reminder_is_dropped_once_it_can_be_named(desk: Desk) -> None:
    desk.rules = able(DROP)
    [action] = desk.claim()
    desk.write(partial(cancel, reminder_id="r1", rules=RULES, source=Source(actor="anna")))
    assert desk.claim() == [], "there is no id yet by which to drop it"
    desk.answer(action, Accepted("ext-1"))
    [drop] = desk.claim()
    assert (drop.kind, drop.call.external_call_id) == (ActionKind.DROP, "ext-1")


# Several reminders in one call


def a_bundle(desk: Desk) -> Report:
    """A call for `r1` and `r2`; what a webhook says of it when somebody listens."""
    desk.rules = evolve(ASKS, group_within=timedelta(hours=1))
    desk.insert("r2", message="Bring your papers.")
    [action] = desk.claim()
    desk.answer(action, Accepted("ext-1"))
    return Report(external_call_id="ext-1", status="in-progress", attempt_id=action.call.id)


def cancels(desk: Desk, reminder_id: str) -> None:
    desk.write(partial(cancel, reminder_id=reminder_id, rules=desk.rules, source=Source(actor="anna")))


def test_a_bundle_is_spoken_and_answered_together(desk: Desk) -> None:
    line = a_bundle(desk)
    assert desk.pick_up(line).message == "Tomorrow at nine. Bring your papers."
    assert desk.press(line, "3").message == "Tomorrow at nine. Bring your papers."
    desk.press(line, "1")
    for name in ("r1", "r2"):
        assert (desk.reminder(name).status, desk.reminder(name).response) == (Status.CALLED, "confirmed")
        assert acts(desk, name) == [("patient", "confirmed")]
    before = everything(desk)
    desk.press(line, "1")
    assert everything(desk) == before
    desk.report(evolve(line, status="busy"))
    assert desk.claim() == []
    assert desk.reminder("r2").response == "confirmed"


def test_a_later_key_is_the_answer_of_all_of_them(desk: Desk) -> None:
    line = a_bundle(desk)
    desk.press(line, "1")
    desk.pick_up(line)  # delivered a second time
    desk.press(line, "2", Question.CANCEL)
    assert [desk.reminder(name).response for name in ("r1", "r2")] == ["cancel_requested"] * 2


def test_9_opts_the_number_out_with_all_that_waits_for_it(desk: Desk) -> None:
    line = a_bundle(desk)
    desk.insert("r3", scheduled_at=1_900_000_000_000)
    desk.pick_up(line)
    desk.press(line, "9")
    assert [desk.reminder(name).response for name in ("r1", "r2")] == ["opted_out", "opted_out"]
    assert desk.reminder("r3").status is Status.CANCELLED
    assert desk.count("opt_outs") == 1


def test_what_expired_while_it_rang_is_neither_spoken_nor_answered(desk: Desk) -> None:
    line = a_bundle(desk)
    desk.connection.execute("UPDATE reminders SET expires_at = ? WHERE id = 'r2'", (to_ms(desk.now),))
    assert desk.pick_up(line).message == "Tomorrow at nine."
    desk.press(line, "1")
    desk.report(evolve(line, status="completed"))
    desk.claims()
    reminder = desk.reminder("r2")
    assert (reminder.status, reminder.response) == (Status.EXPIRED, None)


def test_what_expires_after_it_was_spoken_is_answered(desk: Desk) -> None:
    line = a_bundle(desk)
    desk.connection.execute("UPDATE reminders SET expires_at = ? WHERE id = 'r2'", (to_ms(desk.now) + 1_000,))
    desk.pick_up(line)
    desk.later(timedelta(seconds=2))
    desk.press(line, "1")
    assert (desk.reminder("r2").status, desk.reminder("r2").response) == (Status.CALLED, "confirmed")


def test_what_was_cancelled_before_it_could_be_spoken_may_be_called_again(desk: Desk) -> None:
    line = a_bundle(desk)
    cancels(desk, "r2")
    desk.pick_up(line)
    desk.report(evolve(line, status="completed"))
    desk.write(partial(call_again, reminder_id="r2", rules=desk.rules, source=Source(actor="anna")))
    assert desk.reminder("r2").status is Status.SCHEDULED


def test_a_key_says_nothing_for_the_one_that_is_named_to_the_provider_if_that_was_not_spoken(desk: Desk) -> None:
    line = a_bundle(desk)
    desk.connection.execute("UPDATE reminders SET expires_at = ? WHERE id = 'r1'", (to_ms(desk.now),))
    assert desk.pick_up(line).message == "Bring your papers."
    assert desk.press(line, "3").message == "Bring your papers."
    desk.press(line, "2", Question.CANCEL)
    assert [desk.reminder(name).response for name in ("r1", "r2")] == [None, "cancel_requested"]
    assert (desk.reminder("r1").status, desk.reminder("r1").end_code) == (Status.EXPIRED, EndCode.TOO_LATE)
    assert acts(desk, "r1") == []


def test_an_opt_out_while_it_rang_is_known_for_all_of_them_when_it_is_answered(desk: Desk) -> None:
    line = a_bundle(desk)
    desk.write(partial(opt_out, phone_number=PHONE, source="letter", actor="anna", rules=RULES))
    assert desk.pick_up(line).reply == NOT_NEEDED
    desk.report(evolve(line, status="completed"))
    desk.claims()
    assert {desk.reminder(name).end_code for name in ("r1", "r2")} == {EndCode.OPTED_OUT}


def test_whoever_hung_up_after_the_message_has_heard_all_of_it(desk: Desk) -> None:
    line = a_bundle(desk)
    desk.pick_up(line)
    desk.later(MINUTE)
    desk.report(evolve(line, status="completed", ended_at=desk.now))
    assert desk.claim() == []
    assert (desk.reminder("r2").status, desk.reminder("r2").response) == (Status.CALLED, None)


def test_whoever_hung_up_between_two_messages_has_heard_the_first(desk: Desk) -> None:
    line = a_bundle(desk)
    desk.pick_up(line)
    desk.later(1.5 * SECOND)  # "Tomorrow at nine." takes 1.2 seconds, and "Bring your papers." as much
    desk.report(evolve(line, status="completed", ended_at=desk.now))
    assert desk.reminder("r1").status is Status.CALLED
    assert (desk.reminder("r2").status, desk.reminder("r2").end_code) == (Status.FAILED, EndCode.HUNG_UP)
    desk.write(partial(call_again, reminder_id="r2", rules=desk.rules, source=Source(actor="anna")))
    with pytest.raises(NotAllowedError):
        desk.write(partial(call_again, reminder_id="r1", rules=desk.rules, source=Source(actor="anna")))


@pytest.mark.parametrize("is_looked_up", [True, False])
def test_that_a_call_was_completed_is_no_evidence_that_its_message_was_spoken(
    desk: Desk, line: Report, *, is_looked_up: bool
) -> None:
    desk.rules = ASKS
    over = evolve(line, status="completed", duration_seconds=31)
    [call] = desk.calls()
    if is_looked_up:
        desk.found(Action(kind=ActionKind.FETCH, call=call, reminders=(), message=""), Found(over))
    else:
        desk.report(over)
    [call] = desk.calls()
    assert (call.status, call.outcome, call.fetched_at) == ("completed", CallOutcome.NOT_HEARD, None)
    assert (desk.reminder().status, desk.reminder().hold_code) == (Status.SCHEDULED, HoldCode.REDIAL)


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
def test_a_provider_that_was_handed_the_message_says_itself_that_nobody_heard_it(
    desk: Desk, line: Report, said: dict[str, Any], outcome: CallOutcome, *, is_looked_up: bool
) -> None:
    over = evolve(line, status="completed", **said)
    [call] = desk.calls()
    if is_looked_up:
        desk.found(Action(kind=ActionKind.FETCH, call=call, reminders=(), message=""), Found(over))
    else:
        desk.report(over)
    assert [call.outcome for call in desk.calls()] == [outcome]
    assert (desk.reminder().status, desk.reminder().hold_code) == (Status.SCHEDULED, HoldCode.REDIAL)


def test_what_decides_is_on_record_before_it_is_relied_on(desk: Desk, line: Report) -> None:
    answered_at = desk.now
    desk.pick_up(line)
    assert desk.calls()[0].fetched_at == answered_at
    desk.later(MINUTE)
    desk.press(line, "")
    assert (desk.calls()[0].outcome, desk.reminder().status) == (CallOutcome.HEARD, Status.CALLED)
    before = everything(desk)
    desk.pick_up(line)
    desk.press(line, "")
    assert everything(desk) == before


def test_an_answer_that_the_provider_could_not_use_was_not_heard_however_long_the_line_was_open(
    desk: Desk, line: Report
) -> None:
    desk.rules = ASKS
    desk.pick_up(line)
    call_id = desk.calls()[0].id
    desk.write(partial(settle_unspoken, call_id=call_id, rules=desk.rules))
    desk.later(MINUTE)
    desk.report(evolve(line, status="completed", duration_seconds=60))
    assert (desk.calls()[0].outcome, desk.reminder().status) == (CallOutcome.NOT_HEARD, Status.SCHEDULED)
    assert desk.write(partial(settle_unspoken, call_id="nobody's", rules=desk.rules)) is None


@pytest.mark.parametrize(("gone", "left"), [("r1", "Bring your papers."), ("r2", "Tomorrow at nine.")])
def test_what_was_cancelled_while_it_rang_is_not_spoken(desk: Desk, gone: str, left: str) -> None:
    line = a_bundle(desk)
    cancels(desk, gone)
    spoken = desk.pick_up(line)
    assert spoken.reply.question is Question.MENU
    assert spoken.message == left


def test_a_call_in_which_nothing_is_left_to_say_says_nothing_of_it(desk: Desk) -> None:
    line = a_bundle(desk)
    for one in ("r1", "r2"):
        cancels(desk, one)
    assert desk.pick_up(line).reply == NOT_NEEDED
