"""Test whose messages were heard in a call, by the provider's own record, for each way in which it can end."""

from typing import Any

import pytest

from reminderd.core.script.prompts import Prompt, Question, SpokenReply
from tests.chaos.carrier import CarrierCall, Subject
from tests.chaos.configurations import TWILIO, Account
from tests.chaos.endings import HEARD, Ending, heard_by_report, reported_by_gateway, reported_by_twilio, takes
from tests.chaos.front_desk import PHONES
from tests.support.builders import ACCOUNT, BOTH, NOW

ONE, TWO = (Subject(name, 0, NOW) for name in ("r-1", "r-2"))
SPEECH = "This is r-1. Version 0. This is r-2. Version 0."
TO_PERSON = SpokenReply(parts=(Prompt.GREETING, Prompt.MESSAGE, Prompt.MENU), question=Question.MENU)
TO_MACHINE = SpokenReply(parts=(Prompt.VOICEMAIL,), question=Question.VOICEMAIL)


def a_call(provider: str = "generic", *, answered_by: str | None = None, **changes: Any) -> CarrierCall:
    values: dict[str, Any] = {
        "key": "key-1",
        "reminder_id": "r-1",
        "call_id": "ext-1",
        "at": 0,
        "phone_number": PHONES[0],
        "account": Account(provider=provider, account=ACCOUNT, capabilities=BOTH if provider == "generic" else TWILIO),
        "subjects": (ONE, TWO),
        "spoken": (ONE, TWO) if provider == "generic" else (),
        "began": 0.0,
        "sign_at": 0.0,
    }
    call = CarrierCall(**(values | changes))
    call.note_answer(0.0, answered_by)
    return call


def ended(call: CarrierCall, ending: Ending, at: float = 60.0) -> CarrierCall:
    call.end, call.ending, call.ended = ending.means, ending, at
    return call


def heard(call: CarrierCall, *, voicemail_is_reached: bool = True) -> set[Subject]:
    return set(heard_by_report(call, voicemail_is_reached=voicemail_is_reached))


@pytest.mark.parametrize(
    ("ending", "answered_by", "is_heard"),
    [
        (HEARD, None, True),
        (HEARD, "human", True),
        (HEARD, "Voicemail", True),
        (HEARD, "FAX", False),
        (Ending(is_empty=True), None, False),
        (Ending(word="User Hangup", means="hung-up"), None, False),
        (Ending(word="call_rejected", means="declined"), None, False),
        (Ending(word="failed", means="failed", sip=480), None, False),
        (Ending(word="timeout", means="no-answer"), None, False),
    ],
)
def test_a_gateways_report_decides_who_has_heard_the_message(
    ending: Ending, answered_by: str | None, is_heard: bool
) -> None:
    assert heard(ended(a_call(answered_by=answered_by), ending)) == ({ONE, TWO} if is_heard else set())


def test_a_machine_counts_as_reached_only_if_configured() -> None:
    for call in (a_call(answered_by="machine_start"), a_call("twilio", answered_by="machine_start")):
        call.note_reply(TO_MACHINE, SPEECH, (ONE, TWO), 0.0)
        assert heard(ended(call, HEARD)) == {ONE, TWO}
        assert heard(call, voicemail_is_reached=False) == set()


@pytest.mark.parametrize(("open_for", "expected"), [(3.0, set()), (4.0, {ONE}), (5.0, {ONE}), (6.0, {ONE, TWO})])
def test_a_person_has_heard_what_was_spoken_before_the_call_ended(open_for: float, expected: set[Subject]) -> None:
    assert takes(SPEECH) == 6.0  # the greeting takes 2 s, then come ten words
    call = a_call("twilio")
    call.note_reply(TO_PERSON, SPEECH, (ONE, TWO), 0.0)
    assert heard(ended(call, HEARD, at=open_for)) == expected


def test_a_message_that_twilio_never_fetched_or_could_not_use_was_not_heard() -> None:
    assert heard(ended(a_call("twilio"), HEARD)) == set()
    call = a_call("twilio")
    call.note_reply(TO_PERSON, SPEECH, (ONE, TWO), 0.0)
    call.note_lost_reply()
    assert heard(ended(call, HEARD)) == set()


def test_each_provider_reports_an_end_in_its_own_terms() -> None:
    hung_up, declined = Ending(word="User Hangup", means="hung-up"), Ending(word="call_rejected", means="declined")
    assert reported_by_gateway(ended(a_call(), hung_up)).status == "hung-up"
    assert reported_by_twilio(ended(a_call("twilio"), hung_up)).status == "completed"
    report = reported_by_twilio(ended(a_call("twilio"), declined))
    assert (report.status, report.sip_response_code, report.attempt_id) == ("failed", 603, "key-1")
