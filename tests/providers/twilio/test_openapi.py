"""Twilio's own OpenAPI document is the judge of every request that we send."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from attrs import evolve

from reminderd.providers.twilio.account import mistakes_in
from reminderd.providers.twilio.client import CallSettings, TwilioProvider
from tests.providers.twilio.openapi import DOCUMENT, violations
from tests.support.hostile_provider import HeardRequest, hostile
from tests.support.twilio_desk import ACCOUNT, FROM
from tests.support.twilio_rest import ACCOUNT_PATH, PLACEMENT, SID, TO, form, says

Maker = Callable[..., TwilioProvider]

ACTIVE = says(200, {"status": "active"})
NONE_BOUGHT = says(200, {"incoming_phone_numbers": []})
NONE_VERIFIED = says(200, {"outgoing_caller_ids": []})


async def test_the_document_is_the_part_of_twilio_s_that_is_used_here() -> None:
    operations = [
        operation["operationId"]
        for methods in DOCUMENT["paths"].values()
        for name, operation in methods.items()
        if name in {"get", "post"}
    ]
    assert sorted(operations) == [
        "CreateCall",
        "FetchAccount",
        "FetchCall",
        "ListCall",
        "ListIncomingPhoneNumber",
        "ListOutgoingCallerId",
        "UpdateCall",
    ]


@pytest.mark.parametrize("machine_detection", [None, "Enable", "DetectMessageEnd"])
@pytest.mark.parametrize("public_base_url", ["https://clinic.example", "https://a.example:8443/under/here"])
@pytest.mark.parametrize("ring_for", [5, 30, 600])
async def test_a_call_is_asked_for_as_the_document_has_it(
    machine_detection: str | None, public_base_url: str, ring_for: int, twilio_at: Maker
) -> None:
    settings = CallSettings(ring_for=timedelta(seconds=ring_for), machine_detection=machine_detection)
    async with hostile(says(201, {"sid": SID})) as server:
        await twilio_at(server.url, public_base_url=public_base_url, settings=settings).place(PLACEMENT)
        assert violations(server.requests[0]) == []


@pytest.mark.parametrize("call_id", ["0b0f4a3e-8a44-4b0c-9d53-3d7a8a0f3a0e", "a b/c?d#é&=%\n"])
async def test_whatever_id_a_call_has_its_addresses_are_addresses(call_id: str, twilio_at: Maker) -> None:
    async with hostile(says(201, {"sid": SID})) as server:
        await twilio_at(server.url).place(evolve(PLACEMENT, call_id=call_id))
        assert violations(server.requests[0]) == []


async def test_every_question_is_asked_as_the_document_has_it(twilio_at: Maker) -> None:
    async with hostile(says(500, {}), says(500, {}), says(500, {}), ACTIVE, NONE_BOUGHT, NONE_VERIFIED) as server:
        provider = twilio_at(server.url)
        await provider.fetch(SID)
        await provider.find(PLACEMENT)
        await provider.drop(SID)
        await mistakes_in(provider.api)
    assert [(request.method, request.target) for request in server.requests] == [
        ("GET", f"{ACCOUNT_PATH}/Calls/{SID}.json"),
        ("GET", f"{ACCOUNT_PATH}/Calls.json?To=%2B12025550100&PageSize=50"),
        ("POST", f"{ACCOUNT_PATH}/Calls/{SID}.json"),
        ("GET", f"{ACCOUNT_PATH}/Calls/{SID}.json"),
        ("GET", f"{ACCOUNT_PATH}.json"),
        ("GET", f"{ACCOUNT_PATH}/IncomingPhoneNumbers.json?PhoneNumber=%2B12025550190"),
        ("GET", f"{ACCOUNT_PATH}/OutgoingCallerIds.json?PhoneNumber=%2B12025550190"),
    ]
    assert [violations(request) for request in server.requests] == [[]] * 7


AUTH = {"authorization": "Basic QUM6eA=="}
FORM = AUTH | {"content-type": "application/x-www-form-urlencoded"}
GOOD = {"To": TO, "From": FROM, "Url": "https://clinic.example/answer"}


def placing(fields: Mapping[str, object], **changes: str) -> HeardRequest:
    body = urlencode(fields, doseq=True).encode()
    return HeardRequest("POST", f"{ACCOUNT_PATH}/Calls.json", FORM | changes, body)


def asking(target: str, method: str = "GET") -> HeardRequest:
    return HeardRequest(method, target, AUTH, b"")


def test_a_request_as_it_should_be_is_let_pass() -> None:
    request = placing(GOOD | {"StatusCallbackEvent": ["initiated", "completed"], "Timeout": 30, "Record": "false"})
    assert violations(request) == []
    assert len(form(request)) == 7


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        pytest.param(placing({"From": FROM, "Url": "https://a.example"}), "'To' is a required", id="no To"),
        pytest.param(placing(GOOD | {"To": "0190"}), "To: '0190' is not a 'endpoint'", id="no number"),
        pytest.param(placing(GOOD | {"To": [TO, TO]}), "To: [", id="two numbers"),
        pytest.param(placing({"To": TO, "From": FROM}), "none of url, twiml, application_sid", id="nothing to say"),
        pytest.param(placing(GOOD | {"Url": "/answer"}), "Url: ", id="half a URL"),
        pytest.param(placing(GOOD | {"Metadata": "x"}), "'Metadata' was unexpected", id="an unknown name"),
        pytest.param(placing(GOOD | {"Timeout": "30.0"}), "Timeout: '30.0' is not of type 'integer'", id="no integer"),
        pytest.param(placing(GOOD | {"Timeout": 601}), "Timeout: 601 is greater", id="too long"),
        pytest.param(placing(GOOD | {"Method": "post"}), "Method: 'post' is not one of", id="no method"),
        pytest.param(placing(GOOD | {"MachineDetection": "true"}), "MachineDetection: ", id="no detection"),
        pytest.param(
            placing(GOOD | {"StatusCallbackEvent": "initiated ringing"}), "StatusCallbackEvent.0: ", id="one for two"
        ),
        pytest.param(
            placing(GOOD | {"StatusCallback": "https://my_clinic.example/"}), "StatusCallback: ", id="underscore"
        ),
        pytest.param(placing(GOOD, **{"content-type": "application/json"}), "Content-Type", id="JSON"),
        pytest.param(placing(GOOD, authorization="Bearer x"), "no basic", id="another key"),
        pytest.param(asking(f"{ACCOUNT_PATH}/Calls"), "no such path", id="without .json"),
        pytest.param(asking(f"{ACCOUNT_PATH}/Calls.json", "PUT"), "no PUT", id="another method"),
        pytest.param(asking(f"{ACCOUNT_PATH}/Calls.json?Tos=1"), "'Tos' was unexpected", id="an unknown filter"),
        pytest.param(asking(f"{ACCOUNT_PATH}/Calls.json?PageSize=1001"), "PageSize: 1001", id="too large a page"),
        pytest.param(asking(f"{ACCOUNT_PATH}/Calls.json?Status=done"), "Status: 'done'", id="an unknown status"),
        pytest.param(asking(f"{ACCOUNT_PATH}/Calls/CA1.json"), "Sid: 'CA1'", id="no sid"),
        pytest.param(
            asking(f"{ACCOUNT_PATH}/Calls/{SID}.json".replace(ACCOUNT, "AC1")), "AccountSid: 'AC1'", id="no account"
        ),
    ],
)
def test_the_judge_sees_what_is_wrong(request_: HeardRequest, words: str) -> None:
    assert any(words in violation for violation in violations(request_)), violations(request_)
