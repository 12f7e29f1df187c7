"""Twilio's webhooks, as it really sends them and as it never would."""

from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.answers import Report
from reminderd.core.conversation import Question
from reminderd.core.lifecycle import Key
from reminderd.providers.base import InvalidPayloadError, Webhook
from reminderd.providers.twilio.forms import read_key, read_report

STATUS = "/webhooks/twilio/status/3f0a5c1e"
KEYS = "/webhooks/twilio/keys/3f0a5c1e"
BUSY = {
    "CallSid": "CA1234567890abcdef1234567890abcdef",
    "AccountSid": "AC1234567890abcdef1234567890abcdef",
    "From": "+12025550190",
    "To": "+12025550100",
    "CallStatus": "busy",
    "ApiVersion": "2010-04-01",
    "Direction": "outbound-api",
    "ForwardedFrom": "",
    "CallerName": "",
    "SipResponseCode": "500",
    "CallDuration": "0",
    "Duration": "0",
    "Timestamp": "Mon, 02 Mar 2026 12:00:00 +0000",
    "CallbackSource": "call-progress-events",
    "SequenceNumber": "0",
}


def webhook(fields: dict[str, str], target: str = STATUS) -> Webhook:
    return Webhook(target=target, headers={}, body=urlencode(fields).encode())


def test_a_busy_line_is_reported_under_our_own_id_with_all_that_is_known_of_why() -> None:
    assert read_report(webhook(BUSY | {"ErrorCode": "13224"})) == Report(
        external_call_id="CA1234567890abcdef1234567890abcdef",
        status="busy",
        attempt_id="3f0a5c1e",
        duration_seconds=0,
        sip_response_code=500,
        error_code="13224",
    )


def test_who_answered_is_told_where_twilio_found_out() -> None:
    fields = BUSY | {"CallStatus": "in-progress", "AnsweredBy": "machine_end_beep", "MachineDetectionDuration": "4000"}
    report = read_report(webhook(fields))
    assert (report.status, report.answered_by) == ("in-progress", "machine_end_beep")


def test_seconds_are_read_and_not_the_minutes_beside_them() -> None:
    report = read_report(webhook(BUSY | {"CallStatus": "completed", "Duration": "1", "CallDuration": "31"}))
    assert report.duration_seconds == 31


@pytest.mark.parametrize("name", ["CallDuration", "SipResponseCode"])
@pytest.mark.parametrize("value", ["", "x", "-1", "1e3", "9" * 30])
def test_a_number_that_is_none_is_left_out(name: str, value: str) -> None:
    report = read_report(webhook(BUSY | {name: value}))
    assert None in {report.duration_seconds, report.sip_response_code}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"CallSid": ""}, ["CallSid"]),
        ({"CallStatus": " "}, ["CallStatus"]),
        ({"CallSid": "C" * 201, "CallStatus": "\n"}, ["CallSid", "CallStatus"]),
        ({"CallStatus": "x" * 51}, ["CallStatus"]),
    ],
)
def test_every_mistake_is_named(changes: dict[str, str], fields: list[str]) -> None:
    with pytest.raises(InvalidPayloadError) as caught:
        read_report(webhook(BUSY | changes))
    assert [line.split(":")[0] for line in caught.value.details] == fields


@pytest.mark.parametrize("body", [b"\xff", b"a=%ff", b"&".join([b"a=1"] * 1001)])
def test_a_body_that_is_no_form_is_a_mistake(body: bytes) -> None:
    with pytest.raises(InvalidPayloadError):
        read_report(Webhook(target=STATUS, headers={}, body=body))


@given(st.binary(max_size=200), st.text(max_size=50))
def test_nothing_that_is_sent_can_break_the_reading(body: bytes, target: str) -> None:
    for read in (read_report, read_key):
        with suppress(InvalidPayloadError):
            read(Webhook(target=f"/{target}", headers={}, body=body))


@pytest.mark.parametrize(
    ("digits", "query", "key"),
    [
        ("1", "question=menu&repeats=0", Key(digits="1", question=Question.MENU, repeats=0)),
        ("2", "question=cancel&repeats=2", Key(digits="2", question=Question.CANCEL, repeats=2)),
        ("#", "question=menu&repeats=1", Key(digits="#", question=Question.MENU, repeats=1)),
        ("", "question=menu&repeats=1", Key(digits="", question=Question.MENU, repeats=1)),
        (None, "question=menu&repeats=1", Key(digits="", question=Question.MENU, repeats=1)),
        ("1" * 99, "question=menu&repeats=1", Key(digits="1" * 32, question=Question.MENU, repeats=1)),
    ],
)
def test_a_key_is_read_with_what_it_answers(digits: str | None, query: str, key: Key) -> None:
    fields = BUSY | ({} if digits is None else {"Digits": digits})
    assert read_key(webhook(fields, f"{KEYS}?{query}")) == key


@pytest.mark.parametrize(
    "query", ["", "question=menu", "repeats=0", "question=x&repeats=0", "question=menu&repeats=-1", "repeats=100"]
)
def test_a_query_that_is_not_ours_is_a_mistake(query: str) -> None:
    with pytest.raises(InvalidPayloadError):
        read_key(webhook(BUSY, f"{KEYS}?{query}"))
