from itertools import product
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Capabilities
from reminderd.core.lifecycle.keypress import (
    CALL_NOT_NEEDED,
    HANG_UP,
    MOST_REPEATS,
    Key,
    Turn,
    key_pressed,
    picked_up,
    unspoken,
)
from reminderd.core.lifecycle.transition import Ledger, Level
from reminderd.core.model import CallOutcome, CallState, Member, Response, Status, digest
from reminderd.core.reasons import EndCode
from reminderd.core.script.prompts import Prompt, Question, SpokenReply
from reminderd.core.script.scripts import Script, Scripts
from tests.support.builders import (
    DAY,
    MINUTE,
    NOW,
    RULES,
    SECOND,
    a_call,
    a_ledger,
    a_member,
    a_reminder,
    a_report,
    able,
    report_settled,
)

WAITING = a_reminder(Status.PROCESSING)
OTHER = a_reminder(Status.PROCESSING, id="reminder-2", message="And at ten.")
ANSWERED = a_call(CallState.PLACED, status="in-progress")
ASKING = (Prompt.GREETING, Prompt.MESSAGE, Prompt.MENU)
NO_WORD = evolve(RULES, leave_voicemail=False)
MACHINES = ["machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other"]


def answered(ledger: Ledger, **changes: Any) -> Turn:
    facts: dict[str, Any] = {"rules": RULES, "now": NOW}
    return picked_up(ledger, ledger.calls["call-1"], **facts | changes)


def spoken_in(*reminders: Any, call: Any = ANSWERED) -> Ledger:
    rows: list[Member] = [a_member(call, one, position=place, spoken=True) for place, one in enumerate(reminders)]
    return a_ledger(call, *reminders, *rows)


def pressed(
    ledger: Ledger, digits: str, *, at: Question = Question.MENU, repeats: int = 0, is_over: bool = False
) -> Turn:
    key = Key(digits=digits, question=at, repeats=repeats, is_over=is_over)
    return key_pressed(ledger, ledger.calls["call-1"], key, rules=RULES, now=NOW)


# Somebody answers


@pytest.mark.parametrize("answered_by", ["human", "unknown", None])
def test_a_patient_hears_the_greeting_then_the_message_then_the_menu(answered_by: str | None) -> None:
    turn = answered(a_ledger(WAITING, evolve(ANSWERED, answered_by=answered_by)))
    assert turn.reply == SpokenReply(parts=ASKING, question=Question.MENU, repeats=0)
    assert turn.message == WAITING.message


@pytest.mark.parametrize("status", [Status.DIALING, Status.PROCESSING, Status.SCHEDULED, Status.FAILED])
def test_the_message_is_spoken_as_long_as_the_patient_was_not_reached(status: Status) -> None:
    assert answered(a_ledger(a_reminder(status), ANSWERED)).reply.parts == ASKING


@pytest.mark.parametrize("status", [Status.PROCESSING, Status.CANCELLED])
def test_the_time_of_the_first_request_for_our_document_is_kept(status: Status) -> None:
    turn = answered(a_ledger(a_reminder(status), ANSWERED))
    assert turn.transition.ledger.calls["call-1"].fetched_at == NOW
    again = answered(turn.transition.ledger, now=NOW + SECOND)
    assert again.transition.ledger.calls["call-1"].fetched_at == NOW


def test_a_message_counts_as_spoken_with_its_current_text() -> None:
    changed = evolve(WAITING, message="Other words.")
    ledger = a_ledger(changed, OTHER, ANSWERED, a_member(ANSWERED, WAITING), a_member(ANSWERED, OTHER, position=1))
    turn = answered(ledger)
    assert turn.message == "Other words. And at ten."
    member = turn.transition.ledger.members["call-1", "reminder-1"]
    assert (member.spoken, member.message_digest) == (True, digest("Other words."))


def test_the_time_of_the_first_fetch_is_kept_for_every_answer() -> None:
    first = answered(a_ledger(WAITING, ANSWERED), now=NOW + SECOND).transition
    assert first.call == first.ledger.calls["call-1"]
    assert first.ledger.calls["call-1"].fetched_at == NOW + SECOND
    assert answered(first.ledger, now=NOW + MINUTE).transition.ledger.calls["call-1"].fetched_at == NOW + SECOND
    for ledger in (
        a_ledger(a_reminder(Status.CALLED), ANSWERED),
        a_ledger(WAITING, evolve(ANSWERED, answered_by="fax")),
    ):
        assert answered(ledger).transition.ledger.calls["call-1"].fetched_at == NOW


def test_a_message_ends_after_the_greeting_and_all_messages_before_it() -> None:
    rules = evolve(RULES, scripts=Scripts(own=Script(templates={Prompt.GREETING: "so " * 10})))
    first, second = evolve(WAITING, message="one " * 10), evolve(OTHER, message="two " * 5)
    members = answered(a_ledger(first, second, ANSWERED), rules=rules).transition.ledger.members
    assert members["call-1", "reminder-1"].spoken_by == NOW + 8 * SECOND
    assert members["call-1", "reminder-2"].spoken_by == NOW + 10 * SECOND


def test_a_call_is_spoken_in_the_language_of_its_reminders_with_the_time_of_that_greeting() -> None:
    scripts = Scripts(by_language={"es": Script(language="es-ES", templates={Prompt.GREETING: "Hola. " * 10})})
    rules = evolve(RULES, scripts=scripts)
    spanish = evolve(WAITING, message="one " * 10, language="es")
    turn = answered(a_ledger(spanish, ANSWERED), rules=rules)
    assert turn.reply.language == "es"
    member = turn.transition.ledger.members["call-1", "reminder-1"]
    assert (member.spoken_by, member.message_digest) == (NOW + 8 * SECOND, digest(spanish.message, "es"))
    assert answered(a_ledger(evolve(spanish, status=Status.CANCELLED), ANSWERED)).reply == evolve(
        CALL_NOT_NEEDED, language="es"
    )
    assert answered(a_ledger(evolve(spanish, phone_number="+12025550999"), ANSWERED)).reply == CALL_NOT_NEEDED


@pytest.mark.parametrize("digits", ["", "1", "2", "3", "5", "9"])
@pytest.mark.parametrize("question", list(Question))
def test_a_key_is_answered_in_the_language_of_its_question(question: Question, digits: str) -> None:
    key = Key(digits=digits, question=question, repeats=0, language="es")
    plain = evolve(key, language=None)
    ledger = spoken_in(WAITING)
    replies = [key_pressed(ledger, ANSWERED, one, rules=RULES, now=NOW).reply for one in (key, plain)]
    assert replies[0] == evolve(replies[1], language="es")


def test_a_document_the_provider_could_not_use_was_not_spoken() -> None:
    after = unspoken(spoken_in(WAITING), ANSWERED)
    member = after.ledger.members["call-1", "reminder-1"]
    assert (member.spoken, member.spoken_by) == (False, None)
    assert after.lines[0].text == "the provider could not use our answer: nothing was spoken"
    assert unspoken(after.ledger, ANSWERED).lines == ()
    heard = pressed(spoken_in(WAITING), "").transition.ledger
    assert unspoken(heard, heard.calls["call-1"]).ledger == heard


NOT_WANTED: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "cancelled": (a_reminder(Status.CANCELLED), {}, {}),
    "expired": (a_reminder(Status.EXPIRED), {}, {}),
    "reached by another call": (a_reminder(Status.CALLED), {}, {}),
    "its time is over this moment": (WAITING, {"now": NOW + RULES.max_lateness}, {}),
    "its own limit has passed": (evolve(WAITING, expires_at=NOW - SECOND), {}, {}),
    "opted out": (WAITING, {}, {"opted_out": frozenset({WAITING.phone_number})}),
}


@pytest.mark.parametrize("why", NOT_WANTED)
def test_a_call_without_a_wanted_reminder_says_it_is_no_longer_needed(why: str) -> None:
    reminder, changes, facts = NOT_WANTED[why]
    turn = answered(a_ledger(reminder, ANSWERED, **facts), **changes)
    assert (turn.reply, turn.message) == (CALL_NOT_NEEDED, "")
    assert not any(member.spoken for member in turn.transition.ledger.members.values())


TOLD_SO = {
    "its time is over this moment": (Status.EXPIRED, EndCode.TOO_LATE, "too late: answered after its limit"),
    "its own limit has passed": (Status.EXPIRED, EndCode.TOO_LATE, "too late: answered after its limit"),
    "opted out": (Status.CANCELLED, EndCode.OPTED_OUT, "opted out"),
}


@pytest.mark.parametrize("why", TOLD_SO)
@pytest.mark.parametrize("answered_by", [None, "human", "machine_start", "fax"])
def test_hearing_that_a_reminder_is_no_longer_needed_is_not_reached(why: str, answered_by: str | None) -> None:
    reminder, changes, facts = NOT_WANTED[why]
    turn = answered(a_ledger(reminder, evolve(ANSWERED, answered_by=answered_by), **facts), **changes)
    ended = turn.transition.ledger.reminders["reminder-1"]
    assert (ended.status, ended.end_code, ended.last_error) == TOLD_SO[why]
    assert ended.attempts == 1
    assert [line.text for line in turn.transition.lines] == [f"{ended.status}: {ended.last_error}"]
    over = report_settled(turn.transition.ledger, a_report(), rules=able(Capabilities(asks_what_to_say=True)))
    assert over.ledger.reminders["reminder-1"] == ended
    assert over.ledger.calls["call-1"].outcome is CallOutcome.NOT_HEARD


def test_in_a_bundle_an_expired_reminder_is_left_out_and_the_others_are_spoken() -> None:
    ledger = a_ledger(evolve(WAITING, expires_at=NOW), OTHER, ANSWERED)
    after = answered(ledger).transition.ledger
    heard = pressed(after, "").transition.ledger
    over = report_settled(heard, a_report(), rules=able(Capabilities(asks_what_to_say=True))).ledger
    assert [over.reminders[one].status for one in ("reminder-1", "reminder-2")] == [Status.EXPIRED, Status.CALLED]


@pytest.mark.parametrize("status", [Status.CALLED, Status.EXPIRED, Status.CANCELLED])
def test_answering_does_not_change_a_reminder_that_had_ended(status: Status) -> None:
    reminder = a_reminder(status)
    assert answered(a_ledger(reminder, ANSWERED)).transition.ledger.reminders["reminder-1"] == reminder


def test_a_repeated_request_after_the_message_was_heard_changes_nothing() -> None:
    heard = pressed(spoken_in(WAITING), "").transition.ledger
    assert answered(heard).transition.ledger.members == heard.members


@pytest.mark.parametrize("why", NOT_WANTED)
@pytest.mark.parametrize("answered_by", [*MACHINES, "fax"])
def test_a_machine_gets_nothing_of_an_unwanted_reminder(why: str, answered_by: str) -> None:
    reminder, changes, facts = NOT_WANTED[why]
    ledger = a_ledger(reminder, evolve(ANSWERED, answered_by=answered_by), **facts)
    assert answered(ledger, **changes).reply == HANG_UP


def test_only_wanted_reminders_of_a_bundle_are_spoken() -> None:
    turn = answered(a_ledger(evolve(WAITING, status=Status.CANCELLED), OTHER, ANSWERED))
    assert turn.message == "And at ten."
    members = turn.transition.ledger.members
    assert [members["call-1", one].spoken for one in ("reminder-1", "reminder-2")] == [False, True]


@pytest.mark.parametrize("answered_by", MACHINES)
def test_a_machine_gets_the_voicemail_text_or_nothing_as_configured(answered_by: str) -> None:
    ledger = a_ledger(WAITING, evolve(ANSWERED, answered_by=answered_by))
    assert answered(ledger).reply == SpokenReply(parts=(Prompt.VOICEMAIL,), question=Question.VOICEMAIL)
    member = answered(ledger).transition.ledger.members["call-1", "reminder-1"]
    assert (member.spoken, member.spoken_by) == (True, None)
    assert answered(ledger, rules=NO_WORD).reply == HANG_UP


@pytest.mark.parametrize("rules", [RULES, NO_WORD], ids=["leaves word", "hangs up"])
def test_a_fax_hears_nothing(rules: Any) -> None:
    assert answered(a_ledger(WAITING, evolve(ANSWERED, answered_by="fax")), rules=rules).reply == HANG_UP


# A person who was taken for a machine


def left(*reminders: Any, **facts: Any) -> Ledger:
    """Return a ledger with a call in which the voicemail is being spoken."""
    return answered(a_ledger(evolve(ANSWERED, answered_by="machine_start"), *reminders, **facts)).transition.ledger


@pytest.mark.parametrize("digits", ["1", "2", "3", "7", "12"])
def test_a_key_during_the_voicemail_shows_a_person_who_then_hears_the_message(digits: str) -> None:
    turn = pressed(left(WAITING, OTHER), digits, at=Question.VOICEMAIL)
    assert turn.reply == SpokenReply(parts=ASKING, question=Question.MENU)
    assert turn.message == "Your appointment is tomorrow at nine. And at ten."
    after = turn.transition.ledger
    assert all(member.spoken and member.spoken_by for member in after.members.values())
    assert {one.response for one in after.reminders.values()} == {None}, "they have not heard what they would answer"
    confirmed = pressed(after, "1").transition.ledger
    assert {one.status for one in confirmed.reminders.values()} == {Status.CALLED}
    assert confirmed.calls["call-1"].outcome is CallOutcome.CONFIRMED


def test_a_person_detected_late_can_still_hang_up_during_the_message() -> None:
    after = pressed(left(WAITING), "1", at=Question.VOICEMAIL).transition.ledger
    over = report_settled(after, a_report(), rules=able(Capabilities(asks_what_to_say=True))).ledger
    assert over.calls["call-1"].outcome is CallOutcome.HUNG_UP
    assert over.reminders["reminder-1"].end_code is EndCode.HUNG_UP


def test_a_key_during_the_voicemail_does_not_speak_a_reminder_that_is_too_late() -> None:
    ledger = left(evolve(WAITING, expires_at=NOW + SECOND))
    call = ledger.calls["call-1"]
    key = Key(digits="1", question=Question.VOICEMAIL, repeats=0)
    turn = key_pressed(ledger, call, key, rules=RULES, now=NOW + SECOND)
    assert turn.reply == CALL_NOT_NEEDED
    assert turn.transition.ledger.reminders["reminder-1"].status is Status.EXPIRED
    assert not turn.transition.ledger.members["call-1", "reminder-1"].spoken


def test_no_key_during_the_voicemail_proves_nothing() -> None:
    ledger = left(WAITING)
    turn = pressed(ledger, "", at=Question.VOICEMAIL)
    assert (turn.reply, turn.transition.ledger) == (HANG_UP, ledger)
    over = report_settled(ledger, a_report(), rules=able(Capabilities(asks_what_to_say=True))).ledger
    assert over.calls["call-1"].outcome is CallOutcome.VOICEMAIL
    assert over.reminders["reminder-1"].status is Status.SCHEDULED


def test_key_9_during_the_voicemail_opts_out_and_nothing_counts_as_heard() -> None:
    ledger = left(WAITING, evolve(OTHER, status=Status.FAILED, end_code=EndCode.NOT_ANSWERED))
    turn = pressed(ledger, "9", at=Question.VOICEMAIL)
    assert (turn.reply, turn.opts_out) == (SpokenReply(parts=(Prompt.OPTED_OUT,)), True)
    first, second = turn.transition.ledger.reminders.values()
    assert (first.status, first.end_code, first.attempts) == (Status.CANCELLED, EndCode.OPTED_OUT, 1)
    assert (second.status, second.response) == (Status.FAILED, Response.OPTED_OUT)
    again = pressed(turn.transition.ledger, "9", at=Question.VOICEMAIL)
    assert (again.transition.ledger, again.answers) == (turn.transition.ledger, ())


def test_a_call_with_key_9_during_the_voicemail_does_not_count_as_one() -> None:
    after = pressed(left(WAITING), "9", at=Question.VOICEMAIL).transition.ledger
    written_again = after.put(evolve(WAITING, message=after.reminders["reminder-1"].message))
    rules = able(Capabilities(asks_what_to_say=True), voicemail_is_reached=True)
    over = report_settled(written_again, a_report(), rules=rules).ledger
    assert over.calls["call-1"].outcome is CallOutcome.NOT_HEARD
    assert over.reminders["reminder-1"].status is not Status.CALLED


# What a key means


@pytest.mark.parametrize(
    ("digits", "at", "response", "part"),
    [
        ("1", Question.MENU, Response.CONFIRMED, Prompt.CONFIRMED),
        ("1", Question.CANCEL, Response.CONFIRMED, Prompt.CONFIRMED),
        ("2", Question.CANCEL, Response.CANCEL_REQUESTED, Prompt.CANCEL_REQUESTED),
        ("9", Question.MENU, Response.OPTED_OUT, Prompt.OPTED_OUT),
        ("9", Question.CANCEL, Response.OPTED_OUT, Prompt.OPTED_OUT),
    ],
)
@pytest.mark.parametrize("status", [Status.PROCESSING, Status.SCHEDULED, Status.FAILED, Status.EXPIRED, Status.CALLED])
def test_a_key_answers_every_reminder_that_was_spoken_and_proves_that_it_was_heard(
    digits: str, at: Question, response: Response, part: Prompt, status: Status
) -> None:
    turn = pressed(spoken_in(evolve(WAITING, status=status), OTHER), digits, at=at)
    after = turn.transition.ledger
    assert turn.reply == SpokenReply(parts=(part,))
    assert turn.opts_out is (response is Response.OPTED_OUT)
    confirms = response is Response.CONFIRMED
    assert after.calls["call-1"].outcome is (CallOutcome.CONFIRMED if confirms else CallOutcome.HEARD)
    assert {(one.status, one.response) for one in after.reminders.values()} == {(Status.CALLED, response)}
    assert turn.answers == (("reminder-1", response), ("reminder-2", response))


def test_a_request_to_cancel_is_an_error_in_the_log() -> None:
    [line] = pressed(spoken_in(WAITING), "2", at=Question.CANCEL).transition.lines
    assert (line.level, line.text) == (Level.ERROR, "called: cancel requested by key")


def test_a_key_does_not_change_a_reminder_that_was_not_spoken() -> None:
    ledger = a_ledger(ANSWERED, WAITING, OTHER, a_member(ANSWERED, WAITING, spoken=True), a_member(ANSWERED, OTHER))
    assert pressed(ledger, "1").transition.ledger.reminders["reminder-2"] == OTHER


@pytest.mark.parametrize("status", [Status.EXPIRED, Status.CANCELLED, Status.PROCESSING])
@pytest.mark.parametrize("digits", ["", "1", "2", "9"])
def test_a_key_does_not_change_a_reminder_that_was_not_spoken_though_the_spoken_one_was_moved(
    status: Status, digits: str
) -> None:
    other = evolve(OTHER, status=status)
    moved = evolve(WAITING, scheduled_at=NOW + DAY)
    members = a_member(ANSWERED, WAITING, spoken=True), a_member(ANSWERED, other, position=1)
    turn = pressed(a_ledger(ANSWERED, moved, other, *members), digits, at=Question.CANCEL)
    assert turn.transition.ledger.reminders == {"reminder-1": moved, "reminder-2": other}
    assert not turn.transition.ledger.members["call-1", "reminder-2"].spoken
    assert turn.answers == ()


def test_a_key_proves_that_the_message_was_spoken_even_after_a_restore() -> None:
    after = pressed(a_ledger(WAITING, ANSWERED), "1").transition.ledger
    assert after.reminders["reminder-1"].status is Status.CALLED
    assert after.members["call-1", "reminder-1"].spoken


def test_key_2_asks_for_confirmation_and_proves_that_the_message_was_heard() -> None:
    turn = pressed(spoken_in(WAITING), "2", repeats=1)
    after = turn.transition.ledger
    assert after.calls["call-1"].outcome is CallOutcome.HEARD
    assert (after.reminders["reminder-1"].status, after.reminders["reminder-1"].response) == (Status.CALLED, None)
    assert [line.text for line in turn.transition.lines] == ["called: somebody heard the message"]
    assert turn.reply == SpokenReply(parts=(Prompt.CANCEL_QUESTION,), question=Question.CANCEL, repeats=1)
    assert turn.message == WAITING.message


def test_the_same_key_a_second_time_changes_nothing() -> None:
    first = pressed(spoken_in(WAITING), "1").transition.ledger
    again = pressed(first, "1")
    assert (again.transition.ledger, again.transition.lines, again.answers) == (first, (), ())


def test_a_later_key_replaces_an_earlier_one_but_never_an_opt_out() -> None:
    first = pressed(spoken_in(WAITING), "2", at=Question.CANCEL).transition.ledger
    assert pressed(first, "1").transition.ledger.reminders["reminder-1"].response == Response.CONFIRMED
    out = pressed(spoken_in(WAITING), "9").transition.ledger
    assert out.calls["call-1"].outcome is CallOutcome.HEARD
    again = pressed(out, "1").transition.ledger
    assert again.reminders["reminder-1"].response == Response.OPTED_OUT
    assert again.calls["call-1"].outcome is CallOutcome.HEARD


def test_a_response_that_is_already_recorded_is_not_new() -> None:
    turn = pressed(spoken_in(evolve(WAITING, status=Status.FAILED, response="confirmed")), "1")
    assert turn.transition.ledger.reminders["reminder-1"].status is Status.CALLED
    assert turn.answers == ()


def test_a_key_does_not_undo_a_cancel_by_staff_and_is_recorded() -> None:
    after = pressed(spoken_in(a_reminder(Status.CANCELLED)), "1").transition.ledger.reminders["reminder-1"]
    assert (after.status, after.response) == (Status.CANCELLED, Response.CONFIRMED)


def test_the_calls_end_changes_nothing_after_a_key() -> None:
    after = pressed(spoken_in(WAITING), "1").transition.ledger
    for word in ("busy", "failed", "completed"):
        ended = report_settled(after, a_report(word)).ledger
        assert ended.reminders["reminder-1"] == after.reminders["reminder-1"]
        assert ended.calls["call-1"].outcome is CallOutcome.CONFIRMED


@pytest.mark.parametrize(
    ("digits", "at", "parts"),
    [
        ("3", Question.MENU, ASKING),
        ("", Question.MENU, ASKING),
        ("", Question.CANCEL, (Prompt.CANCEL_QUESTION,)),
        ("7", Question.MENU, (Prompt.UNKNOWN_KEY, *ASKING)),
        ("3", Question.CANCEL, (Prompt.UNKNOWN_KEY, Prompt.CANCEL_QUESTION)),
        ("12", Question.MENU, (Prompt.UNKNOWN_KEY, *ASKING)),
    ],
)
def test_any_other_key_or_silence_repeats_the_question(digits: str, at: Question, parts: tuple[Prompt, ...]) -> None:
    turn = pressed(spoken_in(WAITING), digits, at=at)
    after = turn.transition.ledger
    assert after.calls["call-1"].outcome is CallOutcome.HEARD
    assert (after.reminders["reminder-1"].status, after.reminders["reminder-1"].response) == (Status.CALLED, None)
    again = pressed(after, digits, at=at, repeats=1)
    assert (again.transition.ledger, again.transition.lines) == (after, ())
    assert turn.reply == SpokenReply(parts=parts, question=at, repeats=1)


def test_no_key_proves_nothing_if_the_call_had_ended() -> None:
    ledger = spoken_in(WAITING)
    turn = pressed(ledger, "", is_over=True)
    assert (turn.reply, turn.transition.ledger) == (HANG_UP, ledger)
    assert pressed(ledger, "1", is_over=True).transition.ledger.reminders["reminder-1"].status is Status.CALLED


def test_a_message_reported_as_heard_after_the_calls_end_counts() -> None:
    speaking = a_ledger(ANSWERED, WAITING, a_member(ANSWERED, WAITING, spoken=True, spoken_by=NOW + SECOND))
    cut = report_settled(speaking, a_report(), rules=able(Capabilities(asks_what_to_say=True))).ledger
    assert cut.reminders["reminder-1"].status is Status.FAILED
    after = pressed(cut, "").transition.ledger
    assert (after.reminders["reminder-1"].status, after.calls["call-1"].outcome) == (Status.CALLED, CallOutcome.HEARD)


def test_the_end_of_a_message_does_not_undo_a_confirmation() -> None:
    confirmed = pressed(spoken_in(WAITING), "1").transition.ledger
    assert pressed(confirmed, "").transition.ledger == confirmed


def test_after_two_repeats_the_call_says_goodbye() -> None:
    for digits, at in product(("", "3", "7"), (Question.MENU, Question.CANCEL)):
        turn = pressed(spoken_in(WAITING), digits, at=at, repeats=MOST_REPEATS)
        assert (turn.reply, turn.message) == (SpokenReply(parts=(Prompt.GOODBYE,)), "")


def test_every_sequence_of_keys_ends_in_goodbye() -> None:
    reply, turns = SpokenReply(parts=ASKING, question=Question.MENU), 0
    while reply.question is not None:
        reply = pressed(spoken_in(WAITING), "3", at=reply.question, repeats=reply.repeats).reply
        turns += 1
    assert turns == MOST_REPEATS + 1


def test_a_key_after_done_by_staff_clears_it_unless_they_cancelled() -> None:
    done = evolve(WAITING, status=Status.FAILED, done_at=NOW - MINUTE)
    after = pressed(spoken_in(done), "2", at=Question.CANCEL).transition.ledger.reminders["reminder-1"]
    assert (after.status, after.response, after.done_at) == (Status.CALLED, Response.CANCEL_REQUESTED, None)
    cancelled = evolve(done, status=Status.CANCELLED, end_code=EndCode.DONE_BY_STAFF)
    after = pressed(spoken_in(cancelled), "2", at=Question.CANCEL).transition.ledger.reminders["reminder-1"]
    assert (after.status, after.response, after.done_at) == (
        Status.CANCELLED,
        Response.CANCEL_REQUESTED,
        NOW - MINUTE,
    )
