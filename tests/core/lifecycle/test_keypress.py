from itertools import product
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.conversation import Part, Question, Reply
from reminderd.core.lifecycle.keypress import (
    HANG_UP,
    MOST_REPEATS,
    NOT_NEEDED,
    Key,
    Turn,
    answered_by_patient,
    key_pressed,
)
from reminderd.core.lifecycle.transition import Ledger, Level
from reminderd.core.model import CallOutcome, CallState, Member, Response, Status, digest
from tests.support.nouns import NOW, RULES, SECOND, a_call, a_ledger, a_member, a_reminder, a_report, heard_of

WAITING = a_reminder(Status.PROCESSING)
OTHER = a_reminder(Status.PROCESSING, id="reminder-2", message="And at ten.")
ANSWERED = a_call(CallState.PLACED, status="in-progress")
ASKING = (Part.GREETING, Part.MESSAGE, Part.MENU)
NO_WORD = evolve(RULES, leave_voicemail=False)
MACHINES = ["machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other"]


def answered(ledger: Ledger, **changes: Any) -> Turn:
    facts: dict[str, Any] = {"rules": RULES, "now": NOW}
    return answered_by_patient(ledger, ledger.calls["call-1"], **facts | changes)


def said(*reminders: Any, call: Any = ANSWERED) -> Ledger:
    rows: list[Member] = [a_member(call, one, position=place, said=True) for place, one in enumerate(reminders)]
    return a_ledger(call, *reminders, *rows)


def pressed(ledger: Ledger, digits: str, *, at: Question = Question.MENU, repeats: int = 0) -> Turn:
    key = Key(digits=digits, question=at, repeats=repeats)
    return key_pressed(ledger, ledger.calls["call-1"], key, now=NOW)


# Somebody answers


@pytest.mark.parametrize("answered_by", ["human", "unknown", None])
def test_whoever_answers_hears_who_calls_then_the_message_then_the_keys(answered_by: str | None) -> None:
    turn = answered(a_ledger(WAITING, evolve(ANSWERED, answered_by=answered_by)))
    assert turn.reply == Reply(parts=ASKING, question=Question.MENU, repeats=0)
    assert turn.message == WAITING.message


@pytest.mark.parametrize("status", [Status.DIALING, Status.PROCESSING, Status.SCHEDULED, Status.FAILED])
def test_as_long_as_the_patient_was_not_reached_the_message_is_worth_speaking(status: Status) -> None:
    assert answered(a_ledger(a_reminder(status), ANSWERED)).reply.parts == ASKING


@pytest.mark.parametrize("status", [Status.PROCESSING, Status.CANCELLED])
def test_the_first_request_for_our_document_is_kept_whatever_it_is_told(status: Status) -> None:
    turn = answered(a_ledger(a_reminder(status), ANSWERED))
    assert turn.transition.ledger.calls["call-1"].fetched_at == NOW
    again = answered(turn.transition.ledger, now=NOW + SECOND)
    assert again.transition.ledger.calls["call-1"].fetched_at == NOW


def test_what_is_handed_out_counts_as_said_with_the_words_of_this_moment() -> None:
    changed = evolve(WAITING, message="Other words.")
    ledger = a_ledger(changed, OTHER, ANSWERED, a_member(ANSWERED, WAITING), a_member(ANSWERED, OTHER, position=1))
    turn = answered(ledger)
    assert turn.message == "Other words. And at ten."
    member = turn.transition.ledger.members["call-1", "reminder-1"]
    assert (member.said, member.message_digest) == (True, digest("Other words."))


NOT_WANTED: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "cancelled": (a_reminder(Status.CANCELLED), {}, {}),
    "expired": (a_reminder(Status.EXPIRED), {}, {}),
    "reached by another call": (a_reminder(Status.CALLED), {}, {}),
    "its time is over this moment": (WAITING, {"now": NOW + RULES.max_lateness}, {}),
    "its own limit has passed": (evolve(WAITING, expires_at=NOW - SECOND), {}, {}),
    "opted out": (WAITING, {}, {"opted_out": frozenset({WAITING.phone_number})}),
}


@pytest.mark.parametrize("why", NOT_WANTED)
def test_a_call_is_not_needed_any_more_if_its_reminder_is_not(why: str) -> None:
    reminder, changes, facts = NOT_WANTED[why]
    turn = answered(a_ledger(reminder, ANSWERED, **facts), **changes)
    assert (turn.reply, turn.message) == (NOT_NEEDED, "")
    assert not any(member.said for member in turn.transition.ledger.members.values())


@pytest.mark.parametrize("why", NOT_WANTED)
@pytest.mark.parametrize("answered_by", [*MACHINES, "fax"])
def test_then_nothing_of_it_is_left_on_a_machine(why: str, answered_by: str) -> None:
    reminder, changes, facts = NOT_WANTED[why]
    ledger = a_ledger(reminder, evolve(ANSWERED, answered_by=answered_by), **facts)
    assert answered(ledger, **changes).reply == HANG_UP


def test_only_those_of_a_bundle_that_are_still_wanted_are_spoken() -> None:
    turn = answered(a_ledger(evolve(WAITING, status=Status.CANCELLED), OTHER, ANSWERED))
    assert turn.message == "And at ten."
    members = turn.transition.ledger.members
    assert [members["call-1", one].said for one in ("reminder-1", "reminder-2")] == [False, True]


@pytest.mark.parametrize("answered_by", MACHINES)
def test_a_machine_is_left_the_neutral_words_or_none_as_configured(answered_by: str) -> None:
    ledger = a_ledger(WAITING, evolve(ANSWERED, answered_by=answered_by))
    assert answered(ledger).reply == Reply(parts=(Part.VOICEMAIL,))
    assert answered(ledger, rules=NO_WORD).reply == HANG_UP


@pytest.mark.parametrize("rules", [RULES, NO_WORD], ids=["leaves word", "hangs up"])
def test_a_fax_hears_nothing(rules: Any) -> None:
    assert answered(a_ledger(WAITING, evolve(ANSWERED, answered_by="fax")), rules=rules).reply == HANG_UP


# What a key means


@pytest.mark.parametrize(
    ("digits", "at", "response", "part"),
    [
        ("1", Question.MENU, Response.CONFIRMED, Part.CONFIRMED),
        ("1", Question.CANCEL, Response.CONFIRMED, Part.CONFIRMED),
        ("2", Question.CANCEL, Response.CANCEL_REQUESTED, Part.CANCEL_REQUESTED),
        ("9", Question.MENU, Response.OPTED_OUT, Part.OPTED_OUT),
        ("9", Question.CANCEL, Response.OPTED_OUT, Part.OPTED_OUT),
    ],
)
@pytest.mark.parametrize("status", [Status.PROCESSING, Status.SCHEDULED, Status.FAILED, Status.EXPIRED, Status.CALLED])
def test_a_key_answers_for_every_reminder_that_was_said_and_proves_that_it_was_heard(
    digits: str, at: Question, response: Response, part: Part, status: Status
) -> None:
    turn = pressed(said(evolve(WAITING, status=status), OTHER), digits, at=at)
    after = turn.transition.ledger
    assert turn.reply == Reply(parts=(part,))
    assert turn.opts_out is (response is Response.OPTED_OUT)
    assert after.calls["call-1"].outcome is CallOutcome.HEARD
    assert {(one.status, one.response) for one in after.reminders.values()} == {(Status.CALLED, response)}
    assert turn.answers == (("reminder-1", response), ("reminder-2", response))


def test_a_wish_to_cancel_is_an_error_in_the_log_as_staff_must_act() -> None:
    [line] = pressed(said(WAITING), "2", at=Question.CANCEL).transition.lines
    assert (line.level, line.text) == (Level.ERROR, "called: cancel requested by key")


def test_one_that_was_not_said_is_left_alone() -> None:
    ledger = a_ledger(ANSWERED, WAITING, OTHER, a_member(ANSWERED, WAITING, said=True), a_member(ANSWERED, OTHER))
    assert pressed(ledger, "1").transition.ledger.reminders["reminder-2"] == OTHER


def test_a_key_proves_that_the_message_was_spoken_though_a_restore_has_forgotten_it() -> None:
    after = pressed(a_ledger(WAITING, ANSWERED), "1").transition.ledger
    assert after.reminders["reminder-1"].status is Status.CALLED
    assert after.members["call-1", "reminder-1"].said


def test_2_alone_changes_nothing_and_asks_whether_it_is_meant() -> None:
    ledger = said(WAITING)
    turn = pressed(ledger, "2", repeats=1)
    assert turn.transition.ledger == ledger
    assert turn.reply == Reply(parts=(Part.CANCEL_QUESTION,), question=Question.CANCEL, repeats=1)
    assert turn.message == WAITING.message


def test_the_same_key_a_second_time_changes_nothing() -> None:
    first = pressed(said(WAITING), "1").transition.ledger
    again = pressed(first, "1")
    assert (again.transition.ledger, again.transition.lines, again.answers) == (first, (), ())


def test_a_later_answer_counts_but_opted_out_is_the_last_word() -> None:
    first = pressed(said(WAITING), "2", at=Question.CANCEL).transition.ledger
    assert pressed(first, "1").transition.ledger.reminders["reminder-1"].response == Response.CONFIRMED
    out = pressed(said(WAITING), "9").transition.ledger
    assert pressed(out, "1").transition.ledger.reminders["reminder-1"].response == Response.OPTED_OUT


def test_an_answer_that_is_on_record_already_is_no_new_one() -> None:
    turn = pressed(said(evolve(WAITING, status=Status.FAILED, response="confirmed")), "1")
    assert turn.transition.ledger.reminders["reminder-1"].status is Status.CALLED
    assert turn.answers == ()


def test_a_cancel_by_staff_stands_and_the_answer_is_kept() -> None:
    after = pressed(said(a_reminder(Status.CANCELLED)), "1").transition.ledger.reminders["reminder-1"]
    assert (after.status, after.response) == (Status.CANCELLED, Response.CONFIRMED)


def test_the_end_of_the_call_changes_nothing_any_more() -> None:
    after = pressed(said(WAITING), "1").transition.ledger
    for word in ("busy", "failed", "completed"):
        ended = heard_of(after, a_report(word)).ledger
        assert ended.reminders["reminder-1"] == after.reminders["reminder-1"]
        assert ended.calls["call-1"].outcome is CallOutcome.HEARD


@pytest.mark.parametrize(
    ("digits", "at", "parts"),
    [
        ("3", Question.MENU, ASKING),
        ("", Question.MENU, ASKING),
        ("", Question.CANCEL, (Part.CANCEL_QUESTION,)),
        ("7", Question.MENU, (Part.UNKNOWN_KEY, *ASKING)),
        ("3", Question.CANCEL, (Part.UNKNOWN_KEY, Part.CANCEL_QUESTION)),
        ("12", Question.MENU, (Part.UNKNOWN_KEY, *ASKING)),
    ],
)
def test_any_other_key_and_silence_repeat_the_question(digits: str, at: Question, parts: tuple[Part, ...]) -> None:
    ledger = said(WAITING)
    turn = pressed(ledger, digits, at=at)
    assert turn.transition.ledger == ledger
    assert turn.reply == Reply(parts=parts, question=at, repeats=1)


def test_after_two_repeats_it_is_goodbye() -> None:
    for digits, at in product(("", "3", "7"), Question):
        turn = pressed(said(WAITING), digits, at=at, repeats=MOST_REPEATS)
        assert (turn.reply, turn.message) == (Reply(parts=(Part.GOODBYE,)), "")


def test_no_conversation_goes_on_for_ever() -> None:
    reply, turns = Reply(parts=ASKING, question=Question.MENU), 0
    while reply.question is not None:
        reply = pressed(said(WAITING), "3", at=reply.question, repeats=reply.repeats).reply
        turns += 1
    assert turns == MOST_REPEATS + 1
