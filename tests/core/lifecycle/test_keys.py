from itertools import product
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Capabilities, NoAnswer, NotPlaced
from reminderd.core.conversation import Part, Question, Reply
from reminderd.core.lifecycle import NOT_NEEDED, Key, Level, Turn, Waiting, picked_up, pressed, still_said
from reminderd.core.lifecycle.keys import HANG_UP, MOST_REPEATS
from reminderd.core.reminder import TERMINAL, Call, Reminder, Response, Status
from tests.support.nouns import (
    HOUR,
    MINUTE,
    NOW,
    RULES,
    SECOND,
    TOKEN,
    a_call,
    a_reminder,
    a_report,
    able,
    asked,
    replied,
    told,
    woken,
)

WAITING = a_reminder(Status.PROCESSING, wake_at=NOW + MINUTE)
ANSWERED = a_call("in-progress", external_call_id="ext-1")
GONE = a_reminder(Status.CANCELLED, wake_at=NOW + MINUTE, last_error="cancelled by staff")
ASKING = (Part.GREETING, Part.MESSAGE, Part.MENU)
NO_WORD = evolve(RULES, leave_voicemail=False)
MACHINES = ["machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other"]


def pick_up(
    reminder: Reminder,
    call: Call = ANSWERED,
    *,
    riders: tuple[Reminder, ...] = (),
    opted_out: bool = False,
    rules: Any = RULES,
    now: Any = NOW,
) -> Reply:
    said = () if opted_out else still_said((reminder, *riders), rules, now)
    return picked_up(call, said, rules=rules)


def press(
    digits: str,
    *,
    at: Question = Question.MENU,
    repeats: int = 0,
    reminder: Reminder = WAITING,
    call: Call = ANSWERED,
    riders: tuple[Reminder, ...] = (),
    others_only: bool = False,
) -> Turn:
    key = Key(digits=digits, question=at, repeats=repeats, others_only=others_only)
    return pressed(reminder, (call,), call, key, tuple(map(Waiting, riders)))


# Somebody picks up


@pytest.mark.parametrize("answered_by", ["human", "unknown", None])
def test_whoever_picks_up_hears_who_calls_then_the_message_then_the_keys(answered_by: str | None) -> None:
    reply = pick_up(WAITING, evolve(ANSWERED, answered_by=answered_by))
    assert reply == Reply(parts=ASKING, question=Question.MENU, repeats=0)


@pytest.mark.parametrize("status", [Status.DIALING, Status.PROCESSING, Status.SCHEDULED, Status.FAILED])
def test_as_long_as_the_patient_was_not_reached_the_message_is_worth_saying(status: Status) -> None:
    assert pick_up(a_reminder(status)).parts == ASKING


NOT_WANTED: dict[str, tuple[Reminder, dict[str, Any]]] = {
    "cancelled": (GONE, {}),
    "expired": (a_reminder(Status.EXPIRED, last_error="too late"), {}),
    "its time is over this moment": (WAITING, {"now": NOW + RULES.max_lateness}),
    "its own limit has passed": (evolve(WAITING, expires_at=NOW - SECOND), {}),
    "opted out": (WAITING, {"opted_out": True}),
    "reached by another call": (a_reminder(Status.CALLED, wake_at=NOW), {}),
    "confirmed in another call": (a_reminder(Status.CALLED, wake_at=NOW, response="confirmed"), {}),
}


@pytest.mark.parametrize("why", NOT_WANTED)
def test_a_call_is_not_needed_any_more_if_its_reminder_is(why: str) -> None:
    reminder, changes = NOT_WANTED[why]
    assert pick_up(reminder, **changes) == NOT_NEEDED


@pytest.mark.parametrize("why", NOT_WANTED)
@pytest.mark.parametrize("answered_by", [*MACHINES, "fax"])
def test_nothing_of_it_is_left_on_a_machine(why: str, answered_by: str) -> None:
    reminder, changes = NOT_WANTED[why]
    assert pick_up(reminder, evolve(ANSWERED, answered_by=answered_by), **changes) == HANG_UP


def test_until_the_last_moment_it_is_needed() -> None:
    assert pick_up(WAITING, now=NOW + RULES.max_lateness - SECOND).parts == ASKING


@pytest.mark.parametrize("answered_by", MACHINES)
def test_a_machine_is_left_the_neutral_words_or_none_as_configured(answered_by: str) -> None:
    call = evolve(ANSWERED, answered_by=answered_by)
    assert pick_up(WAITING, call) == Reply(parts=(Part.VOICEMAIL,))
    assert pick_up(WAITING, call, rules=NO_WORD) == HANG_UP


@pytest.mark.parametrize("rules", [RULES, NO_WORD], ids=["leaves word", "hangs up"])
def test_a_fax_is_told_nothing(rules: object) -> None:
    assert pick_up(WAITING, evolve(ANSWERED, answered_by="fax"), rules=rules) == HANG_UP


# What a key means


@pytest.mark.parametrize("question", Question)
def test_1_confirms_at_any_question(question: Question) -> None:
    turn = press("1", at=question)
    assert turn.reply == Reply(parts=(Part.CONFIRMED,))
    assert (turn.step.reminder.status, turn.step.reminder.response) == (Status.CALLED, Response.CONFIRMED)
    assert turn.step.reminder.wake_at == WAITING.wake_at, "its call is still followed to its end"
    assert [(note.text, note.level) for note in turn.step.notes] == [("called: confirmed by key", Level.INFO)]
    assert not turn.opts_out


def test_2_alone_changes_nothing_and_asks_whether_it_is_meant() -> None:
    turn = press("2", repeats=1)
    assert (turn.step.reminder, turn.step.calls, turn.step.notes) == (WAITING, (ANSWERED,), ())
    assert turn.reply == Reply(parts=(Part.CANCEL_QUESTION,), question=Question.CANCEL, repeats=1)


def test_a_second_2_asks_staff_to_cancel() -> None:
    turn = press("2", at=Question.CANCEL)
    assert turn.reply == Reply(parts=(Part.CANCEL_REQUESTED,))
    assert (turn.step.reminder.status, turn.step.reminder.response) == (Status.CALLED, Response.CANCEL_REQUESTED)
    assert [note.level for note in turn.step.notes] == [Level.ERROR], "a human must act"


@pytest.mark.parametrize("question", Question)
def test_9_opts_out_at_any_question(question: Question) -> None:
    turn = press("9", at=question)
    assert turn.opts_out
    assert turn.reply == Reply(parts=(Part.OPTED_OUT,))
    assert (turn.step.reminder.status, turn.step.reminder.response) == (Status.CALLED, Response.OPTED_OUT)


@pytest.mark.parametrize(("digits", "question"), [*product("19", Question), ("2", Question.CANCEL)], ids=str)
@pytest.mark.parametrize("before", [WAITING, GONE], ids=["waiting", "cancelled"])
def test_the_same_key_a_second_time_changes_nothing(digits: str, question: Question, before: Reminder) -> None:
    first = press(digits, at=question, reminder=before)
    again = press(digits, at=question, reminder=first.step.reminder)
    assert (again.step.reminder, again.step.notes) == (first.step.reminder, ())
    assert (again.reply, again.opts_out) == (first.reply, first.opts_out)


@pytest.mark.parametrize(("digits", "question"), [("1", Question.MENU), ("2", Question.CANCEL)])
def test_opted_out_is_the_last_word(digits: str, question: Question) -> None:
    out = press("9").step.reminder
    turn = press(digits, at=question, reminder=out)
    assert (turn.step.reminder, turn.step.notes) == (out, ())


@pytest.mark.parametrize(
    ("former", "digits", "question", "response"),
    [
        ("confirmed", "2", Question.CANCEL, Response.CANCEL_REQUESTED),
        ("cancel_requested", "1", Question.MENU, Response.CONFIRMED),
        ("confirmed", "9", Question.MENU, Response.OPTED_OUT),
        ("moved to Friday", "1", Question.MENU, Response.CONFIRMED),
    ],
)
def test_any_other_answer_gives_way_to_a_later_one(
    former: str, digits: str, question: Question, response: Response
) -> None:
    turn = press(digits, at=question, reminder=a_reminder(Status.CALLED, wake_at=NOW, response=former))
    assert turn.step.reminder.response == response
    assert len(turn.step.notes) == 1


@pytest.mark.parametrize(
    ("digits", "question", "response"),
    [
        ("1", Question.MENU, Response.CONFIRMED),
        ("2", Question.CANCEL, Response.CANCEL_REQUESTED),
        ("9", Question.MENU, Response.OPTED_OUT),
    ],
)
def test_a_cancel_by_staff_stands_and_the_answer_is_kept(digits: str, question: Question, response: Response) -> None:
    turn = press(digits, at=question, reminder=GONE)
    assert turn.step.reminder == evolve(GONE, response=response)
    assert turn.step.notes[0].text.startswith("cancelled: ")


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.DIALING, Status.FAILED, Status.EXPIRED])
def test_a_key_proves_that_the_patient_was_reached_whatever_we_had_concluded(status: Status) -> None:
    concluded = a_reminder(
        status,
        lease_token=TOKEN if status is Status.DIALING else None,
        hold_reason="busy, to be rung again" if status is Status.SCHEDULED else None,
        last_error="unconfirmed, ring by hand" if status.final else None,
    )
    after = press("1", reminder=concluded, call=a_call("unreported")).step.reminder
    assert (after.status, after.last_error, after.hold_reason) == (Status.CALLED, None, None)
    assert (after.lease_token, after.wake_at) == (None, None)


# Nothing is rung any more, whatever becomes of the call


@pytest.mark.parametrize("digits", ["1", "9"])
@pytest.mark.parametrize("word", sorted(TERMINAL))
@pytest.mark.parametrize("answered_by", ["human", "machine_start"])
def test_the_end_of_the_call_changes_nothing_on_the_reminder(digits: str, word: str, answered_by: str) -> None:
    called = press(digits).step.reminder
    rules = evolve(RULES, voicemail_is_reached=False)
    step = told(called, ANSWERED, report=a_report(word, answered_by=answered_by), rules=rules)
    assert step.reminder == evolve(called, wake_at=None, external_call_id=step.reminder.external_call_id)
    assert (step.calls[0].status, step.calls[0].received_at) == (word, NOW)
    assert woken(evolve(step.reminder, wake_at=NOW), *step.calls).errand is None


def test_a_call_whose_end_is_never_reported_changes_nothing_either() -> None:
    called = evolve(press("1").step.reminder, wake_at=NOW)
    step = woken(called, ANSWERED, rules=evolve(RULES, ring_again_when_unsure=True))
    assert (step.errand, step.calls[0].status) == (None, "unreported")
    assert step.reminder == evolve(called, wake_at=None)


def test_nor_does_the_late_answer_to_its_request() -> None:
    called = press("1", reminder=a_reminder(Status.DIALING, lease_token=TOKEN), call=a_call("dialing")).step.reminder
    step = replied(called, a_call("dialing"), NotPlaced("connection reset"))
    assert (step.reminder.status, step.reminder.response) == (Status.CALLED, Response.CONFIRMED)


def test_nor_does_a_look_up_that_fails_for_the_last_time() -> None:
    called = evolve(press("1").step.reminder, lease_token=TOKEN)
    step = asked(called, evolve(ANSWERED, checks=9), NoAnswer("timeout"), rules=able(Capabilities(look_up=True)))
    assert (step.reminder.status, step.reminder.wake_at, step.calls[0].status) == (Status.CALLED, None, "unreported")


# What is said again


@pytest.mark.parametrize("digits", ["3", ""], ids=["3", "silence"])
@pytest.mark.parametrize("repeats", range(MOST_REPEATS))
def test_3_and_silence_repeat_the_message(digits: str, repeats: int) -> None:
    turn = press(digits, repeats=repeats)
    assert turn.reply == Reply(parts=ASKING, question=Question.MENU, repeats=repeats + 1)
    assert (turn.step.reminder, turn.step.notes) == (WAITING, ())


@pytest.mark.parametrize("digits", [*"045678*#", "12", "99", "\N{ARABIC-INDIC DIGIT ONE}", "x"])
def test_an_unknown_key_is_called_one_before_the_message_is_repeated(digits: str) -> None:
    turn = press(digits)
    assert turn.reply == Reply(parts=(Part.UNKNOWN_KEY, *ASKING), question=Question.MENU, repeats=1)
    assert turn.step.reminder == WAITING


@pytest.mark.parametrize("digits", ["3", "7"])
def test_at_the_question_whether_to_cancel_anything_but_1_2_and_9_is_unknown(digits: str) -> None:
    reply = press(digits, at=Question.CANCEL).reply
    assert reply == Reply(parts=(Part.UNKNOWN_KEY, Part.CANCEL_QUESTION), question=Question.CANCEL, repeats=1)


def test_silence_at_that_question_asks_it_again_and_cancels_nothing() -> None:
    turn = press("", at=Question.CANCEL)
    assert turn.reply == Reply(parts=(Part.CANCEL_QUESTION,), question=Question.CANCEL, repeats=1)
    assert turn.step.reminder == WAITING


@pytest.mark.parametrize("question", Question)
@pytest.mark.parametrize("digits", ["3", "", "7"])
@pytest.mark.parametrize("repeats", [MOST_REPEATS, MOST_REPEATS + 1])
def test_after_two_repeats_it_is_goodbye(digits: str, question: Question, repeats: int) -> None:
    turn = press(digits, at=question, repeats=repeats)
    assert turn.reply == Reply(parts=(Part.GOODBYE,))
    assert turn.step.reminder == WAITING


@pytest.mark.parametrize("question", Question)
@pytest.mark.parametrize("digits", ["", "1", "2", "3", "7", "9"])
def test_no_conversation_goes_on_for_ever(digits: str, question: Question) -> None:
    asked_next: Question | None = question
    repeats = 0
    for _ in range(5):
        if asked_next is None:
            return
        reply = press(digits, at=asked_next, repeats=repeats).reply
        asked_next, repeats = reply.question, reply.repeats
    raise AssertionError("still talking")


def test_a_key_of_a_call_long_over_opens_nothing() -> None:
    ended = a_call("busy", received_at=NOW - HOUR)
    turn = press("1", reminder=a_reminder(attempts=1), call=ended)
    assert (turn.step.reminder.status, turn.step.reminder.wake_at) == (Status.CALLED, None)
    assert turn.step.calls == (ended,)


# Several reminders in one call

RIDER = a_reminder(Status.PROCESSING, id="reminder-2", said_with=ANSWERED.id, wake_at=NOW + MINUTE)


@pytest.mark.parametrize(("digits", "response"), [("1", Response.CONFIRMED), ("9", Response.OPTED_OUT)])
@pytest.mark.parametrize("others_only", [False, True])
def test_a_key_is_the_answer_to_all_that_were_said(digits: str, response: Response, others_only: bool) -> None:
    turn = press(digits, riders=(RIDER,), others_only=others_only)
    [other] = turn.step.others
    assert (other.reminder.status, other.reminder.response, other.reminder.wake_at) == (Status.CALLED, response, None)
    assert turn.step.reminder.response == (None if others_only else response)
    assert (turn.step.reminder == WAITING) is others_only
    assert turn.opts_out is (digits == "9")


def test_one_that_staff_have_cancelled_since_it_was_said_is_left_alone() -> None:
    assert press("1", riders=(evolve(RIDER, status=Status.CANCELLED),)).step.others == ()


@pytest.mark.parametrize("digits", ["2", "3", "7"])
def test_whose_answer_the_next_key_is_travels_with_every_question(digits: str) -> None:
    turn = press(digits, riders=(RIDER,), others_only=True)
    assert turn.reply.others_only
    assert turn.step.others == ()
    assert not press(digits, riders=(RIDER,)).reply.others_only


def test_a_key_in_its_own_call_outdoes_any_in_which_it_rode() -> None:
    assert press("1", reminder=evolve(WAITING, said_with="call-9")).step.reminder.said_with is None


@pytest.mark.parametrize("why", NOT_WANTED)
def test_a_call_is_needed_as_long_as_one_of_those_that_it_says_is(why: str) -> None:
    reminder, changes = NOT_WANTED[why]
    rider = evolve(RIDER, expires_at=NOW + RULES.max_lateness + MINUTE)
    reply = pick_up(reminder, riders=(rider,), **changes)
    if changes.get("opted_out"):
        assert reply == NOT_NEEDED
    else:
        assert (reply.parts, reply.others_only) == (ASKING, True)
