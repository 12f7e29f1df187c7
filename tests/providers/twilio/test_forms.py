"""What is read from Twilio's webhooks: much of it may be missing, repeated or nonsense."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.answers import Report
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.script.prompts import Question
from reminderd.providers.base import DURATION_LIMIT, InvalidPayloadError, Webhook
from reminderd.providers.twilio.webhooks import read_key, read_report, unused_answer
from tests.support.twilio_rest import SID, TO
from tests.support.twilio_sandbox import ACCOUNT, FROM

ALWAYS = {
    "AccountSid": ACCOUNT,
    "ApiVersion": "2010-04-01",
    "CallSid": SID,
    "CallStatus": "ringing",
    "Called": TO,
    "CalledCity": "",
    "CalledCountry": "US",
    "CalledState": "DC",
    "CalledZip": "",
    "Caller": FROM,
    "Direction": "outbound-api",
    "From": FROM,
    "To": TO,
}
PROGRESS = ALWAYS | {
    "CallbackSource": "call-progress-events",
    "SequenceNumber": "1",
    "Timestamp": "Mon, 02 Mar 2026 10:00:00 +0000",
}
AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
OF_2015 = PROGRESS | {
    "CallDuration": "0",
    "CallStatus": "busy",
    "Duration": "0",
    "SequenceNumber": "0",
    "SipResponseCode": "500",
}
"""As Twilio sends it when only the last event was requested: its number is still 0."""


def status(fields: dict[str, str] | list[tuple[str, str]], path: str = "/webhooks/twilio/status/call-1") -> Webhook:
    return Webhook(target=path, headers={}, body=urlencode(fields).encode())


def keys(digits: str | None, query: str = "question=menu&repeats=0") -> Webhook:
    fields = ALWAYS if digits is None else ALWAYS | {"Digits": digits}
    target = f"/webhooks/twilio/keys/call-1?{query}" if query else "/webhooks/twilio/keys/call-1"
    return Webhook(target=target, headers={}, body=urlencode(fields).encode())


def report(word: str, **changes: Any) -> Report:
    return Report(external_call_id=SID, status=word, attempt_id="call-1", **changes)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(ALWAYS, report("ringing"), id="what is always told"),
        pytest.param(PROGRESS | {"CallStatus": "initiated"}, report("initiated"), id="progress"),
        pytest.param(PROGRESS | {"CallStatus": "in-progress", "StirStatus": "B"}, report("in-progress"), id="answered"),
        pytest.param(
            OF_2015, report("busy", duration_seconds=0, sip_response_code=500, ended_at=AT), id="the sample of 2015"
        ),
        pytest.param(
            PROGRESS | {"CallStatus": "completed", "CallDuration": "61", "Duration": "2", "SipResponseCode": "200"},
            report("completed", duration_seconds=61, sip_response_code=200, ended_at=AT),
            id="seconds, not minutes",
        ),
        pytest.param(
            PROGRESS | {"CallStatus": "no-answer", "CallDuration": "0", "SipResponseCode": "487"},
            report("no-answer", duration_seconds=0, sip_response_code=487, ended_at=AT),
            id="nobody answered",
        ),
        pytest.param(
            PROGRESS
            | {"CallStatus": "completed", "AnsweredBy": "machine_end_beep", "MachineDetectionDuration": "3214"},
            report("completed", answered_by="machine_end_beep", ended_at=AT),
            id="a machine",
        ),
        pytest.param(
            PROGRESS | {"CallStatus": "failed", "ErrorCode": "13224", "ErrorMessage": f"{TO} is invalid"},
            report("failed", error_code="13224", ended_at=AT),
            id="an error",
        ),
        pytest.param(ALWAYS | {"CallStatus": " In_Progress"}, report("in-progress"), id="another spelling"),
        pytest.param(ALWAYS | {"CallStatus": "teleported"}, report("teleported"), id="a word of nobody's"),
        pytest.param({"CallSid": SID, "CallStatus": "busy"}, report("busy"), id="nothing but the call"),
    ],
)
def test_a_status_callback_is_read_with_all_fields_we_store(fields: dict[str, str], expected: Report) -> None:
    assert read_report(status(fields)) == expected


@pytest.mark.parametrize("name", ["CallDuration", "SipResponseCode"])
@pytest.mark.parametrize("text", ["", "-1", "1.5", "NaN", "1e3", "٤٢", " 1", "9" * 400, str(DURATION_LIMIT + 1)])
def test_an_invalid_number_is_left_out_of_the_report(name: str, text: str) -> None:
    assert read_report(status(ALWAYS | {name: text})) == report("ringing")


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "Mon, 02 Mar 2026", "Mon, 02 Mar 2026 10:00:00 +9999999", "9" * 400),
        *("Wed, 31 Dec 1969 23:59:59 +0000", "Fri, 01 Jan 0100 00:00:00 +2359"),
    ],
)
def test_an_invalid_time_is_left_out_of_the_report(text: str) -> None:
    assert read_report(status(ALWAYS | {"CallStatus": "busy", "Timestamp": text})) == report("busy")


@pytest.mark.parametrize("name", ["AnsweredBy", "ErrorCode"])
@pytest.mark.parametrize("text", ["", "a\0b", "line\nbreak", "x" * 201])
def test_an_invalid_text_is_left_out_of_the_report(name: str, text: str) -> None:
    assert read_report(status(ALWAYS | {name: text})) == report("ringing")


def test_the_last_of_a_repeated_field_counts() -> None:
    twice = [("CallStatus", "ringing"), *ALWAYS.items(), ("CallStatus", "busy")]
    assert read_report(status(twice)) == report("busy")


@pytest.mark.parametrize("name", ["CallSid", "CallStatus"])
@pytest.mark.parametrize("text", [None, "", "a\0b", "x" * 201])
def test_a_report_needs_a_call_and_a_status(name: str, text: str | None) -> None:
    fields = {known: value for known, value in ALWAYS.items() if known != name}
    with pytest.raises(InvalidPayloadError) as caught:
        read_report(status(fields if text is None else fields | {name: text}))
    (detail,) = caught.value.details
    assert detail.startswith(f"{name}: ")


def test_every_error_is_reported_without_repeating_the_payload() -> None:
    with pytest.raises(InvalidPayloadError) as caught:
        read_report(status({"To": TO}, "/webhooks/twilio/status/"))
    assert [detail.partition(":")[0] for detail in caught.value.details] == [
        "the call's id in the path",
        "CallSid",
        "CallStatus",
    ]
    assert TO[1:] not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "call_id"),
    [
        ("/webhooks/twilio/status/call-1", "call-1"),
        ("/webhooks/twilio/answer/call-1?x=/y", "call-1"),
        ("/webhooks/twilio/keys/a%2Fb%20%C3%A9?question=menu", "a/b é"),
    ],
)
def test_our_call_id_is_the_last_part_of_the_path(path: str, call_id: str) -> None:
    assert read_report(status(ALWAYS, path)).attempt_id == call_id


@pytest.mark.parametrize("body", [b"\xff=1", b"CallSid=%ff", b"&".join([b"a=1"] * 1001)])
def test_a_body_that_is_not_a_form_is_an_invalid_payload(body: bytes) -> None:
    webhook = Webhook(target=keys("1").target, headers={}, body=body)
    for read in (read_report, read_key):
        with pytest.raises(InvalidPayloadError):
            read(webhook)


@pytest.mark.parametrize(
    ("digits", "told"), [(None, ""), ("", ""), ("1", "1"), ("#", "#"), ("*", "*"), ("12", "12"), ("9" * 500, "9" * 32)]
)
def test_a_key_is_the_pressed_digits_or_empty(digits: str | None, told: str) -> None:
    assert read_key(keys(digits)) == Key(digits=told, question=Question.MENU, repeats=0)


@pytest.mark.parametrize(
    ("query", "question", "repeats"),
    [
        ("question=menu&repeats=2", Question.MENU, 2),
        ("question=cancel&repeats=0", Question.CANCEL, 0),
        ("repeats=1&question=cancel&bodySHA256=00", Question.CANCEL, 1),
        ("question=menu&repeats=99", Question.MENU, 99),
    ],
)
def test_the_question_is_read_from_the_query(query: str, question: Question, repeats: int) -> None:
    assert read_key(keys("1", query)) == Key(digits="1", question=question, repeats=repeats)


def test_the_language_of_the_question_is_read_from_the_query() -> None:
    query = "question=menu&repeats=0&language=pt-BR"
    assert read_key(keys("1", query)) == Key(digits="1", question=Question.MENU, repeats=0, language="pt-BR")


@pytest.mark.parametrize(("word", "is_over"), [("in-progress", False), ("completed", True), ("Completed", True)])
def test_a_key_says_whether_the_call_had_ended(word: str, *, is_over: bool) -> None:
    body = urlencode(ALWAYS | {"CallStatus": word, "Digits": ""}).encode()
    assert read_key(Webhook(target=keys("").target, headers={}, body=body)).is_over is is_over


@pytest.mark.parametrize(
    ("error_url", "call_id"),
    [
        ("https://clinic.example/webhooks/twilio/answer/call-1", "call-1"),
        ("https://clinic.example/webhooks/twilio/answer/a%2Fb%20c?x=/y", "a/b c"),
        ("https://clinic.example/webhooks/twilio/keys/call-1?question=menu&repeats=0", None),
        ("https://clinic.example/webhooks/twilio/answer/", None),
        ("answer", None),
        ("", None),
        (None, None),
    ],
)
def test_the_fallback_reports_which_calls_answer_could_not_be_used(error_url: str | None, call_id: str | None) -> None:
    asked = {"CallSid": SID} if error_url is None else {"CallSid": SID, "ErrorCode": "11200", "ErrorUrl": error_url}
    webhook = Webhook(target=f"/webhooks/twilio/fallback?{urlencode(asked)}", headers={}, body=b"")
    assert unused_answer(webhook) == call_id


@pytest.mark.parametrize(
    "query",
    [
        "",
        "question=menu",
        "repeats=0",
        "question=&repeats=0",
        "question=MENU&repeats=0",
        "question=menu&repeats=",
        "question=menu&repeats=-1",
        "question=menu&repeats=100",
        "question=menu&repeats=two",
        "question=menu;repeats=0",
        "%00%ff&&==",
    ],
)
def test_an_unknown_query_is_an_invalid_payload(query: str) -> None:
    with pytest.raises(InvalidPayloadError, match="query: "):
        read_key(keys("1", query))


@given(
    body=st.binary(max_size=200) | st.text(max_size=100).map(str.encode), query=st.text(st.characters(codec="latin-1"))
)
def test_any_webhook_is_read_or_is_an_invalid_payload(body: bytes, query: str) -> None:
    webhook = Webhook(target=f"/webhooks/twilio/keys/call-1?{query}", headers={}, body=body)
    for read in (read_report, read_key):
        with suppress(InvalidPayloadError):
            read(webhook)


names = st.sampled_from(["CallSid", "CallStatus", "CallDuration", "SipResponseCode", "AnsweredBy", "ErrorCode", "x"])
texts = st.text(max_size=12) | st.integers().map(str) | st.sampled_from(["completed", "human", SID])


@given(st.lists(st.tuples(names, texts), max_size=12))
def test_every_value_read_fits_the_database(fields: list[tuple[str, str]]) -> None:
    told = read_report(status([("CallSid", SID), ("CallStatus", "busy"), *[f for f in fields if f[0][:5] != "CallS"]]))
    assert (told.external_call_id, told.status) == (SID, "busy")
    assert told.duration_seconds is None or 0 <= told.duration_seconds <= DURATION_LIMIT
    assert told.sip_response_code is None or 0 <= told.sip_response_code <= 999
    assert all("\0" not in (text or "") for text in (told.answered_by, told.error_code))
