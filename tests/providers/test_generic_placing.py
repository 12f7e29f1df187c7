"""Every row of the table of answers to `POST /calls`, over real sockets."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

from reminderd.core.answers import Accepted, AccountRefused, NotPlaced, PlacingAnswer, Refused, Unclear
from reminderd.providers.base import Placement
from reminderd.providers.generic.client import GenericProvider
from reminderd.providers.http import ANSWER_LIMIT
from tests.support.builders import NOW
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
    repeat,
    say,
    say_forever,
)

PLACEMENT = Placement(
    call_id="0b0f4a3e-call",
    reminder_id="reminder-1",
    phone_number="+12025550100",
    message="Hello Mr Miller, your appointment is on Monday at nine.",
    asked_from=NOW,
)
SOON = timedelta(seconds=0.3)

Maker = Callable[..., GenericProvider]


async def answer_to(script: Script, provider_at: Maker, **changes: Any) -> PlacingAnswer:
    async with hostile(script) as server:
        return await provider_at(server.url, **changes).place(PLACEMENT)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(answering(201, b'{"call_id": "c-1"}'), Accepted("c-1"), id="created"),
        pytest.param(
            answering(200, b'{"call_id": "c-1", "status": "In_Progress"}'), Accepted("c-1", "in-progress"), id="ok"
        ),
        pytest.param(answering(202, b'{"call_id": "c-1", "status": 7}'), Accepted("c-1"), id="status not text"),
        pytest.param(answering(200, b'{"call_id": "c-1", "status": " "}'), Accepted("c-1"), id="status blank"),
        pytest.param(answering(200, b'\xef\xbb\xbf{"call_id": "c-1"}'), Accepted("c-1"), id="byte order mark"),
        pytest.param(
            (hear, drip(answer(200, b'{"call_id": "c-1"}')[:30]), say(answer(200, b'{"call_id": "c-1"}')[30:])),
            Accepted("c-1"),
            id="slow but in time",
        ),
        pytest.param(
            (hear, say(b"HTTP/1.1 100 Continue\r\n\r\n"), say(answer(201, b'{"call_id": "c-1"}'))),
            Accepted("c-1"),
            id="after a 100",
        ),
    ],
)
async def test_a_2xx_with_a_call_id_is_accepted(script: Script, expected: PlacingAnswer, provider_at: Maker) -> None:
    assert await answer_to(script, provider_at) == expected


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="no call_id"),
        pytest.param(b'{"call_id": null}', id="null"),
        pytest.param(b'{"call_id": ""}', id="empty id"),
        pytest.param(b'{"call_id": 7}', id="a number"),
        pytest.param(b'{"call_id": ["c-1"]}', id="a list"),
        pytest.param(b'{"call_id": "%s"}' % (b"c" * 201), id="201 characters"),
        pytest.param(b'{"call_id": "c\\u0000"}', id="NUL"),
        pytest.param(b'{"call_id": "c\\n1"}', id="line break"),
        pytest.param(b'{"call_id": "c\\ud800"}', id="lone surrogate"),
        pytest.param(b'["c-1"]', id="not an object"),
        pytest.param(b"<html>It works!</html>", id="a web page"),
        pytest.param(b'{"call_id": "c-1"', id="broken JSON"),
        pytest.param(b'{"call_id": "c-\xff"}', id="not UTF-8"),
        pytest.param(b'{"call_id": "c-1", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="deep brackets"),
        pytest.param(b'{"call_id": "c-1", "x": ' + b"9" * 10_000 + b"}", id="endless number"),
        pytest.param(b'{"call_id": "c-1", "x": "' + b"x" * ANSWER_LIMIT + b'"}', id="too long"),
    ],
)
async def test_a_2xx_without_a_usable_call_id_is_unclear(body: bytes, provider_at: Maker) -> None:
    assert isinstance(await answer_to(answering(200, body), provider_at), Unclear)


@pytest.mark.parametrize("status", [400, 406, 410, 415, 422, 451, 499])
async def test_other_4xx_are_permanent_refusals(status: int, provider_at: Maker) -> None:
    said = await answer_to(answering(status, b'{"error": "no such number"}'), provider_at)
    assert isinstance(said, Refused)
    assert said.reason.startswith(str(status))
    assert said.reason.endswith(": no such number")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 401, 402, 404, 405])
async def test_refusals_of_the_key_or_url_are_account_errors(status: int, provider_at: Maker) -> None:
    async with hostile(answering(200, b'{"call_id": "c-1"}')) as elsewhere:
        script = answering(status, b'{"error": "not you"}', Location=f"{elsewhere.url}/calls")
        assert isinstance(await answer_to(script, provider_at), AccountRefused)
        assert elsewhere.connections == 0, "a redirect was followed"


async def test_a_403_is_first_taken_as_a_refusal_of_this_number(provider_at: Maker) -> None:
    said = await answer_to(answering(403, b'{"error": "not this number"}'), provider_at)
    assert said == NotPlaced("403 Forbidden: not this number", number_refused=True)


async def test_a_redirect_to_an_invalid_url_is_an_account_error(provider_at: Maker) -> None:
    assert isinstance(await answer_to(answering(302, Location="http://[::1"), provider_at), AccountRefused)


@pytest.mark.parametrize("status", [408, 409, 500, 501, 502, 503, 504, 599, 600, 999])
async def test_a_call_that_may_have_been_placed_is_unclear(status: int, provider_at: Maker) -> None:
    assert isinstance(await answer_to(answering(status, b'{"error": "oh"}'), provider_at), Unclear)


async def test_429_asks_for_a_pause_of_everything(provider_at: Maker) -> None:
    said = await answer_to(answering(429, Retry_After="30"), provider_at)
    assert said == NotPlaced("429 Too Many Requests", timedelta(seconds=30), rate_limited=True)


async def test_429_without_retry_after_was_not_placed(provider_at: Maker) -> None:
    assert await answer_to(answering(429), provider_at) == NotPlaced("429 Too Many Requests", rate_limited=True)


async def test_503_with_retry_after_was_not_placed(provider_at: Maker) -> None:
    said = await answer_to(answering(503, b'{"error": "maintenance"}', Retry_After="7"), provider_at)
    assert said == NotPlaced("503 Service Unavailable: maintenance", timedelta(seconds=7))


@pytest.mark.parametrize("body", [b'{"error": "Service unavailable."}', b"service unavailable"])
async def test_a_reason_does_not_repeat_the_phrase_of_the_status(body: bytes, provider_at: Maker) -> None:
    said = await answer_to(answering(503, body, Retry_After="7"), provider_at)
    assert said == NotPlaced("503 Service Unavailable", timedelta(seconds=7))


async def test_503_with_an_invalid_retry_after_is_unclear(provider_at: Maker) -> None:
    assert isinstance(await answer_to(answering(503, Retry_After="soon"), provider_at), Unclear)


async def test_a_retry_after_date_is_counted_from_our_own_clock(provider_at: Maker) -> None:
    class Noon:
        def now(self) -> datetime:
            return datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

        def monotonic(self) -> float:
            return 0.0

    async with hostile(answering(503, Retry_After="Mon, 02 Mar 2026 12:01:30 GMT")) as server:
        said = await provider_at(server.url, clock=Noon()).place(PLACEMENT)
    assert isinstance(said, NotPlaced)
    assert said.retry_after == timedelta(seconds=90)


async def test_outside_2xx_the_status_of_a_truncated_answer_counts(provider_at: Maker) -> None:
    broken = answer(422, b'{"error": "no such number"}')[:-10]
    assert isinstance(await answer_to((hear, say(broken), cut), provider_at), Refused)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param((cut,), id="reset before reading"),
        pytest.param((hear, cut), id="reset after reading"),
        pytest.param((hear,), id="closed after reading"),
        pytest.param((hear, say(b"HTTP/1.1 200 OK\r\nContent-Le"), cut), id="reset within the head"),
        pytest.param((hear, say(answer(200, b'{"call_id": "c-1"}')[:-3])), id="closed within the body"),
        pytest.param((hear, say(answer(200, b'{"call_id": "c-1"}')[:-3]), cut), id="reset within the body"),
        pytest.param((hear, say(b"SSH-2.0-OpenSSH_9.6\r\n")), id="another protocol"),
        pytest.param((hear, say(b"\x00\xff\x13garbage")), id="garbage"),
        pytest.param((hear, say(b"HTTP/1.1 2OO OK\r\n\r\n")), id="a status that is none"),
        pytest.param((hear, say(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n")), id="negative length"),
        pytest.param(
            (hear, say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n")), id="chunks that are none"
        ),
        pytest.param((hear, say(b"HTTP/1.1 200 OK\r\n"), say_forever(b"X-More: x\r\n")), id="endless headers"),
        pytest.param((hear, say(b"HTTP/1.1 200 OK\r\n\r\n"), say_forever(b"x" * 10_000)), id="endless body"),
        pytest.param(
            (hear, say(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")),
            id="another protocol, politely",
        ),
        pytest.param(
            (hear, say(answer(200, b"\x1f\x8b\x08garbage", Content_Encoding="gzip"))), id="compressed, unasked"
        ),
    ],
)
async def test_a_connection_that_breaks_after_sending_is_unclear(script: Script, provider_at: Maker) -> None:
    said = await answer_to(script, provider_at)
    assert isinstance(said, Unclear)
    assert said.reason


@pytest.mark.parametrize(
    "script",
    [
        pytest.param((hang,), id="before reading"),
        pytest.param((hear, hang), id="after reading"),
        pytest.param((hear, say(b"HTTP/1.1 200 OK\r\n"), hang), id="within the head"),
        pytest.param((hear, say(answer(200, b'{"call_id": "c-1"}')[:-3]), hang), id="within the body"),
        pytest.param((hear, drip(answer(200, b'{"call_id": "%s"}' % (b"c" * 150)))), id="a byte now and then"),
        pytest.param((hear, repeat(b"HTTP/1.1 100 Continue\r\n\r\n")), id="100 forever"),
    ],
)
async def test_silence_after_sending_is_unclear_and_times_out(
    idle_clock: MockClock, script: Script, provider_at: Maker
) -> None:
    assert isinstance(await answer_to(script, provider_at, timeout=SOON), Unclear)
    assert idle_clock.current_time() < 1


async def test_a_call_is_not_placed_if_the_connection_is_refused(provider_at: Maker) -> None:
    with nobody_listens() as url:
        said = await provider_at(url).place(PLACEMENT)
    assert isinstance(said, NotPlaced)
    assert "could not connect" in said.reason


async def test_a_call_is_not_placed_if_connecting_times_out(idle_clock: MockClock, provider_at: Maker) -> None:
    with no_connection_is_accepted() as url:
        said = await provider_at(url, timeout=SOON).place(PLACEMENT)
    assert said == NotPlaced("no connection within 0.3 s")
    assert idle_clock.current_time() < 1


async def test_a_call_is_not_placed_if_the_host_has_no_address(provider_at: Maker) -> None:
    assert isinstance(await provider_at("http://reminderd.invalid").place(PLACEMENT), NotPlaced)


async def test_a_call_is_not_placed_if_tls_fails(provider_at: Maker) -> None:
    async with hostile((say(b"this is not TLS\r\n"), hang)) as server:
        said = await provider_at(server.url.replace("http:", "https:")).place(PLACEMENT)
    assert isinstance(said, NotPlaced)
    assert said.reason.startswith("could not connect: ")


async def test_a_call_is_not_placed_if_the_tls_handshake_hangs(idle_clock: MockClock, provider_at: Maker) -> None:
    async with hostile((hang,)) as server:
        said = await provider_at(server.url.replace("http:", "https:"), timeout=SOON).place(PLACEMENT)
    assert said == NotPlaced("no connection within 0.3 s")
    assert idle_clock.current_time() < 1


async def test_a_call_is_not_placed_if_no_connection_of_the_pool_is_free(
    idle_clock: MockClock, provider_at: Maker
) -> None:
    async with hostile((hang,)) as server:
        provider = provider_at(server.url, max_connections=1, timeout=SOON)
        provider._http._places.acquire_on_behalf_of_nowait("somebody else")
        assert await provider.place(PLACEMENT) == NotPlaced("no connection within 0.3 s")
    assert server.connections == 0
    assert idle_clock.current_time() < 1


async def test_a_timed_out_request_frees_its_connection(idle_clock: MockClock, provider_at: Maker) -> None:
    async with hostile((hear, hang), answering(201, b'{"call_id": "c-1"}')) as server:
        provider = provider_at(server.url, max_connections=1, timeout=SOON)
        assert isinstance(await provider.place(PLACEMENT), Unclear)
        assert await provider.place(PLACEMENT) == Accepted("c-1")
    assert idle_clock.current_time() < 1


async def test_the_request_matches_the_contract_exactly(provider_at: Maker) -> None:
    async with hostile(answering(201, b'{"call_id": "c-1"}')) as server:
        await provider_at(server.url + "/v1/").place(PLACEMENT)
        (request,) = server.requests
    assert (request.method, request.target) == ("POST", "/v1/calls")
    assert request.headers["authorization"] == "Bearer key-of-the-clinic"
    assert request.headers["idempotency-key"] == "0b0f4a3e-call"
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body) == {
        "phone_number": "+12025550100",
        "message": PLACEMENT.message,
        "metadata": {"reminder_id": "reminder-1", "attempt_id": "0b0f4a3e-call"},
    }


async def test_the_request_has_the_language_of_a_patient_who_has_one(provider_at: Maker) -> None:
    async with hostile(answering(201, b'{"call_id": "c-1"}')) as server:
        await provider_at(server.url).place(evolve(PLACEMENT, language="pt-BR"))
        (request,) = server.requests
    assert json.loads(request.body)["language"] == "pt-BR"


async def test_a_providers_cookies_are_not_kept(provider_at: Maker) -> None:
    script = answering(201, b'{"call_id": "c-1"}', Set_Cookie="track=patient; Path=/")
    async with hostile(script) as server:
        provider = provider_at(server.url)
        await provider.place(PLACEMENT)
        await provider.place(PLACEMENT)
    assert "cookie" not in server.requests[1].headers


async def test_a_connection_is_reused_until_the_provider_closes_it(provider_at: Maker) -> None:
    kept = answer(201, b'{"call_id": "c-1"}').replace(b"Connection: close\r\n", b"")
    async with hostile((hear, say(kept), hear, say(kept)), answering(201, b'{"call_id": "c-2"}')) as server:
        provider = provider_at(server.url)
        assert await provider.place(PLACEMENT) == Accepted("c-1")
        assert await provider.place(PLACEMENT) == Accepted("c-1")
        assert server.connections == 1
        assert await provider.place(PLACEMENT) == Accepted("c-2")


async def test_a_cancelled_request_is_cancelled_and_nothing_is_sent_again(provider_at: Maker) -> None:
    async with hostile((hear, hang)) as server, trio.open_nursery() as nursery:
        nursery.start_soon(provider_at(server.url).place, PLACEMENT)
        await server.heard(1)
        nursery.cancel_scope.cancel()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"api_url": "ftp://host"}, id="scheme"),
        pytest.param({"api_url": "https://"}, id="no host"),
        pytest.param({"api_url": "https://host?key=1"}, id="query"),
        pytest.param({"api_url": "http://[::1"}, id="not a URL"),
        pytest.param({"api_url": f"http://{'a' * 64}.org"}, id="a host that DNS can't spell"),
        pytest.param({"api_key": "two words"}, id="key with a space"),
        pytest.param({"api_key": "line\nbreak"}, id="key with a line break"),
        pytest.param({"api_key": "schlüssel"}, id="key beyond ASCII"),
    ],
)
async def test_settings_that_can_never_work_are_an_error_at_once(changes: dict[str, str], provider_at: Maker) -> None:
    with pytest.raises(ValueError, match=r"URL|query|HTTP header"):
        provider_at("http://127.0.0.1", **changes)


async def test_the_account_is_the_address_without_the_key(provider_at: Maker) -> None:
    provider = provider_at("http://127.0.0.1/voice/")
    assert provider.account == "http://127.0.0.1/voice"
    assert provider_at("http://127.0.0.1/voice/", api_key="another-key").account == provider.account
