"""Every answer that Twilio can give to a request for a call, over real sockets."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest

from reminderd.core.answers import Accepted, AccountTrouble, Answer, NotPlaced, Refused, Unclear
from reminderd.providers.base import Placement
from reminderd.providers.twilio.answer import ACCOUNT, BUSY, NUMBER
from reminderd.providers.twilio.client import CallSettings, TwilioProvider
from tests.support.hostile_provider import (
    Script,
    answer,
    answering,
    cut,
    hang,
    hear,
    hostile,
    nobody_listens,
    nobody_picks_up,
    say,
)
from tests.support.nouns import NOW

Maker = Callable[..., TwilioProvider]

PLACEMENT = Placement(
    call_id="3f0a5c1e-8f0d-4a7e-9a43-0f2a7f1a9b52",
    reminder_id="reminder of Mr Miller",
    phone_number="+12025550100",
    message="Hello Mr Miller, your appointment is on Monday at nine.",
    asked_from=NOW,
)
SOON = timedelta(seconds=0.3)
CREATED = b'{"sid": "CA1", "status": "queued"}'
HOOKS = "https://clinic.example/reminders/webhooks/twilio"


def refusal(status: int, code: int, message: str = "Sorry", **headers: str) -> Script:
    """An answer as Twilio refuses."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": message, "more_info": more, "status": status}
    return answering(status, json.dumps(body).encode(), **headers)


async def answer_to(script: Script, twilio_at: Maker, **changes: Any) -> Answer:
    async with hostile(script) as server:
        said = await twilio_at(server.url, **changes).place(PLACEMENT)
        assert len([request for request in server.requests if request.method == "POST"]) <= 1
        return said


async def test_a_request_says_all_that_twilio_needs_and_nothing_of_the_patient_in_any_address(
    twilio_at: Maker,
) -> None:
    settings = CallSettings(ring_for=timedelta(seconds=25), machine_detection="DetectMessageEnd")
    async with hostile(answering(201, CREATED)) as server:
        assert await twilio_at(server.url, settings=settings).place(PLACEMENT) == Accepted("CA1")
    (request,) = server.requests
    assert (request.method, request.target) == ("POST", f"/2010-04-01/Accounts/AC{0:032}/Calls.json")
    credentials = b64encode(f"AC{0:032}:t0ken-of-the-clinic".encode()).decode()
    assert request.headers["authorization"] == f"Basic {credentials}"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qsl(request.body.decode(), strict_parsing=True) == [
        ("To", "+12025550100"),
        ("From", "+12025550190"),
        ("Url", f"{HOOKS}/answer/{PLACEMENT.call_id}"),
        ("Method", "POST"),
        ("FallbackUrl", f"{HOOKS}/fallback"),
        ("FallbackMethod", "GET"),
        ("StatusCallback", f"{HOOKS}/status/{PLACEMENT.call_id}"),
        ("StatusCallbackMethod", "POST"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("StatusCallbackEvent", "completed"),
        ("Timeout", "25"),
        ("TimeLimit", "180"),
        ("MachineDetection", "DetectMessageEnd"),
    ]


async def test_without_detection_of_machines_it_is_not_asked_for(twilio_at: Maker) -> None:
    async with hostile(answering(201, CREATED)) as server:
        await twilio_at(server.url).place(PLACEMENT)
    assert b"MachineDetection" not in server.requests[0].body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (CREATED, Accepted("CA1")),
        (b'{"sid": "CA1", "status": "ringing"}', Accepted("CA1", "ringing")),
        (b'{"sid": "CA1", "status": 7}', Accepted("CA1")),
        (b'{"sid": "CA1"}', Accepted("CA1")),
    ],
)
async def test_a_201_with_a_sid_is_accepted(body: bytes, expected: Answer, twilio_at: Maker) -> None:
    assert await answer_to(answering(201, body), twilio_at) == expected


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answering(201), id="empty"),
        pytest.param(answering(201, b"{}"), id="no sid"),
        pytest.param(answering(201, b'{"sid": null}'), id="null"),
        pytest.param(answering(201, b'{"sid": 7}'), id="a number"),
        pytest.param(answering(201, b"<html>"), id="a web page"),
        pytest.param((hear, say(answer(201, CREATED)[:-5]), cut), id="broken off"),
        pytest.param((hear, say(b"HTTP/1.1 201 Said\r\nContent-Length: 99\r\n\r\n" + CREATED), hang), id="no end"),
    ],
)
async def test_a_201_without_a_usable_sid_is_unclear(script: Script, twilio_at: Maker) -> None:
    assert isinstance(await answer_to(script, twilio_at, timeout=SOON), Unclear)


@pytest.mark.parametrize("code", sorted(NUMBER))
async def test_a_number_that_can_not_be_called_is_refused_with_twilios_code_and_words(
    code: int, twilio_at: Maker
) -> None:
    words = f"The 'To' number {PLACEMENT.phone_number} is not a valid phone number."
    said = await answer_to(refusal(400, code, words), twilio_at)
    assert said == Refused(f"400 Bad Request: {code}; The 'To' number … is not a valid phone number.")


async def test_a_400_with_a_code_that_nobody_knows_is_about_this_call_alone(twilio_at: Maker) -> None:
    assert isinstance(await answer_to(refusal(400, 29_999), twilio_at), Refused)
    assert isinstance(await answer_to(answering(400, b"<html>"), twilio_at), Refused)


@pytest.mark.parametrize("code", sorted(ACCOUNT))
async def test_what_is_about_our_account_is_trouble_with_it_whatever_the_status(code: int, twilio_at: Maker) -> None:
    for status in (400, 401, 403):
        said = await answer_to(refusal(status, code), twilio_at)
        assert isinstance(said, AccountTrouble)
        assert str(code) in said.reason


@pytest.mark.parametrize("status", [301, 302, 307, 401, 402, 403, 404, 405])
async def test_a_status_that_refuses_us_needs_no_code(status: int, twilio_at: Maker) -> None:
    assert isinstance(await answer_to(answering(status, Location="/"), twilio_at), AccountTrouble)


@pytest.mark.parametrize(("status", "code"), [(429, 20429), (429, 99), *((400, code) for code in sorted(BUSY))])
@pytest.mark.parametrize("wait", [None, 7])
async def test_too_many_at_once_pauses_all(status: int, code: int, wait: int | None, twilio_at: Maker) -> None:
    headers = {} if wait is None else {"Retry_After": str(wait)}
    said = await answer_to(refusal(status, code, **headers), twilio_at)
    assert isinstance(said, NotPlaced)
    assert said.rate_limited
    assert said.retry_after == (None if wait is None else timedelta(seconds=wait))


@pytest.mark.parametrize(("status", "code"), [(500, 20500), (502, 0), (503, 20503), (504, 0), (408, 0), (409, 0)])
@pytest.mark.parametrize("headers", [{}, {"Retry_After": "1"}], ids=["", "retry-after"])
async def test_what_twilio_may_have_processed_is_unclear_and_is_never_asked_for_again(
    status: int, code: int, headers: dict[str, str], twilio_at: Maker
) -> None:
    """A 503 with Retry-After too: nothing in Twilio's documentation says that no call was made."""
    assert isinstance(await answer_to(refusal(status, code, **headers), twilio_at), Unclear)


async def test_an_error_code_does_not_make_a_5xx_clear(twilio_at: Maker) -> None:
    assert isinstance(await answer_to(refusal(500, 21211), twilio_at), Unclear)


@pytest.mark.parametrize("script", [(hear, hang), (hear, cut), (hear,)], ids=["silent", "reset", "closed"])
async def test_no_answer_after_sending_is_unclear(script: Script, twilio_at: Maker) -> None:
    assert isinstance(await answer_to(script, twilio_at, timeout=SOON), Unclear)


async def test_without_a_connection_nothing_was_placed(twilio_at: Maker) -> None:
    with nobody_listens() as url:
        assert isinstance(await twilio_at(url).place(PLACEMENT), NotPlaced)
    with nobody_picks_up() as url:
        assert isinstance(await twilio_at(url, timeout=SOON).place(PLACEMENT), NotPlaced)
    assert isinstance(await twilio_at("http://no-such-host.invalid").place(PLACEMENT), NotPlaced)


async def test_no_reason_repeats_a_secret_a_number_or_the_message(twilio_at: Maker) -> None:
    words = f"{PLACEMENT.message} {PLACEMENT.phone_number} t0ken-of-the-clinic"
    said = await answer_to(refusal(400, 21211, words), twilio_at)
    assert isinstance(said, Refused)
    for private in ("Miller", "2025550100", "t0ken"):
        assert private not in said.reason
    assert "21211" in said.reason


async def test_an_address_that_is_none_is_refused_at_once(twilio_at: Maker) -> None:
    with pytest.raises(ValueError, match="api_url"):
        twilio_at("ftp://api.twilio.com")
