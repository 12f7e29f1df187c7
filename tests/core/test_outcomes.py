"""How a call ended for the patient, whether it reached them, and the outcome of the reminder."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Capabilities
from reminderd.core.model import Call, CallOutcome, CallState, Member, Response, Status
from reminderd.core.outcomes import (
    NEED_A_HUMAN,
    Figure,
    Figures,
    Group,
    Outcome,
    Sent,
    call_outcome_of,
    figure_of,
    group_of,
    is_address_failing,
    member_outcome_of,
    outcome,
    provider_never_asked,
    reached,
    reached_anybody,
    sent_in,
)
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Rules
from tests.support.builders import MINUTE, NOW, RULES, SECOND, a_call, a_member, a_reminder, able

CALL = a_call(CallState.ENDED, status="completed")
MEMBER = a_member(CALL, a_reminder())
VOICEMAIL_COUNTS = evolve(RULES, voicemail_is_reached=True)


# What was given to be spoken


@pytest.mark.parametrize(
    ("members", "sent"),
    [
        ([], Sent.NOTHING),
        ([MEMBER], Sent.NOTHING),
        ([evolve(MEMBER, spoken=True)], Sent.VOICEMAIL),
        ([MEMBER, evolve(MEMBER, spoken=True, spoken_by=NOW)], Sent.MESSAGE),
        ([evolve(MEMBER, spoken=True), evolve(MEMBER, spoken=True, spoken_by=NOW)], Sent.MESSAGE),
    ],
)
def test_if_the_provider_asks_what_to_say_only_fetched_messages_were_spoken(members: list[Member], sent: Sent) -> None:
    assert sent_in(members, asks=True) is sent
    assert sent_in(members, asks=False) is Sent.WITH_THE_REQUEST


# How a call ended for the patient

WITH, MESSAGE, VOICEMAIL, NOTHING = Sent.WITH_THE_REQUEST, Sent.MESSAGE, Sent.VOICEMAIL, Sent.NOTHING

ENDS: list[tuple[dict[str, Any], Sent, CallOutcome]] = [
    # the message went with the request: the provider's word counts
    ({}, WITH, CallOutcome.HEARD),
    ({"answered_by": "human", "duration_seconds": 31}, WITH, CallOutcome.HEARD),
    ({"answered_by": "a word of its own"}, WITH, CallOutcome.HEARD),
    ({"duration_seconds": 0}, WITH, CallOutcome.NOT_HEARD),
    ({"duration_seconds": 0, "answered_by": "human"}, WITH, CallOutcome.NOT_HEARD),
    ({"duration_seconds": 0, "answered_by": "voicemail"}, WITH, CallOutcome.NOT_HEARD),
    ({"answered_by": "Machine"}, WITH, CallOutcome.VOICEMAIL),
    ({"answered_by": "VOICEMAIL", "duration_seconds": 20}, WITH, CallOutcome.VOICEMAIL),
    ({"answered_by": "silence"}, WITH, CallOutcome.VOICEMAIL),
    ({"answered_by": "FAX"}, WITH, CallOutcome.NOT_HEARD),
    ({"status": "hung-up"}, WITH, CallOutcome.HUNG_UP),
    ({"status": "hung-up", "answered_by": "machine"}, WITH, CallOutcome.VOICEMAIL),
    # we are asked what to speak: only what was fetched was spoken
    ({}, NOTHING, CallOutcome.NOT_HEARD),
    ({"answered_by": "human", "duration_seconds": 31}, NOTHING, CallOutcome.NOT_HEARD),
    ({"answered_by": "machine_start"}, NOTHING, CallOutcome.NOT_HEARD),
    ({"answered_by": "fax"}, NOTHING, CallOutcome.NOT_HEARD),
    ({"answered_by": "machine_start"}, VOICEMAIL, CallOutcome.VOICEMAIL),
    ({"answered_by": "human"}, MESSAGE, CallOutcome.HUNG_UP),
    ({"duration_seconds": 0}, MESSAGE, CallOutcome.NOT_HEARD),
    # a person who was taken for a machine, and has pressed a key
    ({"answered_by": "machine_start"}, MESSAGE, CallOutcome.HUNG_UP),
    ({"answered_by": "machine_start", "outcome": CallOutcome.HEARD}, MESSAGE, CallOutcome.HEARD),
    # what a key has proven is never taken back
    ({"outcome": CallOutcome.CONFIRMED}, MESSAGE, CallOutcome.CONFIRMED),
    ({"outcome": CallOutcome.HEARD, "status": "failed"}, MESSAGE, CallOutcome.HEARD),
    ({"outcome": CallOutcome.HEARD, "duration_seconds": 0}, NOTHING, CallOutcome.HEARD),
    # nobody has answered
    *[
        ({"status": word}, sent, CallOutcome.NOT_ANSWERED)
        for word in ("busy", "no-answer", "canceled")
        for sent in Sent
    ],
    ({"status": "failed"}, WITH, CallOutcome.FAILED),
    ({"status": "failed", "sip_response_code": 404}, WITH, CallOutcome.FAILED),
    *[
        ({"status": "failed", "sip_response_code": code}, sent, CallOutcome.NOT_ANSWERED)
        for code in (408, 480, 486, 487, 503, 504, 600)
        for sent in (WITH, NOTHING)
    ],
    *[
        ({"status": word, "sip_response_code": 603}, NOTHING, CallOutcome.DECLINED)
        for word in ("failed", "busy", "no-answer", "canceled")
    ],
    ({"status": "declined"}, WITH, CallOutcome.DECLINED),
]


@pytest.mark.parametrize(("changes", "sent", "expected"), ENDS)
def test_one_function_decides_how_a_call_ended(changes: dict[str, Any], sent: Sent, expected: CallOutcome) -> None:
    assert call_outcome_of(evolve(CALL, **changes), sent) is expected


def test_every_outcome_is_possible() -> None:
    assert {expected for _, _, expected in ENDS} == set(CallOutcome)


@pytest.mark.parametrize("ending", CallOutcome)
def test_a_reminder_that_was_not_spoken_was_not_heard(ending: CallOutcome) -> None:
    was_spoken = ending in {CallOutcome.CONFIRMED, CallOutcome.HEARD, CallOutcome.HUNG_UP, CallOutcome.VOICEMAIL}
    call = evolve(CALL, outcome=ending)
    assert member_outcome_of(MEMBER, call) is (CallOutcome.NOT_HEARD if was_spoken else ending)
    assert member_outcome_of(evolve(MEMBER, spoken=True), call) is ending
    assert not reached(MEMBER, call, VOICEMAIL_COUNTS)


# Whether it reached them


def hung_up_after(seconds: float) -> Call:
    return evolve(CALL, outcome=CallOutcome.HUNG_UP, hung_up_at=NOW + timedelta(seconds=seconds))


SPOKEN = evolve(MEMBER, spoken=True, spoken_by=NOW + 7 * SECOND)


@pytest.mark.parametrize(
    ("call", "member", "rules", "is_reached"),
    [
        (evolve(CALL, outcome=CallOutcome.CONFIRMED), SPOKEN, RULES, True),
        (evolve(CALL, outcome=CallOutcome.HEARD), SPOKEN, RULES, True),
        (evolve(CALL, outcome=CallOutcome.HEARD), evolve(MEMBER, spoken=True), RULES, True),
        (hung_up_after(7), SPOKEN, RULES, True),
        (hung_up_after(6.999), SPOKEN, RULES, False),
        (hung_up_after(7), evolve(MEMBER, spoken=True), RULES, False),
        (evolve(CALL, outcome=CallOutcome.HUNG_UP), SPOKEN, RULES, False),
        (evolve(CALL, outcome=CallOutcome.VOICEMAIL), evolve(MEMBER, spoken=True), RULES, False),
        (evolve(CALL, outcome=CallOutcome.VOICEMAIL), evolve(MEMBER, spoken=True), VOICEMAIL_COUNTS, True),
        (evolve(CALL, outcome=CallOutcome.NOT_HEARD), SPOKEN, VOICEMAIL_COUNTS, False),
        (evolve(CALL, outcome=CallOutcome.NOT_ANSWERED), SPOKEN, VOICEMAIL_COUNTS, False),
        (evolve(CALL, outcome=CallOutcome.DECLINED), SPOKEN, VOICEMAIL_COUNTS, False),
        (evolve(CALL, outcome=CallOutcome.FAILED), SPOKEN, VOICEMAIL_COUNTS, False),
        (CALL, SPOKEN, VOICEMAIL_COUNTS, False),
    ],
    ids=[
        "confirmed",
        "heard",
        "heard without an end time",
        "hung up at the end",
        "hung up just before the end",
        "hung up without an end time",
        "hung up at an unknown time",
        "voicemail",
        "voicemail that counts",
        "not heard",
        "not answered",
        "declined",
        "failed",
        "no outcome",
    ],
)
def test_a_patient_is_reached_if_the_message_was_spoken_to_its_end(
    call: Call, member: Member, rules: Rules, *, is_reached: bool
) -> None:
    assert reached(member, call, rules) is is_reached


def test_a_call_reached_somebody_if_it_reached_one_reminders_patient() -> None:
    later = evolve(SPOKEN, spoken_by=NOW + 12 * SECOND)
    assert reached_anybody(hung_up_after(7), [later, SPOKEN], RULES)
    assert not reached_anybody(hung_up_after(7), [later, MEMBER], RULES)


def test_an_adopted_call_reached_somebody_if_it_was_heard() -> None:
    counted = {one for one in CallOutcome if reached_anybody(evolve(CALL, outcome=one), [], RULES)}
    assert counted == {CallOutcome.CONFIRMED, CallOutcome.HEARD}
    assert reached_anybody(evolve(CALL, outcome=CallOutcome.VOICEMAIL), [], VOICEMAIL_COUNTS)
    assert not reached_anybody(CALL, [], VOICEMAIL_COUNTS)


# The outcome of a reminder


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.SCHEDULED, Outcome.WAITING),
        (Status.DIALING, Outcome.UNDER_WAY),
        (Status.PROCESSING, Outcome.UNDER_WAY),
        (Status.CALLED, Outcome.REACHED),
        (Status.FAILED, Outcome.NOT_REACHED),
        (Status.EXPIRED, Outcome.EXPIRED),
        (Status.CANCELLED, Outcome.CANCELLED),
    ],
)
def test_every_status_has_an_outcome(status: Status, expected: Outcome) -> None:
    assert outcome(status, None, None) is expected
    assert outcome(status, "a word of another program", EndCode.RESTORED) is expected


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Response.CONFIRMED, Outcome.CONFIRMED),
        (Response.CANCEL_REQUESTED, Outcome.WANTS_TO_CANCEL),
        (Response.OPTED_OUT, Outcome.OPTED_OUT),
    ],
)
def test_a_patients_response_is_the_outcome_unless_staff_cancelled(response: Response, expected: Outcome) -> None:
    assert outcome(Status.CALLED, response, None) is expected
    assert outcome(Status.CANCELLED, response, EndCode.CANCELLED_BY_STAFF) is Outcome.CANCELLED


def test_opted_out_is_an_outcome_of_its_own() -> None:
    assert outcome(Status.CANCELLED, None, EndCode.OPTED_OUT) is Outcome.OPTED_OUT


def test_a_human_is_needed_if_the_patient_does_not_know_or_asks_for_something() -> None:
    expected = {Outcome.WANTS_TO_CANCEL, Outcome.NOT_REACHED, Outcome.NUMBER_CHANGED, Outcome.EXPIRED}
    assert expected == NEED_A_HUMAN


def test_number_changed_is_an_outcome_of_its_own() -> None:
    assert outcome(Status.SCHEDULED, None, None, HoldCode.NUMBER_CHANGED) is Outcome.NUMBER_CHANGED
    assert outcome(Status.SCHEDULED, None, None, HoldCode.HOURS) is Outcome.WAITING
    assert outcome(Status.EXPIRED, None, EndCode.TOO_LATE, HoldCode.NUMBER_CHANGED) is Outcome.EXPIRED


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("response", [None, *Response])
def test_what_staff_have_done_no_longer_needs_a_human_and_nothing_else_is_other(
    status: Status, response: Response | None
) -> None:
    was = outcome(status, response, None)
    expected = Outcome.DONE_BY_STAFF if was in NEED_A_HUMAN else was
    assert outcome(status, response, None, is_done=True) is expected


def test_done_by_staff_is_an_outcome_of_its_own() -> None:
    assert outcome(Status.CANCELLED, None, EndCode.DONE_BY_STAFF) is Outcome.DONE_BY_STAFF


def test_every_outcome_is_in_the_group_of_what_is_to_be_done_about_it() -> None:
    groups = {word: group_of(word) for word in Outcome}
    assert {word for word, group in groups.items() if group is Group.NEEDS_HUMAN} == NEED_A_HUMAN
    assert groups[Outcome.UNDER_WAY] is Group.IN_CALL
    assert groups[Outcome.WAITING] is Group.WAITING
    assert {word for word, group in groups.items() if group is Group.DONE} == {
        Outcome.CONFIRMED,
        Outcome.REACHED,
        Outcome.DONE_BY_STAFF,
        Outcome.OPTED_OUT,
        Outcome.CANCELLED,
    }


ASKS = able(Capabilities(asks_what_to_say=True))
LISTENS = able(Capabilities(asks_what_to_say=True, listens_for=timedelta(seconds=30)))


def a_silent_call(number: int = 1, **changes: Any) -> Call:
    """Return an answered call of some length without a request to us."""
    values: dict[str, Any] = {
        "id": f"call-{number}",
        "phone_number": f"+1202555000{number}",
        "status": "completed",
        "duration_seconds": 9,
        "created_at": NOW + number * SECOND,
    }
    return a_call(CallState.ENDED, **(values | changes))


def failing(calls: list[Call], rules: Rules, *, answering_since: datetime | None = None) -> bool:
    return is_address_failing(calls, rules, answering_since=answering_since)


def test_an_answered_call_without_a_request_is_a_silent_call() -> None:
    assert provider_never_asked(a_silent_call(), ASKS)


@pytest.mark.parametrize(
    "changes",
    [
        {"fetched_at": NOW},
        {"status": "no-answer"},
        {"status": None},
        {"duration_seconds": 1},
        {"duration_seconds": 0},
        {"duration_seconds": None},
        {"adopted": True},
        {"account": "another"},
        {"provider": "another"},
    ],
    ids=str,
)
def test_any_other_call_is_not_a_silent_call(changes: dict[str, Any]) -> None:
    assert not provider_never_asked(a_silent_call(**changes), ASKS)


def test_a_provider_that_never_asks_what_to_say_proves_nothing() -> None:
    assert not provider_never_asked(a_silent_call(), able(Capabilities()))


@pytest.mark.parametrize(
    ("seconds", "answered_by", "expected"),
    [(9, None, False), (31, None, False), (32, None, True), (1, "human", False), (2, "human", True)],
)
def test_a_hang_up_during_machine_detection_proves_nothing(
    seconds: int, answered_by: str | None, *, expected: bool
) -> None:
    call = a_silent_call(duration_seconds=seconds, answered_by=answered_by)
    assert provider_never_asked(call, LISTENS) is expected


def test_silent_calls_to_two_numbers_in_a_row_mean_our_address_is_failing() -> None:
    assert not failing([], ASKS)
    assert not failing([a_silent_call(1)], ASKS)
    assert failing([a_silent_call(1), a_silent_call(2)], ASKS)


def test_silent_calls_to_one_number_prove_nothing() -> None:
    first = a_silent_call(1)
    again = [evolve(first, id=f"call-{number}", created_at=NOW + number * MINUTE) for number in range(2, 6)]
    assert not failing([first, *again], ASKS)


def test_a_request_between_silent_calls_starts_the_count_over() -> None:
    first, second, third = a_silent_call(1), a_silent_call(2), a_silent_call(3)
    asked = a_silent_call(4, created_at=NOW, fetched_at=first.created_at + SECOND)
    assert not failing([first, asked, second], ASKS)
    assert failing([first, asked, evolve(second, created_at=NOW + MINUTE), third], ASKS)


def test_late_reports_of_silent_calls_do_not_outweigh_a_newer_request() -> None:
    """As after a restart: those that were answered meanwhile are looked up long after the next one has asked."""
    newer = a_silent_call(5, created_at=NOW + MINUTE, fetched_at=NOW + 2 * MINUTE)
    assert not failing([a_silent_call(1), a_silent_call(2), newer], ASKS)


def test_calls_that_may_have_been_answered_during_a_restart_do_not_count() -> None:
    start = NOW + MINUTE
    cut = [a_silent_call(number, received_at=start + MINUTE) for number in (1, 2)]
    assert not failing(cut, ASKS, answering_since=start)
    assert failing(cut, ASKS, answering_since=NOW - MINUTE)
    over = [a_silent_call(number, received_at=start - SECOND) for number in (1, 2)]
    assert failing(over, ASKS, answering_since=start), "they ended while somebody was there"
    newer = [a_silent_call(number, created_at=start + SECOND, received_at=start + MINUTE) for number in (1, 2)]
    assert failing(newer, ASKS, answering_since=start)


@pytest.mark.parametrize(
    ("status", "response", "figure"),
    [
        (Status.SCHEDULED, None, Figure.OPEN),
        (Status.DIALING, None, Figure.OPEN),
        (Status.PROCESSING, "confirmed", Figure.OPEN),
        (Status.CALLED, None, Figure.REACHED),
        (Status.CALLED, "by another program", Figure.REACHED),
        (Status.CALLED, Response.OPTED_OUT, Figure.REACHED),
        (Status.CALLED, Response.CONFIRMED, Figure.CONFIRMED),
        (Status.CALLED, Response.CANCEL_REQUESTED, Figure.CANCELLED),
        (Status.FAILED, None, Figure.NOT_REACHED),
        (Status.EXPIRED, Response.CONFIRMED, Figure.NOT_REACHED),
        (Status.CANCELLED, None, Figure.NOT_CALLED),
    ],
)
def test_each_reminder_counts_in_one_figure(status: Status, response: str | None, figure: Figure) -> None:
    assert figure_of(status, response) is figure


def test_the_share_is_of_those_that_were_to_be_called_and_are_over() -> None:
    day = Figures({Figure.CONFIRMED: 2, Figure.REACHED: 1, Figure.CANCELLED: 1, Figure.NOT_CALLED: 9, Figure.OPEN: 9})
    assert day.share_heard == 1.0
    assert (day + Figures({Figure.NOT_REACHED: 4}, 4)).share_heard == 0.5
    assert Figures({Figure.OPEN: 9}).share_heard is None


def test_figures_add_up() -> None:
    both = Figures({Figure.OPEN: 1}, 1) + Figures({Figure.OPEN: 2, Figure.REACHED: 5})
    assert (both[Figure.OPEN], both[Figure.REACHED], both.need_human, both.total) == (3, 5, 1, 8)


def test_each_figure_is_defined() -> None:
    assert all(figure.definition.text.endswith(".") for figure in Figure)
