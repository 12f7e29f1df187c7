"""Every row of the table of answers to `POST …/Calls.json`, over real sockets."""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from reminderd.core.answers import Accepted, AccountRefused, NotPlaced, PlacingAnswer, Refused, Unclear
from reminderd.providers.http import ANSWER_LIMIT
from reminderd.providers.twilio.client import TwilioProvider
from reminderd.providers.twilio.settings import TwilioSettings
from reminderd.providers.twilio.voice_api import ACCOUNT as ACCOUNT_CODES
from reminderd.providers.twilio.voice_api import BUSY as BUSY_CODES
from reminderd.providers.twilio.voice_api import NUMBER as NUMBER_CODES
from reminderd.providers.twilio.voice_api import NUMBER_FOR_US as NUMBER_FOR_US_CODES
from tests.support.hostile_provider import (
    Script,
    answer,
    answering,
    cut,
    drip,
    hang,
    hear,
    hostile,
    no_connection_is_accepted,
    nobody_listens,
    say,
    say_forever,
)
from tests.support.twilio_rest import ACCOUNT_PATH, PLACEMENT, PUBLIC, SID, TO, a_call, error, form, says
from tests.support.twilio_sandbox import ACCOUNT, FROM, TOKEN

SOON = timedelta(seconds=0.3)

Maker = Callable[..., TwilioProvider]


async def answer_to(script: Script, twilio_at: Maker, **changes: Any) -> PlacingAnswer:
    """Return the answer, and check that there was one request at most."""
    async with hostile(script) as server:
        said = await twilio_at(server.url, **changes).place(PLACEMENT)
    assert server.connections <= 1
    assert len(server.requests) <= 1
    return said


async def test_the_request_matches_twilios_documentation(twilio_at: Maker) -> None:
    async with hostile(says(201, a_call())) as server:
        await twilio_at(server.url + "/").place(PLACEMENT)
        (request,) = server.requests
    assert (request.method, request.target) == ("POST", f"{ACCOUNT_PATH}/Calls.json")
    assert request.headers["authorization"] == f"Basic {b64encode(f'{ACCOUNT}:{TOKEN}'.encode()).decode()}"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert form(request) == [
        ("To", TO),
        ("From", FROM),
        ("Url", f"{PUBLIC}/webhooks/twilio/answer/0b0f4a3e-call"),
        ("Method", "POST"),
        ("FallbackUrl", f"{PUBLIC}/webhooks/twilio/fallback"),
        ("FallbackMethod", "GET"),
        ("StatusCallback", f"{PUBLIC}/webhooks/twilio/status/0b0f4a3e-call"),
        ("StatusCallbackMethod", "POST"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("StatusCallbackEvent", "completed"),
        ("Timeout", "30"),
        ("TimeLimit", "180"),
    ]


async def test_a_call_is_placed_with_the_clinics_settings(twilio_at: Maker) -> None:
    keys = {"ring_seconds": 45, "max_call_seconds": 300, "machine_detection": "DetectMessageEnd"}
    async with hostile(says(201, a_call())) as server:
        await twilio_at(server.url, **keys).place(PLACEMENT)
        fields = dict(form(server.requests[0]))
    assert (fields["Timeout"], fields["TimeLimit"]) == ("45", "300")
    assert fields["MachineDetection"] == "DetectMessageEnd"


async def test_no_url_contains_personal_data_or_the_message(twilio_at: Maker) -> None:
    async with hostile(says(201, a_call())) as server:
        await twilio_at(server.url, public_base_urls=(f"{PUBLIC}/prefix/",)).place(PLACEMENT)
        (request,) = server.requests
    addresses = [request.target, *(value for _, value in form(request) if "://" in value)]
    assert len(addresses) == 4
    for address in addresses:
        assert not any(private in address for private in (TO[1:], PLACEMENT.reminder_id, "Miller"))
    assert all(address.startswith(f"{PUBLIC}/prefix/webhooks/twilio/") for address in addresses[1:])
    assert "Miller" not in request.body.decode()


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(says(201, a_call()), Accepted(SID), id="created"),
        pytest.param(says(200, a_call(status="ringing")), Accepted(SID, "ringing"), id="a status of ours"),
        pytest.param(says(201, a_call(status="completed")), Accepted(SID, "completed"), id="an end so soon"),
        pytest.param(says(201, a_call(status="teleported")), Accepted(SID, "teleported"), id="a status of nobody's"),
        pytest.param(says(201, {"sid": SID}), Accepted(SID), id="no status"),
        pytest.param(says(201, {"sid": SID, "status": 7}), Accepted(SID), id="status not text"),
        pytest.param(answering(201, b'\xef\xbb\xbf{"sid": "CA1"}'), Accepted("CA1"), id="byte order mark"),
        pytest.param(
            (hear, say(b"HTTP/1.1 100 Continue\r\n\r\n"), say(answer(201, b'{"sid": "CA1"}'))),
            Accepted("CA1"),
            id="after a 100",
        ),
    ],
)
async def test_a_2xx_with_a_sid_is_accepted(script: Script, expected: PlacingAnswer, twilio_at: Maker) -> None:
    assert await answer_to(script, twilio_at) == expected


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="no sid"),
        pytest.param(b'{"sid": null}', id="null"),
        pytest.param(b'{"sid": ""}', id="empty sid"),
        pytest.param(b'{"sid": 7}', id="a number"),
        pytest.param(b'{"sid": "%s"}' % (b"C" * 201), id="201 characters"),
        pytest.param(b'{"sid": "CA\\u0000"}', id="NUL"),
        pytest.param(b'{"sid": "CA\\ud800"}', id="lone surrogate"),
        pytest.param(b'["CA1"]', id="not an object"),
        pytest.param(b"<?xml version='1.0'?><TwilioResponse/>", id="XML"),
        pytest.param(b'{"sid": "CA1"', id="broken JSON"),
        pytest.param(b'{"sid": "CA\xff"}', id="not UTF-8"),
        pytest.param(b'{"sid": "CA1", "x": "' + b"x" * ANSWER_LIMIT + b'"}', id="too long"),
    ],
)
async def test_a_201_without_a_usable_sid_is_unclear(body: bytes, twilio_at: Maker) -> None:
    said = await answer_to(answering(201, body), twilio_at)
    assert isinstance(said, Unclear)
    assert said.reason.startswith("201, but ")


@pytest.mark.parametrize("code", sorted(NUMBER_CODES))
async def test_errors_about_the_number_are_refusals(code: int, twilio_at: Maker) -> None:
    assert await answer_to(error(400, code), twilio_at) == Refused(f"400 Bad Request: {code}; No.")


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("code", sorted(NUMBER_FOR_US_CODES))
async def test_an_account_restriction_for_one_number_only_refuses_that_number(
    code: int, status: int, twilio_at: Maker
) -> None:
    said = await answer_to(error(status, code), twilio_at)
    assert isinstance(said, NotPlaced)
    assert said.number_refused
    assert said.reason.endswith(f": {code}; No.")


@pytest.mark.parametrize("code", [13227, 21203, 21215, 21216, 21219])
async def test_a_number_twilio_forbids_us_to_call_is_not_an_account_error(code: int, twilio_at: Maker) -> None:
    said = await answer_to(error(403, code), twilio_at)
    assert said == NotPlaced(f"403 Forbidden: {code}; No.", number_refused=True)


async def test_an_invalid_number_is_refused_without_an_account_error(twilio_at: Maker) -> None:
    for status in (400, 403):
        assert isinstance(await answer_to(error(status, 21211), twilio_at), Refused)


@pytest.mark.parametrize("code", sorted(ACCOUNT_CODES))
async def test_codes_that_concern_every_number_are_account_errors(code: int, twilio_at: Maker) -> None:
    assert await answer_to(error(400, code), twilio_at) == AccountRefused(f"400 Bad Request: {code}; No.")


@pytest.mark.parametrize("code", sorted(BUSY_CODES))
async def test_too_many_simultaneous_calls_were_not_placed_and_pause_everything(code: int, twilio_at: Maker) -> None:
    expected = NotPlaced(f"400 Bad Request: {code}; No.", rate_limited=True)
    assert await answer_to(error(400, code), twilio_at) == expected


def test_each_error_code_is_in_one_class() -> None:
    classes = (NUMBER_CODES, NUMBER_FOR_US_CODES, ACCOUNT_CODES, BUSY_CODES)
    assert len(frozenset[int]().union(*classes)) == sum(map(len, classes))


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(error(400, 29999), "400 Bad Request: 29999; No.", id="a code that nobody knows"),
        pytest.param(
            says(400, {"code": "21210", "message": "No."}), "400 Bad Request: 21210; No.", id="a code as text"
        ),
        pytest.param(says(400, {"message": "No."}), "400 Bad Request: No.", id="no code at all"),
        pytest.param(answering(400, b"<html>"), "400 Bad Request", id="a web page"),
        pytest.param(answering(422, b""), "422 Unprocessable", id="nothing"),
        pytest.param((hear, say(answer(400, b'{"code": 21210}')[:-5]), cut), "400 Bad Request", id="broken off"),
    ],
)
async def test_an_unknown_refusal_counts_against_this_number_first(
    script: Script, expected: str, twilio_at: Maker
) -> None:
    """Only the number differs between two requests: so others show which it is."""
    said = await answer_to(script, twilio_at)
    assert isinstance(said, NotPlaced)
    assert said.number_refused
    assert said.reason.startswith(expected)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(error(401, 20003, "Authenticate"), id="401, wrong token"),
        pytest.param(error(403, 20403), id="403"),
        pytest.param(error(404, 20404), id="404, no such account"),
        pytest.param(error(405, 20004), id="405"),
        pytest.param(answering(401), id="401 without a word"),
        pytest.param(answering(402), id="402"),
        pytest.param(answering(403, b"<html>Cloud wall</html>"), id="403 of something in between"),
        pytest.param(answering(301, Location="https://elsewhere.example/"), id="301"),
        pytest.param(answering(302, Location="http://[::1"), id="302 to nonsense"),
        pytest.param(answering(307, Location="/"), id="307"),
    ],
)
async def test_refusals_of_the_account_or_url_are_account_errors(script: Script, twilio_at: Maker) -> None:
    assert isinstance(await answer_to(script, twilio_at), AccountRefused)


async def test_a_redirect_is_not_followed(twilio_at: Maker) -> None:
    async with hostile(says(201, a_call())) as elsewhere:
        await answer_to(answering(307, Location=f"{elsewhere.url}/"), twilio_at)
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ({}, None),
        ({"Retry_After": "30"}, timedelta(seconds=30)),
        ({"Retry_After": "Mon, 02 Mar 2026 12:01:30 GMT"}, timedelta(seconds=90)),
        ({"Retry_After": "soon"}, None),
    ],
)
async def test_429_was_not_placed_and_pauses_everything(
    header: dict[str, str], wait: timedelta | None, twilio_at: Maker
) -> None:
    class Noon:
        def now(self) -> datetime:
            return datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

        def monotonic(self) -> float:
            return 0.0

    said = await answer_to(error(429, 20429, "Too Many Requests", **header), twilio_at, clock=Noon())
    assert said == NotPlaced("429 Too Many Requests: 20429", wait, rate_limited=True)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(error(500, 20500), id="500"),
        pytest.param(answering(500), id="500 without a word"),
        pytest.param(answering(502), id="502"),
        pytest.param(error(503, 20503), id="503"),
        pytest.param(error(503, 20503, Retry_After="7"), id="503 with a time to come again, which proves nothing"),
        pytest.param(answering(504), id="504"),
        pytest.param(error(500, 20429), id="500, whatever its code says"),
        pytest.param(error(500, 21211), id="500, even of the number"),
        pytest.param(answering(408), id="408"),
        pytest.param(answering(409), id="409"),
        pytest.param(answering(600), id="600"),
    ],
)
async def test_a_call_that_may_have_been_placed_is_unclear(script: Script, twilio_at: Maker) -> None:
    assert isinstance(await answer_to(script, twilio_at), Unclear)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param((cut,), id="reset before reading"),
        pytest.param((hear, cut), id="reset after reading"),
        pytest.param((hear,), id="closed after reading"),
        pytest.param((hear, say(b"HTTP/1.1 201 Created\r\nContent-Le"), cut), id="reset within the head"),
        pytest.param((hear, say(answer(201, b'{"sid": "CA1"}')[:-3])), id="closed within the body"),
        pytest.param((hear, say(answer(201, b'{"sid": "CA1"}')[:-3]), cut), id="reset within the body"),
        pytest.param((hear, say(b"\x00\xff\x13garbage")), id="garbage"),
        pytest.param((hear, say(b"HTTP/1.1 201 OK\r\n\r\n"), say_forever(b"x" * 10_000)), id="endless body"),
        pytest.param(
            (hear, say(answer(201, b"\x1f\x8b\x08garbage", Content_Encoding="gzip"))), id="compressed, unasked"
        ),
    ],
)
async def test_a_connection_that_breaks_after_sending_is_unclear(script: Script, twilio_at: Maker) -> None:
    said = await answer_to(script, twilio_at)
    assert isinstance(said, Unclear)
    assert said.reason


@pytest.mark.parametrize(
    "script",
    [
        pytest.param((hang,), id="before reading"),
        pytest.param((hear, hang), id="after reading"),
        pytest.param((hear, say(answer(201, b'{"sid": "CA1"}')[:-3]), hang), id="within the body"),
        pytest.param((hear, drip(answer(201, b'{"sid": "%s"}' % (b"C" * 150)))), id="a byte now and then"),
    ],
)
async def test_silence_after_sending_is_unclear_and_times_out(
    idle_clock: MockClock, script: Script, twilio_at: Maker
) -> None:
    assert isinstance(await answer_to(script, twilio_at, timeout=SOON), Unclear)
    assert idle_clock.current_time() < 1


async def test_a_call_is_not_placed_if_the_connection_is_refused(twilio_at: Maker) -> None:
    with nobody_listens() as url:
        said = await twilio_at(url).place(PLACEMENT)
    assert isinstance(said, NotPlaced)
    assert (said.rate_limited, "could not connect" in said.reason) == (False, True)


async def test_a_call_is_not_placed_if_connecting_times_out(idle_clock: MockClock, twilio_at: Maker) -> None:
    with no_connection_is_accepted() as url:
        assert await twilio_at(url, timeout=SOON).place(PLACEMENT) == NotPlaced("no connection within 0.3 s")
    assert idle_clock.current_time() < 1


async def test_a_call_is_not_placed_if_the_host_has_no_address(twilio_at: Maker) -> None:
    assert isinstance(await twilio_at("http://reminderd.invalid").place(PLACEMENT), NotPlaced)


async def test_a_call_is_not_placed_if_tls_fails(twilio_at: Maker) -> None:
    async with hostile((say(b"this is not TLS\r\n"), hang)) as server:
        said = await twilio_at(server.url.replace("http:", "https:")).place(PLACEMENT)
    assert isinstance(said, NotPlaced)


async def test_a_cancelled_request_is_cancelled_and_nothing_is_sent_again(twilio_at: Maker) -> None:
    async with hostile((hear, hang)) as server, trio.open_nursery() as nursery:
        nursery.start_soon(twilio_at(server.url).place, PLACEMENT)
        await server.heard(1)
        nursery.cancel_scope.cancel()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "message",
    [
        f"The phone number you are attempting to call, {TO}, is not valid.",
        "Can't call 202-555-0100 or (202) 555 0100",
        f"Token {TOKEN * 3} of {ACCOUNT}: '{PLACEMENT.message}' was not sent",
        f"Not sent: {PLACEMENT.message[:20]}",
    ],
)
async def test_a_reason_keeps_twilios_code_and_text_without_patient_data_or_secrets(
    message: str, twilio_at: Maker
) -> None:
    said = await answer_to(error(400, 21211, message), twilio_at, auth_token=TOKEN * 3)
    assert isinstance(said, Refused)
    assert said.reason.startswith("400 Bad Request: 21211; ")
    for private in (TO[1:], "555", TOKEN * 3, "Miller"):
        assert private not in said.reason


async def test_a_reason_without_the_number_still_explains_the_error(twilio_at: Maker) -> None:
    said = await answer_to(error(400, 21211, f"The phone number, {TO}, is not valid."), twilio_at)
    assert said == Refused("400 Bad Request: 21211; The phone number, …, is not valid.")


@pytest.mark.parametrize(
    "url", ["ftp://host", "https://", "https://host?key=1", "http://[::1", f"http://{'a' * 64}.org"]
)
async def test_an_invalid_api_url_is_an_error_at_once(url: str, twilio_at: Maker) -> None:
    with pytest.raises(ValueError, match=r"URL|query"):
        twilio_at(url)


def test_the_repr_of_the_settings_has_no_secrets() -> None:
    settings = TwilioSettings(account_sid=ACCOUNT, auth_token="t0ken", secondary_auth_token="0ld-t0ken")
    assert ACCOUNT in repr(settings)
    assert "t0ken" not in repr(settings)
