from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Found
from reminderd.core.lifecycle import Level, call_spoken_of
from reminderd.core.reminder import PROGRESS, TERMINAL, Call, Reminder, Status
from reminderd.core.rules import Rules
from tests.support.nouns import (
    DROP,
    HOUR,
    LOOK_UP,
    MINUTE,
    NO_HOURS,
    NOW,
    RULES,
    TOKEN,
    a_call,
    a_reminder,
    a_report,
    able,
    asked,
    hours,
    told,
)

WAITING = a_reminder(Status.PROCESSING, wake_at=NOW + HOUR)
DIALING = a_reminder(Status.DIALING, lease_token=TOKEN, wake_at=NOW + MINUTE)
FAILED = a_reminder(Status.FAILED, last_error="unconfirmed, ring by hand")
MORNING = evolve(RULES, window=hours(8 * HOUR, 10 * HOUR + 10 * MINUTE))


# Which call a report speaks of


def test_our_own_id_finds_the_call_before_the_providers_does() -> None:
    first, second = a_call("busy", external_call_id="ext-1"), a_call(id="call-2", attempt=2)
    assert call_spoken_of(a_report(attempt_id="call-2"), (first, second)) == (second, True)


@pytest.mark.parametrize("attempt_id", [None, "another reminder's"])
def test_else_the_providers_id_finds_it(attempt_id: str | None) -> None:
    first, second = a_call("busy", external_call_id="ext-1"), a_call(id="call-2", attempt=2)
    assert call_spoken_of(a_report(attempt_id=attempt_id), (first, second)) == (first, False)


def test_else_it_is_the_only_call_without_an_id() -> None:
    first, second = a_call("busy", external_call_id="ext-0"), a_call(id="call-2", attempt=2)
    assert call_spoken_of(a_report(attempt_id=None), (first, second)) == (second, False)


@pytest.mark.parametrize(
    "calls",
    [
        (),
        (a_call("busy"), a_call(id="call-2", attempt=2)),
        (a_call("queued", external_call_id="ext-0"),),
        (a_call("busy", attempt=None),),
    ],
    ids=["no call", "two without an id", "none without an id", "only a kept report"],
)
def test_else_it_cannot_be_told(calls: tuple[Call, ...]) -> None:
    assert call_spoken_of(a_report(attempt_id=None), calls) == (None, False)


def test_a_report_for_a_reminder_never_dialled_changes_nothing_and_warns() -> None:
    step = told(a_reminder(), report=a_report("completed"))
    assert (step.reminder, step.calls, step.duplicate) == (a_reminder(), (), False)
    assert [note.level for note in step.notes] == [Level.WARNING]


def test_its_repeat_is_a_duplicate() -> None:
    assert told(a_reminder(), report=a_report("completed"), receipt_is_new=False).duplicate


def test_progress_is_never_a_duplicate() -> None:
    assert not told(a_reminder(), report=a_report("ringing"), receipt_is_new=False).duplicate


@pytest.mark.parametrize("word", sorted(TERMINAL - {"completed"} | PROGRESS))
def test_a_report_that_matches_no_call_is_kept_beside_them_and_changes_nothing_else(word: str) -> None:
    call = a_call("queued", external_call_id="ext-0")
    report = a_report(word, attempt_id=None, transcript="Hello?", duration_seconds=9, answered_by="human")
    step = told(WAITING, call, report=report)
    assert step.reminder == WAITING
    assert step.calls[0] == call
    kept = step.calls[1]
    assert (kept.id, kept.attempt, kept.status, kept.external_call_id) == ("call-kept", None, word, "ext-1")
    assert (kept.transcript, kept.duration_seconds, kept.answered_by) == ("Hello?", 9, "human")
    assert kept.received_at == (NOW if word in TERMINAL else None)
    assert not kept.open


def test_completed_that_matches_no_call_still_means_called() -> None:
    step = told(WAITING, a_call("queued", external_call_id="ext-0"), report=a_report(attempt_id=None))
    assert step.reminder.status is Status.CALLED
    assert step.reminder.wake_at is not None, "its open call is still to be followed to its end"


def test_a_repeat_that_matches_no_call_is_not_kept_again() -> None:
    call = a_call("queued", external_call_id="ext-0")
    step = told(WAITING, call, report=a_report(attempt_id=None), receipt_is_new=False)
    assert (step.reminder, step.calls, step.duplicate) == (WAITING, (call,), True)


def test_the_end_of_a_kept_progress_report_is_noted_on_its_row() -> None:
    kept = a_call("ringing", id="call-kept", attempt=None, external_call_id="ext-1")
    step = told(WAITING, a_call("queued", external_call_id="ext-0"), kept, report=a_report("busy", attempt_id=None))
    assert step.reminder == WAITING
    assert (step.calls[1].status, step.calls[1].received_at) == ("busy", NOW)


@pytest.mark.parametrize("attempt_id", ["call-1", None], ids=["named by our id", "matched by being the only one"])
def test_an_id_that_is_on_another_call_is_not_stored_again(attempt_id: str | None) -> None:
    step = told(WAITING, a_call("unconfirmed"), report=a_report("ringing", attempt_id=attempt_id), id_taken=True)
    assert (step.reminder.external_call_id, step.calls[0].external_call_id) == (None, None)
    assert step.calls[0].status == "ringing"
    assert [note.level for note in step.notes].count(Level.ERROR) == 1


def test_a_kept_report_does_not_store_another_calls_id_either() -> None:
    call = a_call("queued", external_call_id="ext-0")
    step = told(WAITING, call, report=a_report(attempt_id=None), id_taken=True)
    assert step.calls[1].external_call_id is None


def test_the_id_that_a_call_has_is_kept() -> None:
    step = told(WAITING, a_call("queued", external_call_id="ext-0"), report=a_report("ringing"))
    assert step.calls[0].external_call_id == "ext-0"


# One terminal report a call


def test_completed_means_called() -> None:
    report = a_report(transcript="Yes, I will come.", duration_seconds=31, answered_by="human")
    step = told(WAITING, a_call("queued"), report=report)
    assert (step.reminder.status, step.reminder.wake_at, step.reminder.last_error) == (Status.CALLED, None, None)
    assert step.reminder.external_call_id == "ext-1"
    call = step.calls[0]
    assert (call.status, call.received_at, call.external_call_id) == ("completed", NOW, "ext-1")
    assert (call.transcript, call.duration_seconds, call.answered_by) == ("Yes, I will come.", 31, "human")


def test_a_second_terminal_report_only_fills_what_is_empty() -> None:
    call = a_call("busy", received_at=NOW - MINUTE, external_call_id="ext-1", transcript="first")
    again = a_reminder(attempts=1)
    step = told(again, call, report=a_report("completed", transcript="second", duration_seconds=9))
    assert step.duplicate
    assert step.reminder == again
    assert step.calls == (evolve(call, duration_seconds=9),)


def test_an_empty_transcript_counts_as_kept() -> None:
    call = a_call("completed", received_at=NOW, transcript="", duration_seconds=0)
    step = told(a_reminder(Status.CALLED), call, report=a_report(transcript="later", duration_seconds=9))
    assert (step.calls[0].transcript, step.calls[0].duration_seconds) == ("", 0)


def test_a_receipt_left_before_silences_a_report_that_does_not_name_our_call() -> None:
    step = told(WAITING, a_call("queued"), report=a_report("completed", attempt_id=None), receipt_is_new=False)
    assert step.duplicate
    assert (step.reminder, step.calls[0].status) == (WAITING, "queued")


def test_a_providers_reused_id_cannot_silence_a_report_that_names_our_call() -> None:
    step = told(WAITING, a_call("queued"), report=a_report("completed"), receipt_is_new=False, id_taken=True)
    assert (step.reminder.status, step.duplicate) == (Status.CALLED, False)


@pytest.mark.parametrize("word", ["busy", "no-answer", "canceled"])
def test_the_phone_is_rung_again_after(word: str) -> None:
    step = told(DIALING, a_call(), report=a_report(word))
    assert (step.reminder.status, step.reminder.lease_token) == (Status.SCHEDULED, None)
    assert step.reminder.wake_at == NOW + RULES.redial_delay(1)
    assert step.reminder.hold_reason == f"{word}, to be rung again"
    assert step.reminder.last_error is None


def test_the_next_call_waits_for_the_calling_hours() -> None:
    reminder = evolve(WAITING, expires_at=NOW + 30 * HOUR)
    step = told(reminder, a_call("queued"), report=a_report("busy"), rules=MORNING)
    assert step.reminder.wake_at == NOW + 22 * HOUR


@pytest.mark.parametrize(
    ("attempts", "rules", "reason"),
    [
        (3, RULES, "busy, after 3 calls"),
        (1, evolve(RULES, max_lateness=15 * MINUTE), "busy, and too late for another call"),
        (1, MORNING, "busy, and too late for another call"),
        (1, evolve(RULES, window=NO_HOURS), "busy, and too late for another call"),
    ],
    ids=["no call remains", "it would expire", "the hours begin too late", "no hours at all"],
)
def test_it_has_failed_if_it_cannot_be_rung_again(attempts: int, rules: Rules, reason: str) -> None:
    step = told(evolve(WAITING, attempts=attempts), a_call("queued"), report=a_report("busy"), rules=rules)
    assert (step.reminder.status, step.reminder.last_error, step.reminder.wake_at) == (Status.FAILED, reason, None)
    assert step.notes[-1].level is Level.ERROR


def test_a_reported_failure_is_not_rung_again() -> None:
    step = told(WAITING, a_call("queued"), report=a_report("failed"))
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, "the provider reported: failed")


@pytest.mark.parametrize("ours", ["unreported", "not-placed"])
@pytest.mark.parametrize("status", [Status.FAILED, Status.EXPIRED])
def test_the_truth_wins_over_what_we_had_concluded(ours: str, status: Status) -> None:
    step = told(a_reminder(status, last_error="a reason"), a_call(ours), report=a_report("completed"))
    assert (step.reminder.status, step.reminder.last_error, step.reminder.wake_at) == (Status.CALLED, None, None)
    assert (step.calls[0].status, step.calls[0].received_at) == ("completed", NOW)


@pytest.mark.parametrize("ours", ["unreported", "not-placed"])
def test_another_end_of_a_call_we_had_closed_is_only_noted_once_all_is_over(ours: str) -> None:
    step = told(FAILED, a_call(ours), report=a_report("busy"))
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, FAILED.last_error)
    assert (step.calls[0].status, step.calls[0].received_at) == ("busy", NOW)


def test_a_refused_call_stays_refused() -> None:
    call = a_call("refused")
    step = told(FAILED, call, report=a_report("failed", transcript="late"))
    assert step.reminder.status is Status.FAILED
    assert step.calls == (evolve(call, transcript="late", external_call_id="ext-1", received_at=NOW),)
    assert told(step.reminder, *step.calls, report=a_report("failed")).duplicate


def test_a_cancelled_reminder_keeps_the_end_of_its_call_and_stays_cancelled() -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW, last_error="cancelled by staff")
    step = told(gone, a_call("ringing"), report=a_report("completed", transcript="Yes"))
    assert (step.reminder.status, step.reminder.wake_at) == (Status.CANCELLED, None)
    assert step.reminder.last_error == "cancelled by staff"
    assert (step.calls[0].status, step.calls[0].transcript) == ("completed", "Yes")


@pytest.mark.parametrize(
    ("word", "after"),
    [("completed", Status.CALLED), ("busy", Status.DIALING), ("failed", Status.DIALING), ("ringing", Status.DIALING)],
)
def test_of_an_older_call_only_completed_changes_the_reminder(word: str, after: Status) -> None:
    older, newest = a_call("unreported"), a_call(id="call-2", attempt=2)
    step = told(DIALING, older, newest, report=a_report(word))
    assert step.reminder.status is after
    assert step.calls[0].status == (word if word in TERMINAL else "unreported")
    assert step.calls[1] == newest
    assert (step.reminder.lease_token == TOKEN) is (after is Status.DIALING)


def test_once_staff_had_it_called_again_an_older_calls_failure_is_only_noted() -> None:
    step = told(a_reminder(attempts=0), a_call("unreported"), report=a_report("failed"))
    assert step.reminder == a_reminder(attempts=0)
    assert step.calls[0].status == "failed"


# Progress


@pytest.mark.parametrize("word", sorted(PROGRESS))
@pytest.mark.parametrize("call", [a_call("unconfirmed"), a_call("dialing")], ids=["unconfirmed", "dialing"])
def test_progress_is_evidence_that_the_call_was_placed(word: str, call: Call) -> None:
    step = told(DIALING, call, report=a_report(word))
    assert (step.reminder.status, step.reminder.lease_token) == (Status.PROCESSING, None)
    assert step.reminder.wake_at == NOW + RULES.outcome_timeout
    assert (step.reminder.external_call_id, step.reminder.hold_reason) == ("ext-1", None)
    assert (step.calls[0].status, step.calls[0].external_call_id) == (word, "ext-1")
    assert step.notes[-1].level is Level.INFO


def test_a_word_we_do_not_know_is_progress_kept_as_it_is_with_a_warning() -> None:
    step = told(WAITING, a_call("unconfirmed"), report=a_report("on-hold"))
    assert (step.reminder.status, step.calls[0].status) == (Status.PROCESSING, "on-hold")
    assert step.notes[-1].level is Level.WARNING


def test_progress_that_comes_out_of_order_does_not_turn_a_call_back() -> None:
    step = told(WAITING, a_call("in-progress"), report=a_report("ringing"))
    assert step.calls[0].status == "in-progress"
    assert step.reminder.wake_at == NOW + RULES.outcome_timeout


@pytest.mark.parametrize("ours", ["not-placed", "unreported"])
def test_progress_of_a_scheduled_reminders_call_opens_it_again(ours: str) -> None:
    step = told(a_reminder(attempts=1, hold_reason="not placed"), a_call(ours), report=a_report("ringing"))
    assert (step.reminder.status, step.reminder.hold_reason) == (Status.PROCESSING, None)
    assert (step.calls[0].status, step.calls[0].open) == ("ringing", True)


def test_progress_of_an_older_call_opens_nothing() -> None:
    older, newest = a_call("unreported"), a_call("not-placed", id="call-2", attempt=2)
    step = told(a_reminder(attempts=2), older, newest, report=a_report("ringing"))
    assert step.reminder == a_reminder(attempts=2)
    assert [call.status for call in step.calls] == ["unreported", "not-placed"]


def test_a_final_reminder_is_woken_for_its_open_call_whatever_is_noted_of_an_older_one() -> None:
    followed = a_reminder(Status.CANCELLED, wake_at=NOW, last_error="cancelled by staff")
    older, newest = a_call("unreported"), a_call("ringing", id="call-2", attempt=2)
    step = told(followed, older, newest, report=a_report("busy"))
    assert step.reminder == followed
    assert [call.status for call in step.calls] == ["busy", "ringing"]


def test_progress_opens_no_second_call_beside_one_that_another_program_left_open() -> None:
    older, newest = a_call("ringing", external_call_id="ext-0"), a_call("not-placed", id="call-2", attempt=2)
    step = told(a_reminder(attempts=2), older, newest, report=a_report("ringing", attempt_id="call-2"))
    assert step.reminder == a_reminder(attempts=2)
    assert [call.status for call in step.calls] == ["ringing", "not-placed"]


def test_a_call_opened_again_after_staff_called_again_counts_as_one_of_its_calls() -> None:
    step = told(a_reminder(attempts=0), a_call("unreported"), report=a_report("ringing"))
    assert (step.reminder.status, step.reminder.attempts) == (Status.PROCESSING, 1)


def test_progress_of_a_final_reminders_closed_call_is_only_noted() -> None:
    step = told(FAILED, a_call("unreported"), report=a_report("ringing"))
    assert step.reminder == FAILED
    assert (step.calls[0].status, step.calls[0].external_call_id) == ("unreported", "ext-1")


def test_progress_after_the_end_is_only_noted() -> None:
    call = a_call("busy", received_at=NOW, external_call_id="ext-1")
    reminder = a_reminder(attempts=1)
    step = told(reminder, call, report=a_report("ringing"))
    assert (step.reminder, step.calls) == (reminder, (call,))


def test_progress_of_a_cancelled_reminders_open_call_only_moves_its_check() -> None:
    gone = a_reminder(Status.CANCELLED, wake_at=NOW, last_error="cancelled by staff")
    step = told(gone, a_call("dialing"), report=a_report("ringing"))
    assert (step.reminder.status, step.calls[0].status) == (Status.CANCELLED, "ringing")
    assert step.reminder.wake_at == NOW + RULES.outcome_timeout


def test_progress_that_matches_no_call_and_has_anothers_id_leaves_no_row_each_time() -> None:
    two = (
        a_call("busy", id="a", external_call_id="ext-a"),
        a_call("queued", id="b", attempt=2, external_call_id="ext-b"),
    )
    stranger = a_report("ringing", attempt_id=None, external_call_id="taken")
    step = told(a_reminder(Status.PROCESSING), *two, report=stranger, id_taken=True)
    assert step.calls == two
    assert [note.level for note in step.notes] == [Level.ERROR, Level.WARNING]


def test_a_repeat_about_an_older_call_leaves_the_newer_one_of_a_cancelled_reminder_followed() -> None:
    cancelled = a_reminder(Status.CANCELLED, wake_at=NOW + HOUR)
    older, newer = a_call("busy", received_at=NOW), a_call("ringing", id="call-2", attempt=2)
    step = told(cancelled, older, newer, report=a_report("busy"), receipt_is_new=False)
    assert (step.duplicate, step.reminder) == (True, cancelled)


# A machine has answered

STRICT = evolve(RULES, voicemail_is_reached=False)
VOICEMAIL = a_report("completed", answered_by="machine_end_beep")


def test_a_voicemail_is_called_where_it_counts_as_reached() -> None:
    step = told(WAITING, a_call("queued"), report=VOICEMAIL)
    assert (step.reminder.status, step.calls[0].status) == (Status.CALLED, "completed")
    assert step.notes[-1].text == "called: completed"


@pytest.mark.parametrize("answered_by", ["machine_start", "fax"])
def test_a_voicemail_is_rung_again_where_it_does_not(answered_by: str) -> None:
    step = told(WAITING, a_call("queued"), report=a_report("completed", answered_by=answered_by), rules=STRICT)
    assert (step.reminder.status, step.reminder.wake_at) == (Status.SCHEDULED, NOW + RULES.redial_delay(1))
    assert (step.reminder.hold_reason, step.reminder.lease_token) == ("voicemail, to be rung again", None)
    assert (step.calls[0].status, step.calls[0].received_at, step.duplicate) == ("completed", NOW, False)
    assert step.notes[-1].text.startswith("voicemail, to be rung again: ")


def test_that_a_machine_answered_may_have_been_told_before_the_end() -> None:
    call = a_call("in-progress", answered_by="machine_start")
    assert told(WAITING, call, report=a_report("completed"), rules=STRICT).reminder.status is Status.SCHEDULED


def test_what_was_told_first_of_who_answered_stands() -> None:
    call = a_call("in-progress", answered_by="human")
    step = told(WAITING, call, report=VOICEMAIL, rules=STRICT)
    assert (step.reminder.status, step.calls[0].answered_by) == (Status.CALLED, "human")


@pytest.mark.parametrize(
    ("attempts", "rules", "reason"),
    [
        (3, STRICT, "voicemail, after 3 calls"),
        (1, evolve(STRICT, max_lateness=15 * MINUTE), "voicemail, and too late for another call"),
        (1, evolve(STRICT, window=MORNING.window), "voicemail, and too late for another call"),
        (1, evolve(STRICT, window=NO_HOURS), "voicemail, and too late for another call"),
    ],
    ids=["no call remains", "it would expire", "the hours begin too late", "no hours at all"],
)
def test_a_voicemail_has_failed_if_it_cannot_be_rung_again(attempts: int, rules: Rules, reason: str) -> None:
    step = told(evolve(WAITING, attempts=attempts), a_call("queued"), report=VOICEMAIL, rules=rules)
    assert (step.reminder.status, step.reminder.last_error, step.reminder.wake_at) == (Status.FAILED, reason, None)
    assert (step.notes[-1].text, step.notes[-1].level) == (f"failed: {reason}", Level.ERROR)


@pytest.mark.parametrize("status", [Status.FAILED, Status.EXPIRED, Status.CANCELLED, Status.CALLED])
def test_a_voicemail_of_a_call_that_we_had_closed_changes_no_final_reminder(status: Status) -> None:
    over = a_reminder(status, last_error=None if status is Status.CALLED else "a reason", external_call_id="ext-1")
    step = told(over, a_call("unreported"), report=VOICEMAIL, rules=STRICT)
    assert (step.reminder, step.calls[0].status) == (over, "completed")


def test_the_voicemail_of_an_older_call_is_only_noted() -> None:
    newest = a_call(id="call-2", attempt=2)
    step = told(DIALING, a_call("unreported"), newest, report=VOICEMAIL, rules=STRICT)
    assert (step.reminder, step.calls[1], step.calls[0].status) == (DIALING, newest, "completed")
    assert step.notes[-1].text == "noted: voicemail"


def test_a_voicemail_that_matches_no_call_is_kept_and_reaches_nobody() -> None:
    report = evolve(VOICEMAIL, attempt_id=None)
    step = told(WAITING, a_call("queued", external_call_id="ext-0"), report=report, rules=STRICT)
    assert (step.reminder, step.calls[1].answered_by) == (WAITING, "machine_end_beep")


# Why a call failed


@pytest.mark.parametrize(
    ("codes", "appendix"),
    [
        ({}, ""),
        ({"error_code": "31005"}, " (error 31005)"),
        ({"sip_response_code": 603}, " (SIP 603)"),
        ({"error_code": "31005", "sip_response_code": 603}, " (error 31005, SIP 603)"),
    ],
    ids=["nothing", "the provider's number", "the network's", "both"],
)
def test_a_failure_says_what_is_known_of_why(codes: dict[str, Any], appendix: str) -> None:
    step = told(WAITING, a_call("queued"), report=a_report("failed", **codes))
    assert step.reminder.last_error == f"the provider reported: failed{appendix}"
    assert (step.calls[0].error_code, step.calls[0].sip_response_code) == (
        codes.get("error_code"),
        codes.get("sip_response_code"),
    )


def test_codes_told_before_the_end_are_kept_and_said() -> None:
    step = told(WAITING, a_call("ringing", sip_response_code=480), report=a_report("failed", sip_response_code=603))
    assert step.reminder.last_error == "the provider reported: failed (SIP 480)"


# News of a call that nobody wants any more

GONE = a_reminder(Status.CANCELLED, wake_at=NOW + MINUTE, lease_token=TOKEN, last_error="cancelled by staff")
QUEUED = a_call("queued", external_call_id="ext-1")
LATER = NOW + RULES.outcome_timeout


@pytest.mark.parametrize("before", ["dialing", "unconfirmed", "queued"])
@pytest.mark.parametrize("checks", [0, 4], ids=["never asked about", "asked about before"])
def test_news_that_it_rings_has_it_dropped_at_once(before: str, checks: int) -> None:
    step = told(GONE, a_call(before, checks=checks), report=a_report("ringing"), rules=able(DROP))
    assert (step.reminder.wake_at, step.reminder.lease_token) == (NOW, None)


def test_a_call_of_its_own_found_by_a_look_up_is_dropped_at_once() -> None:
    step = asked(GONE, a_call("unconfirmed", checks=3), Found(a_report("ringing")), rules=able(DROP))
    assert (step.reminder.wake_at, step.calls[0].status) == (NOW, "ringing")


@pytest.mark.parametrize("word", ["queued", "initiated"])
def test_no_news_has_it_dropped_no_second_time(word: str) -> None:
    step = told(GONE, a_call("initiated", external_call_id="ext-1", checks=1), report=a_report(word), rules=able(DROP))
    assert step.reminder.wake_at == LATER


def test_a_drop_that_is_due_is_not_put_off_by_old_news() -> None:
    due = evolve(GONE, wake_at=NOW, lease_token=None)
    step = told(due, evolve(QUEUED, checks=2), report=a_report("queued"), rules=able(DROP))
    assert step.reminder.wake_at == NOW


@pytest.mark.parametrize(
    ("reminder", "call", "word", "rules"),
    [
        (GONE, QUEUED, "in-progress", able(DROP)),
        (GONE, QUEUED, "on-hold", able(DROP)),
        (GONE, QUEUED, "ringing", able(LOOK_UP)),
        (GONE, evolve(QUEUED, checks=10), "ringing", able(DROP)),
        (GONE, evolve(QUEUED, provider="another"), "ringing", able(DROP)),
        (WAITING, QUEUED, "ringing", able(DROP)),
        (a_reminder(Status.CALLED, wake_at=NOW + MINUTE), QUEUED, "ringing", able(DROP)),
    ],
    ids=["answered", "a word we don't know", "the provider can't", "ten times", "another's", "wanted", "called"],
)
def test_else_news_only_moves_its_check(reminder: Reminder, call: Call, word: str, rules: Rules) -> None:
    assert told(reminder, call, report=a_report(word), rules=rules).reminder.wake_at == LATER


def test_a_reminder_whose_row_lost_its_time_is_still_given_one() -> None:
    step = told(evolve(GONE, wake_at=None), QUEUED, report=a_report("queued"), rules=able(DROP))
    assert step.reminder.wake_at == LATER


@pytest.mark.parametrize(("attempts", "minutes"), [(1, 15), (2, 60), (3, 60)])
def test_each_redial_waits_its_own_time_and_the_last_holds_for_all_that_follow(attempts: int, minutes: int) -> None:
    rules = evolve(RULES, redial_delays=(15 * MINUTE, 60 * MINUTE), max_calls=9)
    waiting = a_reminder(Status.PROCESSING, attempts=attempts)
    step = told(waiting, a_call("ringing"), report=a_report("busy"), rules=rules)
    assert step.reminder.wake_at == NOW + minutes * MINUTE
