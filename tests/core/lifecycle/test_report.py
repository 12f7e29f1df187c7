from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Capabilities, Found, NoAnswer, NotFound
from reminderd.core.lifecycle.report import call_of, certain
from reminderd.core.lifecycle.transition import Ledger, Level, Transition
from reminderd.core.model import TERMINAL, Call, CallOutcome, CallState, Reminder, Status
from reminderd.core.reasons import EndCode, HoldCode
from tests.support.builders import (
    DAY,
    DROP,
    HOUR,
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
    claimed,
    hours,
    report_settled,
)

WAITING = a_reminder(Status.PROCESSING)
PLACED = a_call(CallState.PLACED, status="ringing", external_call_id="ext-1")
ASKS = able(Capabilities(asks_what_to_say=True))
VOICEMAIL_COUNTS = evolve(RULES, voicemail_is_reached=True)
CLOSED_BY_US = (CallState.UNREPORTED, CallState.NOT_PLACED, CallState.REFUSED)


def end_of(transition: Transition) -> tuple[Call, Reminder]:
    return transition.ledger.calls["call-1"], transition.ledger.reminders["reminder-1"]


# Which call


def test_our_own_call_id_takes_precedence_over_the_providers() -> None:
    other = a_call(CallState.PLACED, id="call-2", external_call_id="ext-1")
    assert call_of(a_ledger(evolve(PLACED, external_call_id=None), other), a_report()) is not other


def test_an_unknown_attempt_id_never_matches_another_call() -> None:
    assert call_of(a_ledger(WAITING, evolve(PLACED, external_call_id=None)), a_report(attempt_id="theirs")) is None


def test_without_our_id_the_providers_id_or_the_only_call_without_one_is_matched() -> None:
    nameless = evolve(PLACED, external_call_id=None)
    report = a_report(attempt_id=None)
    assert call_of(a_ledger(PLACED), report) == PLACED
    assert call_of(a_ledger(nameless), report) == nameless
    assert call_of(a_ledger(nameless, evolve(nameless, id="call-2")), report) is None


@pytest.mark.parametrize(
    "changes",
    [{"state": CallState.REFUSED}, {"adopted": True}, {"reminder_id": "other"}, {"external_call_id": "ext-2"}],
)
def test_a_report_without_our_id_is_not_matched_to_an_unlikely_call(changes: dict[str, Any]) -> None:
    nameless = evolve(a_call(CallState.PLACED), **changes)
    assert call_of(a_ledger(nameless), a_report(attempt_id=None)) is None


def test_a_report_without_our_id_is_not_matched_to_a_call_before_a_restore() -> None:
    ledger = a_ledger(a_call(CallState.UNREPORTED), restored_at=NOW, restored_seq=1)
    assert call_of(ledger, a_report(attempt_id=None)) is None


def test_a_report_that_names_another_reminder_is_not_about_the_call_with_the_same_id_of_the_provider() -> None:
    """The provider has begun again with its first id."""
    other = a_reminder(Status.PROCESSING, id="reminder-2", phone_number="+12025550002")
    nameless = a_call(CallState.PLACED, id="call-2", seq=2, reminder_id=other.id, phone_number=other.phone_number)
    ledger, report = a_ledger(WAITING, PLACED, other, nameless), a_report(reminder_id=other.id, attempt_id=None)
    assert call_of(ledger, report) == nameless
    after = report_settled(ledger, report).ledger
    assert (after.reminders[other.id].status, after.calls["call-2"].external_call_id) == (Status.CALLED, None)
    assert (after.reminders["reminder-1"], after.calls["call-1"]) == (WAITING, PLACED)
    assert call_of(a_ledger(WAITING, PLACED, other), report) is None


def test_an_erased_call_is_matched_by_the_providers_id_alone() -> None:
    erased = evolve(PLACED, reminder_id="")
    assert call_of(a_ledger(erased), a_report(attempt_id=None)) == erased


def test_late_signs_of_life_of_purged_calls_do_not_occupy_one_number() -> None:
    purged = a_reminder(Status.FAILED, phone_number="", message="")
    calls = [a_call(CallState.UNREPORTED, id=name, phone_number="") for name in ("call-1", "call-2")]
    after = a_ledger(purged, *calls)
    for call in calls:
        after = report_settled(after, a_report("ringing", attempt_id=call.id, external_call_id=call.id)).ledger
    after = adopted(after, status="ringing").ledger
    assert {one.state for one in after.calls.values()} == {CallState.STRAY}
    ended = report_settled(after, a_report(external_call_id="call-1")).ledger
    assert {one.state for one in ended.calls.values()} == {CallState.ENDED, CallState.STRAY}


# Look-ups


@pytest.mark.parametrize(
    ("ids", "is_certain"),
    [
        ({}, True),
        ({"attempt_id": None}, True),
        ({"attempt_id": None, "reminder_id": None}, True),
        ({"reminder_id": "as the provider has it"}, True),
        ({"attempt_id": "call-2"}, False),
        ({"attempt_id": None, "reminder_id": "reminder-2"}, False),
    ],
    ids=str,
)
def test_a_look_up_whose_answer_has_our_ids_of_another_call_proves_nothing(
    ids: dict[str, Any], is_certain: bool
) -> None:
    found = Found(a_report(**ids))
    assert certain(PLACED, found) == (found if is_certain else NoAnswer("the answer is about another call"))
    assert certain(PLACED, NotFound()) == NotFound()


def test_a_look_up_of_an_adopted_call_may_show_its_attempt_id() -> None:
    found = Found(a_report(attempt_id="theirs"))
    assert certain(evolve(PLACED, adopted=True), found) == found


# Terminal


@pytest.mark.parametrize("status", [Status.DIALING, Status.PROCESSING, Status.SCHEDULED, Status.FAILED, Status.EXPIRED])
def test_completed_means_called_for_every_earlier_status(status: Status) -> None:
    call, reminder = end_of(report_settled(a_ledger(a_reminder(status), PLACED), a_report(transcript="Yes.")))
    assert (call.state, call.status, call.outcome) == (CallState.ENDED, "completed", CallOutcome.HEARD)
    assert (call.received_at, call.wake_at, call.transcript) == (NOW, None, "Yes.")
    assert (reminder.status, reminder.attempts, reminder.end_code) == (Status.CALLED, 1, None)


def test_a_cancelled_reminder_stays_cancelled_at_the_end_of_its_call() -> None:
    call, reminder = end_of(report_settled(a_ledger(a_reminder(Status.CANCELLED), PLACED), a_report()))
    assert (call.state, reminder.status) == (CallState.ENDED, Status.CANCELLED)


def test_every_membership_of_a_heard_call_is_marked_as_spoken() -> None:
    moved = evolve(WAITING, scheduled_at=NOW + DAY)
    after = report_settled(a_ledger(moved, PLACED, a_member(PLACED, WAITING)), a_report()).ledger
    assert after.members["call-1", "reminder-1"].spoken
    assert after.reminders["reminder-1"] == moved


def test_if_the_provider_asks_what_to_say_only_fetched_messages_count() -> None:
    not_spoken = report_settled(a_ledger(WAITING, PLACED), a_report(), rules=ASKS)
    call, reminder = end_of(not_spoken)
    assert (call.outcome, reminder.status, reminder.hold_code) == (
        CallOutcome.NOT_HEARD,
        Status.SCHEDULED,
        HoldCode.REDIAL,
    )
    assert reminder.last_error == "not heard; will be called again"


def test_a_call_without_a_message_fails_for_staff_after_the_last_redial() -> None:
    last = evolve(ASKS, max_calls=1)
    call, reminder = end_of(report_settled(a_ledger(WAITING, PLACED), a_report(duration_seconds=31), rules=last))
    assert (call.outcome, reminder.status, reminder.end_code) == (
        CallOutcome.NOT_HEARD,
        Status.FAILED,
        EndCode.NOT_HEARD,
    )
    late = report_settled(a_ledger(evolve(WAITING, expires_at=NOW), PLACED), a_report(), rules=ASKS)
    assert (end_of(late)[1].status, end_of(late)[1].end_code) == (Status.FAILED, EndCode.TOO_LATE)


SPOKEN = evolve(PLACED, status="in-progress", fetched_at=NOW)


def hung_up(member: Any, *, now: datetime, **changes: Any) -> tuple[Call, Reminder]:
    """Settle the end of a call during its message, without a key press before."""
    return end_of(report_settled(a_ledger(WAITING, SPOKEN, member), a_report(**changes), rules=ASKS, now=now))


SPEAKING = a_member(SPOKEN, WAITING, spoken=True, spoken_by=NOW + 7 * SECOND)


def test_a_patient_who_hangs_up_during_the_message_is_left_to_staff() -> None:
    call, reminder = hung_up(SPEAKING, now=NOW + 6 * SECOND, ended_at=NOW + 6 * SECOND)
    assert (call.outcome, call.hung_up_at) == (CallOutcome.HUNG_UP, NOW + 6 * SECOND)
    assert (reminder.status, reminder.end_code) == (Status.FAILED, EndCode.HUNG_UP)
    assert (reminder.last_error, reminder.attempts) == ("hung up during the message", 1)


def test_a_patient_who_hangs_up_after_the_message_was_spoken_is_reached() -> None:
    call, reminder = hung_up(SPEAKING, now=NOW + 7 * SECOND, ended_at=NOW + 7 * SECOND)
    assert (call.outcome, reminder.status, reminder.end_code) == (CallOutcome.HUNG_UP, Status.CALLED, None)


@pytest.mark.parametrize("changes", [{"duration_seconds": 6}, {"ended_at": NOW + 6 * SECOND}])
def test_a_late_report_does_not_extend_the_call(changes: dict[str, Any]) -> None:
    call, reminder = hung_up(SPEAKING, now=NOW + HOUR, **changes)
    assert (call.hung_up_at, reminder.end_code) == (NOW + 6 * SECOND, EndCode.HUNG_UP)


def test_a_call_without_an_end_time_counts_as_hung_up_during_the_message() -> None:
    """The report itself may have come hours later."""
    call, reminder = hung_up(SPEAKING, now=NOW + HOUR)
    assert (call.hung_up_at, reminder.end_code) == (None, EndCode.HUNG_UP)


def test_a_providers_clock_that_is_ahead_does_not_extend_the_call() -> None:
    call, _ = hung_up(SPEAKING, now=NOW + 6 * SECOND, ended_at=NOW + HOUR, duration_seconds=3600)
    assert call.hung_up_at == NOW + 6 * SECOND


def test_each_reminder_of_a_bundle_is_settled_by_its_own_spoken_part() -> None:
    reminders = [evolve(WAITING, id=f"reminder-{n}") for n in range(1, 4)]
    heard, cut, moved = reminders
    members = [
        a_member(SPOKEN, heard, spoken=True, spoken_by=NOW + 7 * SECOND),
        a_member(SPOKEN, cut, position=1, spoken=True, spoken_by=NOW + 12 * SECOND),
        a_member(SPOKEN, moved, position=2),
    ]
    ledger = a_ledger(SPOKEN, *reminders, *members)
    after = report_settled(ledger, a_report(duration_seconds=9), rules=ASKS, now=NOW + 9 * SECOND).ledger.reminders
    found = [(after[one.id].status, after[one.id].end_code or after[one.id].hold_code) for one in reminders]
    assert found == [(Status.CALLED, None), (Status.FAILED, EndCode.HUNG_UP), (Status.SCHEDULED, HoldCode.REDIAL)]


def test_a_repeated_report_does_not_change_the_hang_up_time() -> None:
    first = report_settled(a_ledger(WAITING, SPOKEN, SPEAKING), a_report(), rules=ASKS, now=NOW + 6 * SECOND).ledger
    again = report_settled(first, a_report(), rules=ASKS, now=NOW + HOUR, receipt_is_new=False)
    assert again.duplicate
    assert again.ledger == first


def test_rewriting_a_hung_up_reminder_does_not_call_again() -> None:
    failed = report_settled(a_ledger(WAITING, SPOKEN, SPEAKING), a_report(), rules=ASKS, now=NOW + 6 * SECOND).ledger
    again = failed.put(a_reminder())
    after = claimed(again, rules=ASKS, now=NOW + MINUTE).ledger.reminders["reminder-1"]
    assert (after.status, after.end_code) == (Status.FAILED, EndCode.HUNG_UP)


@pytest.mark.parametrize("code", [408, 480, 503, 504])
def test_an_unreachable_phone_is_called_again(code: int) -> None:
    _, reminder = end_of(report_settled(a_ledger(WAITING, PLACED), a_report("failed", sip_response_code=code)))
    assert (reminder.status, reminder.hold_code) == (Status.SCHEDULED, HoldCode.REDIAL)
    assert reminder.last_error == f"not answered (SIP {code}); will be called again"


def test_a_reported_declined_call_differs_from_a_hang_up() -> None:
    declined = end_of(report_settled(a_ledger(WAITING, PLACED), a_report("declined")))[1]
    assert (declined.status, declined.end_code) == (Status.FAILED, EndCode.DECLINED)
    gone = end_of(report_settled(a_ledger(WAITING, PLACED), a_report("hung-up")))[1]
    assert (gone.status, gone.end_code) == (Status.FAILED, EndCode.HUNG_UP)


def test_a_progress_report_does_not_set_the_calls_duration_or_sip_code() -> None:
    early = a_report("in-progress", duration_seconds=0, sip_response_code=180, answered_by="unknown")
    after = report_settled(a_ledger(WAITING, PLACED), early).ledger
    assert (after.calls["call-1"].duration_seconds, after.calls["call-1"].sip_response_code) == (None, None)
    heard, _ = end_of(report_settled(after, a_report(duration_seconds=31, sip_response_code=200)))
    assert (heard.outcome, heard.duration_seconds, heard.sip_response_code) == (CallOutcome.HEARD, 31, 200)
    declined, _ = end_of(report_settled(after, a_report("failed", sip_response_code=603)))
    assert declined.outcome is CallOutcome.DECLINED


@pytest.mark.parametrize("early", ["human", "unknown"])
def test_a_machine_reported_at_the_end_counts_even_after_a_person(early: str) -> None:
    before = evolve(PLACED, answered_by=early)
    call, _ = end_of(report_settled(a_ledger(WAITING, before), a_report(answered_by="machine")))
    assert (call.outcome, call.answered_by) == (CallOutcome.VOICEMAIL, "machine")
    again = report_settled(a_ledger(WAITING, evolve(call, answered_by="human")), a_report(answered_by="machine"))
    assert end_of(again)[0].answered_by == "human", "the end was reported before"


def test_a_fax_never_reaches_anybody() -> None:
    rules = evolve(VOICEMAIL_COUNTS, max_calls=1)
    call, reminder = end_of(report_settled(a_ledger(WAITING, PLACED), a_report(answered_by="FAX"), rules=rules))
    assert (call.outcome, reminder.end_code) == (CallOutcome.NOT_HEARD, EndCode.NOT_HEARD)
    assert reminder.last_error == "not heard, answered by a fax, after 1 calls"


@pytest.mark.parametrize("word", ["busy", "no-answer", "canceled"])
def test_a_patient_who_did_not_answer_is_called_again(word: str) -> None:
    _, reminder = end_of(report_settled(a_ledger(WAITING, PLACED), a_report(word)))
    assert (reminder.status, reminder.hold_code, reminder.attempts) == (Status.SCHEDULED, HoldCode.REDIAL, 1)
    assert reminder.retry_at == reminder.wake_at == NOW + RULES.redial_delay(1)
    words = word.replace("-", " ")
    assert reminder.last_error == f"{words}; will be called again"


def test_the_next_call_waits_for_the_calling_hours() -> None:
    later = evolve(RULES, calling_hours=hours(timedelta(hours=11), timedelta(hours=12)))
    transition = report_settled(a_ledger(WAITING, PLACED), a_report("busy"), rules=later)
    assert end_of(transition)[1].wake_at == NOW + HOUR
    assert transition.lines[0].text == "scheduled: busy; will be called again, not before 2026-03-02 11:00:00 UTC"


def test_the_next_call_is_earlier_if_the_calling_hours_open_earlier() -> None:
    later = evolve(RULES, calling_hours=hours(timedelta(hours=11), timedelta(hours=12)))
    waiting = report_settled(a_ledger(WAITING, PLACED), a_report("busy"), rules=later).ledger
    due = NOW + RULES.redial_delay(1)
    assert claimed(waiting, now=due - SECOND).ledger.reminders["reminder-1"].wake_at == due
    assert claimed(waiting, now=due).ledger.reminders["reminder-1"].status is Status.DIALING


@pytest.mark.parametrize(
    ("rules", "code", "reason"),
    [
        (evolve(RULES, max_calls=1), EndCode.NOT_ANSWERED, "busy, after 1 calls"),
        (evolve(RULES, max_lateness=MINUTE), EndCode.TOO_LATE, "busy, and too late for another call"),
        (
            evolve(RULES, calling_hours=hours(timedelta(hours=10), timedelta(hours=10, minutes=1))),
            EndCode.TOO_LATE,
            "busy, and too late for another call",
        ),
    ],
    ids=["max calls", "too late", "hours over"],
)
def test_a_reminder_fails_if_it_cannot_be_called_again(rules: Any, code: EndCode, reason: str) -> None:
    transition = report_settled(a_ledger(WAITING, PLACED), a_report("busy"), rules=rules)
    _, reminder = end_of(transition)
    assert (reminder.status, reminder.end_code, reminder.last_error) == (Status.FAILED, code, reason)
    assert transition.lines[0].level is Level.ERROR


def test_each_redial_has_its_own_delay_and_the_last_one_repeats() -> None:
    rules = evolve(RULES, redial_delays=(MINUTE, HOUR), max_calls=9, max_lateness=DAY)
    for older, delay in ((0, MINUTE), (1, HOUR), (2, HOUR)):
        calls = [a_call(CallState.ENDED, id=f"old-{n}", seq=n + 1, status="busy") for n in range(older)]
        ledger = a_ledger(WAITING, evolve(PLACED, seq=9), *calls)
        assert end_of(report_settled(ledger, a_report("busy"), rules=rules))[1].retry_at == NOW + delay


def test_a_reported_failure_is_final_and_has_the_known_reason() -> None:
    plain = end_of(report_settled(a_ledger(WAITING, PLACED), a_report("failed")))[1]
    assert (plain.end_code, plain.last_error) == (EndCode.PROVIDER_FAILED, "the provider reported: failed")
    report = a_report("failed", sip_response_code=404, error_code="13224")
    known = end_of(report_settled(a_ledger(WAITING, PLACED), report))[1]
    assert known.last_error == "the provider reported: failed (error 13224, SIP 404)"
    declined = end_of(report_settled(a_ledger(WAITING, PLACED), a_report("failed", sip_response_code=603)))[1]
    assert (declined.end_code, declined.last_error) == (EndCode.DECLINED, "the provider reported: declined (SIP 603)")


@pytest.mark.parametrize("word", ["machine_start", "Voicemail", "SILENCE"])
def test_a_voicemail_counts_as_reached_if_configured(word: str) -> None:
    report = a_report(answered_by=word)
    reached = end_of(report_settled(a_ledger(WAITING, PLACED), report, rules=VOICEMAIL_COUNTS))[1]
    assert reached.status is Status.CALLED
    _, reminder = end_of(report_settled(a_ledger(WAITING, PLACED), report))
    assert (reminder.status, reminder.last_error) == (Status.SCHEDULED, "voicemail; will be called again")
    last = evolve(RULES, max_calls=1)
    assert end_of(report_settled(a_ledger(WAITING, PLACED), report, rules=last))[1].end_code is EndCode.VOICEMAIL


def test_a_machine_reported_before_the_end_counts() -> None:
    known = evolve(PLACED, answered_by="machine_start")
    after = report_settled(a_ledger(WAITING, known), a_report(answered_by="human"))
    assert end_of(after)[0].outcome is CallOutcome.VOICEMAIL


def test_a_second_terminal_report_only_fills_what_is_empty() -> None:
    first = report_settled(a_ledger(WAITING, PLACED), a_report("busy")).ledger
    again = report_settled(first, a_report("completed", transcript="Yes."), receipt_is_new=False)
    call, reminder = end_of(again)
    assert again.duplicate
    assert (call.status, call.transcript, reminder.status) == ("busy", "Yes.", Status.SCHEDULED)


def test_a_known_receipt_only_suppresses_a_report_without_our_call_id() -> None:
    silent = report_settled(a_ledger(WAITING, PLACED), a_report(attempt_id=None), receipt_is_new=False)
    assert silent.duplicate
    assert end_of(silent)[0].state is CallState.PLACED
    assert not report_settled(a_ledger(WAITING, PLACED), a_report(), receipt_is_new=False).duplicate


@pytest.mark.parametrize("state", CLOSED_BY_US)
def test_the_end_of_a_call_that_we_had_closed_counts_only_if_it_was_heard(state: CallState) -> None:
    failed = a_reminder(Status.FAILED, end_code=EndCode.UNCONFIRMED)
    ledger = a_ledger(failed, evolve(PLACED, state=state, wake_at=None))
    assert end_of(report_settled(ledger, a_report()))[1].status is Status.CALLED
    busy = report_settled(ledger, a_report("busy"))
    call, reminder = end_of(busy)
    assert (call.state, call.outcome, reminder) == (CallState.ENDED, CallOutcome.NOT_ANSWERED, failed)
    assert busy.lines[0].text == "the provider reported: busy (outcome: not answered)"


@pytest.mark.parametrize("state", CLOSED_BY_US)
@pytest.mark.parametrize("word", sorted(TERMINAL - {"completed"}))
def test_an_unheard_end_of_a_closed_call_causes_no_redial(state: CallState, word: str) -> None:
    closed = evolve(PLACED, state=state, wake_at=None)
    assert end_of(report_settled(a_ledger(WAITING, closed), a_report(word)))[1] == WAITING


def test_an_older_call_only_changes_the_reminder_if_it_was_heard() -> None:
    older = evolve(PLACED, state=CallState.UNREPORTED, wake_at=None)
    newer = a_call(CallState.PLACED, id="call-2", seq=2)
    ledger = a_ledger(WAITING, older, newer)
    assert end_of(report_settled(ledger, a_report("busy")))[1] == WAITING
    after = report_settled(ledger, a_report()).ledger
    assert (after.reminders["reminder-1"].status, after.calls["call-2"].state) == (Status.CALLED, CallState.PLACED)


def test_the_end_of_one_call_does_not_change_a_reminder_in_another() -> None:
    stray = evolve(PLACED, state=CallState.STRAY)
    other = a_call(CallState.PLACED, id="call-2", seq=2)
    assert end_of(report_settled(a_ledger(WAITING, stray, other), a_report("busy")))[1] == WAITING


def test_the_end_of_an_open_call_makes_the_stray_call_to_its_number_open() -> None:
    stray = a_call(CallState.STRAY, id="stray", seq=2, reminder_id="other")
    ledger = a_ledger(WAITING, PLACED, stray, a_member(PLACED, WAITING))
    assert report_settled(ledger, a_report()).ledger.calls["stray"].state is CallState.PLACED
    open_call = a_call(CallState.PLACED, id="call-2", seq=2, reminder_id="other")
    strays_end = a_ledger(WAITING, evolve(PLACED, state=CallState.STRAY), open_call, a_member(PLACED, WAITING))
    assert report_settled(strays_end, a_report()).ledger.calls["call-2"] == open_call


# Progress


def test_progress_is_evidence_that_the_call_was_placed() -> None:
    unsure = a_call(CallState.UNCONFIRMED, checks=3, error="timeout", lease_token="another")
    transition = report_settled(a_ledger(WAITING, unsure), a_report("ringing"), now=NOW + MINUTE)
    call, _ = end_of(transition)
    assert (call.state, call.status, call.evidence, call.checks) == (CallState.PLACED, "ringing", True, 0)
    assert (call.last_sign_at, call.lease_token, call.error) == (NOW + MINUTE, None, None)
    assert call.wake_at == NOW + MINUTE + RULES.outcome_timeout
    assert [line.text for line in transition.lines] == ["the provider reported: ringing"]


@pytest.mark.parametrize("word", ["dialing", "not-placed", "unconfirmed", "refused", "unreported", "on hold"])
def test_an_unknown_status_is_progress_and_never_one_of_our_states(word: str) -> None:
    transition = report_settled(a_ledger(WAITING, a_call(CallState.UNCONFIRMED)), a_report(word))
    call, _ = end_of(transition)
    assert (call.state, call.status) == (CallState.PLACED, word)
    assert transition.lines[0].level is Level.WARNING


def test_progress_out_of_order_does_not_set_a_call_back() -> None:
    late = report_settled(a_ledger(WAITING, PLACED), a_report("queued"), now=NOW + MINUTE)
    assert end_of(late)[0].status == "ringing"
    assert end_of(late)[0].last_sign_at == NOW + MINUTE
    assert late.lines == ()


@pytest.mark.parametrize("state", CLOSED_BY_US)
@pytest.mark.parametrize("status", list(Status))
def test_a_sign_of_life_reopens_a_call_for_every_reminder_status(state: CallState, status: Status) -> None:
    ledger = a_ledger(a_reminder(status), a_call(state))
    transition = report_settled(ledger, a_report("ringing"))
    call, reminder = end_of(transition)
    assert call.state is CallState.PLACED
    assert reminder.status is (status if status.final else Status.PROCESSING)
    assert transition.ledger.alive_calls_to(call.phone_number) == [call]
    assert "is under way again" in transition.lines[0].text


def test_a_reopened_call_is_stray_while_another_call_to_its_number_is_open() -> None:
    other = a_call(CallState.PLACED, id="call-2", seq=2, reminder_id="other")
    ledger = a_ledger(a_reminder(Status.FAILED), a_call(CallState.UNREPORTED), other, a_member(a_call(), WAITING))
    after = report_settled(ledger, a_report("ringing")).ledger
    assert (after.calls["call-1"].state, after.calls["call-2"].state) == (CallState.STRAY, CallState.PLACED)


def test_a_scheduled_reminder_waits_for_a_call_that_is_alive_again() -> None:
    waiting = a_reminder(hold_code=HoldCode.REDIAL, retry_at=NOW + HOUR)
    _, reminder = end_of(report_settled(a_ledger(waiting, a_call(CallState.UNREPORTED)), a_report("ringing")))
    assert (reminder.status, reminder.wake_at, reminder.hold_code, reminder.retry_at) == (
        Status.PROCESSING,
        None,
        None,
        None,
    )


def test_progress_after_the_end_is_only_logged() -> None:
    over = a_call(CallState.ENDED, status="busy", received_at=NOW)
    transition = report_settled(a_ledger(a_reminder(), over), a_report("ringing"))
    assert (end_of(transition)[0].state, end_of(transition)[0].external_call_id) == (CallState.ENDED, "ext-1")
    assert transition.lines[0].text == "late report (ringing), after the end of the call: the outcome stays the same"


def test_a_report_of_an_unneeded_call_has_it_dropped_at_once() -> None:
    ledger = a_ledger(a_reminder(Status.CANCELLED), PLACED)
    assert end_of(report_settled(ledger, a_report("ringing"), rules=able(DROP)))[0].wake_at == NOW
    assert end_of(report_settled(ledger, a_report("ringing")))[0].wake_at == NOW + RULES.outcome_timeout


def test_a_provider_id_of_another_call_is_not_stored_again() -> None:
    other = a_call(CallState.ENDED, id="call-2", external_call_id="ext-1")
    transition = report_settled(a_ledger(WAITING, a_call(CallState.PLACED), other), a_report("ringing"))
    assert end_of(transition)[0].external_call_id is None


# Calls that we do not know


def adopted(ledger: Ledger, **changes: Any) -> Transition:
    return report_settled(ledger, a_report(**({"attempt_id": "theirs"} | changes)))


def test_a_report_of_an_unknown_call_adopts_it_and_makes_its_number_busy() -> None:
    transition = adopted(a_ledger(a_reminder()), status="ringing")
    call = transition.ledger.calls["theirs"]
    assert (call.state, call.adopted, call.evidence, call.requests) == (CallState.PLACED, True, True, 0)
    assert (call.reminder_id, call.external_call_id) == ("reminder-1", "ext-1")
    assert transition.ledger.members == {}
    assert transition.lines[0].level is Level.WARNING
    assert transition.ledger.alive_calls_to(call.phone_number) == [call]


def test_an_adopted_call_is_stray_while_another_call_is_open() -> None:
    after = adopted(a_ledger(WAITING, a_call(CallState.PLACED)), status="ringing").ledger
    assert (after.calls["theirs"].state, after.calls["call-1"].state) == (CallState.STRAY, CallState.PLACED)


def test_an_adopted_call_does_not_settle_a_reminder_or_another_call() -> None:
    after = adopted(a_ledger(WAITING, a_call(CallState.UNCONFIRMED))).ledger
    assert (after.reminders["reminder-1"], after.calls["call-1"].state) == (WAITING, CallState.UNCONFIRMED)
    assert after.calls["theirs"].state is CallState.ENDED


@pytest.mark.parametrize("attempt_id", [None, "", "not an id", "x" * 201, "ü"])
def test_an_attempt_id_that_cannot_be_ours_is_replaced(attempt_id: str | None) -> None:
    after = adopted(a_ledger(a_reminder()), attempt_id=attempt_id).ledger
    assert set(after.calls) == {"call-adopted"}


RESTORED = a_reminder(Status.FAILED, end_code=EndCode.RESTORED)


def test_after_a_restore_an_adopted_call_counts_for_a_restored_reminder() -> None:
    facts = {"restored_at": NOW, "restored_seq": 1}
    assert adopted(a_ledger(RESTORED, **facts)).ledger.reminders["reminder-1"].status is Status.CALLED
    assert adopted(a_ledger(RESTORED, **facts), status="busy").ledger.reminders["reminder-1"] == RESTORED
    later = evolve(RESTORED, scheduled_at=NOW + DAY)
    assert adopted(a_ledger(later, **facts)).ledger.reminders["reminder-1"] == later
    assert adopted(a_ledger(RESTORED)).ledger.reminders["reminder-1"] == RESTORED
    put_in_again = a_reminder()
    assert adopted(a_ledger(put_in_again, **facts)).ledger.reminders["reminder-1"].status is Status.CALLED


def test_without_our_id_an_adopted_call_counts_if_the_reminder_never_changed() -> None:
    first = a_call(CallState.ENDED, external_call_id="ext-0", status="busy")
    failed = a_reminder(Status.FAILED, end_code=EndCode.NOT_ANSWERED)
    report = {"attempt_id": None}
    assert adopted(a_ledger(failed, first), **report).ledger.reminders["reminder-1"].status is Status.CALLED
    moved = evolve(failed, scheduled_at=NOW + DAY)
    ledger = a_ledger(moved, first, a_member(first, failed))
    assert adopted(ledger, **report).ledger.reminders["reminder-1"] == moved
    never = a_reminder()
    assert adopted(a_ledger(never), **report).ledger.reminders["reminder-1"] == never


@pytest.mark.parametrize("word", sorted(TERMINAL))
def test_a_repeated_report_of_an_adopted_call_changes_nothing(word: str) -> None:
    first = adopted(a_ledger(a_reminder()), status=word).ledger
    again = report_settled(first, a_report(word, attempt_id="theirs"), receipt_is_new=False)
    assert again.duplicate
    assert again.ledger == first
