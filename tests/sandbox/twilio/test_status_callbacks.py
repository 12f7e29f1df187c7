"""The status callbacks of a call in Twilio's dialect."""

from collections.abc import Sequence
from email.utils import parsedate_to_datetime

import pytest

from reminderd.sandbox.behaviors import example_number
from tests.support.hostile_provider import answer
from tests.support.twilio_sandbox import ACCEPTED, ACCOUNT, FROM, a_twilio_sandbox, fields, twiml


async def told_of(behavior: str, count: int) -> list[tuple[str, str]]:
    async with a_twilio_sandbox() as served:
        await served.place(behavior)
        return [(told["SequenceNumber"], told["CallStatus"]) for told in await served.callbacks(count)]


ANSWERED = [("0", "initiated"), ("1", "ringing"), ("2", "in-progress"), ("3", "completed")]


@pytest.mark.parametrize(
    ("behavior", "told"),
    [
        ("answered", ANSWERED),
        ("busy", [("0", "initiated"), ("1", "busy")]),
        ("no answer", [("0", "initiated"), ("1", "ringing"), ("2", "no-answer")]),
        ("failed", [("0", "initiated"), ("1", "failed")]),
        ("slow", ANSWERED),
        ("late webhook", ANSWERED),
        ("repeated webhook", [*ANSWERED, ANSWERED[-1], ANSWERED[-1]]),
        ("unknown status", [("0", "dispatched"), *((str(int(at) + 1), word) for at, word in ANSWERED)]),
    ],
)
async def test_each_number_has_its_own_callbacks(behavior: str, told: list[tuple[str, str]]) -> None:
    assert await told_of(behavior, len(told)) == told


async def test_a_callback_has_the_parameters_that_twilio_sends() -> None:
    async with a_twilio_sandbox() as served:
        sid = (await served.place()).json()["sid"]
        first, *_, last = await served.callbacks(4)
    always = {
        "CallSid": sid,
        "AccountSid": ACCOUNT,
        "From": FROM,
        "To": example_number("answered"),
        "Caller": FROM,
        "Called": example_number("answered"),
        "ApiVersion": "2010-04-01",
        "Direction": "outbound-api",
        "CallbackSource": "call-progress-events",
        "ToCountry": "US",
        "ToCity": "",
    }
    assert first == first | always
    assert last == last | always | {"SipResponseCode": "200", "Duration": "1"}
    assert int(last["CallDuration"]) > 0
    assert not {"CallDuration", "Duration", "SipResponseCode", "AnsweredBy", "ErrorCode"} & set(first)
    assert not {"AnsweredBy", "ErrorCode"} & set(last)
    assert parsedate_to_datetime(first["Timestamp"]).tzinfo is not None


@pytest.mark.parametrize(("behavior", "code"), [("busy", "486"), ("no answer", "487"), ("failed", "404")])
async def test_an_unanswered_call_has_no_minutes(behavior: str, code: str) -> None:
    async with a_twilio_sandbox() as served:
        await served.place(behavior)
        told = await served.callback(lambda fields: "CallDuration" in fields)
    assert (told["CallDuration"], told["SipResponseCode"]) == ("0", code)
    assert "Duration" not in told


async def test_every_webhook_is_signed_and_has_a_token_of_its_own() -> None:
    async with a_twilio_sandbox() as served:
        await served.place(StatusCallback=f"{served.clinic.url}/status/call-1?a=1&b=%20#rc=2&rp=all")
        await served.callbacks(4)
        assert all(served.is_signed(request) for request in served.clinic.requests)
        assert {request.target for request in served.requests("/status")} == {"/status/call-1?a=1&b=%20"}
        tokens = {request.headers["i-twilio-idempotency-token"] for request in served.clinic.requests}
        assert len(tokens) == len(served.clinic.requests) == 5


async def test_a_callback_by_get_has_the_same_parameters_in_its_query() -> None:
    async with a_twilio_sandbox() as served:
        await served.place("busy", StatusCallbackMethod="GET", StatusCallback=f"{served.clinic.url}/status/1?x=1")
        told = await served.callbacks(2)
        requests = served.requests("/status")
        assert [request.method for request in requests] == ["GET", "GET"]
        assert all(served.is_signed(request) for request in requests)
    assert {one["x"] for one in told} == {"1"}
    assert [one["CallStatus"] for one in told] == ["initiated", "busy"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (None, [("0", "completed")]),
        ("completed", [("0", "completed")]),
        (["answered", "completed"], [("0", "in-progress"), ("1", "completed")]),
        (["ringing", "initiated"], [("0", "initiated"), ("1", "ringing")]),
    ],
)
async def test_only_the_requested_events_are_sent_and_numbered(
    asked: Sequence[str] | None, told: list[tuple[str, str]]
) -> None:
    async with a_twilio_sandbox() as served:
        await served.place(StatusCallbackEvent=asked)
        await served.until(lambda call: call.status == "completed")
        callbacks = await served.callbacks(len(told))
    assert [(one["SequenceNumber"], one["CallStatus"]) for one in callbacks] == told
    assert len(served.requests("/status")) == len(told)


async def test_completed_is_the_event_of_every_end() -> None:
    async with a_twilio_sandbox() as served:
        await served.place("busy", StatusCallbackEvent=None)
        (told,) = await served.callbacks(1)
    assert (told["CallStatus"], told["SequenceNumber"]) == ("busy", "0")


async def test_without_a_status_callback_nothing_is_sent() -> None:
    async with a_twilio_sandbox() as served:
        await served.place(StatusCallback=None)
        call = await served.until(lambda call: call.status == "completed")
        assert (served.requests("/status"), call.heard) == ([], ("Hello.",))


async def test_a_repeated_callback_keeps_its_token() -> None:
    async with a_twilio_sandbox() as served:
        await served.place("repeated webhook")
        await served.callbacks(6)
        last = [request for request in served.requests("/status") if "CallDuration" in fields(request)]
    assert len(last) == 3
    assert len({request.headers["i-twilio-idempotency-token"] for request in last}) == 1


@pytest.mark.parametrize(
    ("answered", "complaint"),
    [
        (answer(500), "15003"),
        (answer(404, b"nothing here"), "15003"),
        (answer(200, b'{"success": true}', Content_Type="application/json"), "12300"),
        (twiml("<Jump/>"), "12200"),
    ],
)
async def test_an_answered_callback_is_never_sent_again(answered: bytes, complaint: str) -> None:
    async with a_twilio_sandbox({"/status": [answered]}) as served:
        await served.place("busy")
        call = await served.until(lambda call: len(call.complaints) == 2)
        assert len(served.requests("/status")) == 2
    assert [each.partition(":")[0] for each in call.complaints] == [complaint] * 2


@pytest.mark.parametrize("taken", [ACCEPTED, answer(200), twiml("")], ids=["204", "200", "twiml"])
async def test_a_callback_that_is_answered_as_twilio_expects_leaves_no_complaint(taken: bytes) -> None:
    async with a_twilio_sandbox({"/status": [taken]}) as served:
        await served.place("silent")
        await served.callbacks(4)
        assert (await served.ended()).complaints == ()


async def test_an_answered_call_can_be_hung_up_but_not_canceled() -> None:
    endless = twiml("<Say>Hello.</Say><Pause length='9999'/><Say>Still here?</Say>")
    async with a_twilio_sandbox({"/answer": [endless]}, pace=0.01) as served:
        await served.place()
        await served.until(lambda call: call.heard)
        assert (await served.modify("canceled")).json()["code"] == 21220
        assert (await served.modify("completed")).json()["status"] == "completed"
        call = await served.ended()
    assert (call.status, call.heard) == ("completed", ("Hello.",))
