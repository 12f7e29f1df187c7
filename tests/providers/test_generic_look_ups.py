"""What a look-up proves, over real sockets."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from trio.testing import MockClock

from reminderd.core.answers import Found, LookUpAnswer, NoAnswer, NotFound, Report
from reminderd.providers.base import Placement
from reminderd.providers.generic.client import GenericProvider
from tests.support.builders import NOW
from tests.support.hostile_provider import Script, answer, answering, cut, hang, hear, hostile, nobody_listens, say

PLACEMENT = Placement(
    call_id="attempt/1", reminder_id="r-1", phone_number="+12025550100", message="Hello", asked_from=NOW
)
OURS = {"call_id": "c-1", "status": "ringing", "metadata": {"attempt_id": "attempt/1", "reminder_id": "r-1"}}
THEIRS = {"call_id": "c-9", "status": "completed", "metadata": {"attempt_id": "somebody else's"}}
WITHOUT_METADATA = {"call_id": "c-1", "status": "ringing"}
FOUND = Found(Report(external_call_id="c-1", status="ringing", reminder_id="r-1", attempt_id="attempt/1"))

Maker = Callable[..., GenericProvider]


async def found(script: Script, provider_at: Maker, **changes: Any) -> LookUpAnswer:
    async with hostile(script) as server:
        return await provider_at(server.url, **changes).find(PLACEMENT)


async def fetched(script: Script, provider_at: Maker, **changes: Any) -> LookUpAnswer:
    async with hostile(script) as server:
        return await provider_at(server.url, **changes).fetch("c-1")


def listing(*calls: object) -> Script:
    return answering(200, json.dumps({"calls": calls}).encode())


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param(listing(OURS), FOUND, id="ours alone"),
        pytest.param(listing(THEIRS, OURS), FOUND, id="ours among others"),
        pytest.param(listing(WITHOUT_METADATA | {"call_id": "c-7"}, OURS), FOUND, id="ours among the nameless"),
        pytest.param(listing({**OURS, "status": "initiated"}, OURS), FOUND, id="ours twice, the last word counts"),
        pytest.param(listing(), NotFound(), id="an empty list"),
    ],
)
async def test_a_call_is_found_in_a_list_by_our_id(script: Script, expected: LookUpAnswer, provider_at: Maker) -> None:
    assert await found(script, provider_at) == expected


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(listing(OURS, {**OURS, "call_id": "c-2"}), id="two calls are ours"),
        pytest.param(listing(THEIRS), id="only others: the filter was ignored"),
        pytest.param(listing(WITHOUT_METADATA), id="no metadata echoed"),
        pytest.param(listing({**OURS, "call_id": ""}), id="ours without an id"),
        pytest.param(listing({**OURS, "status": None}), id="ours without a status"),
        pytest.param(listing(OURS, {**OURS, "call_id": 7}), id="ours, and ours again but broken"),
        pytest.param(listing("c-1", None, 7), id="not calls"),
        pytest.param(answering(200, b'{"calls": {}}'), id="not a list"),
        pytest.param(answering(200, b"{}"), id="no list"),
        pytest.param(answering(200, b"[]"), id="not an object"),
        pytest.param(answering(200, b""), id="nothing"),
        pytest.param(answering(404), id="404"),
        pytest.param(answering(401), id="401"),
        pytest.param(answering(302, Location="/"), id="302"),
        pytest.param(answering(429, Retry_After="5"), id="429"),
        pytest.param(answering(500), id="500"),
        pytest.param((hear, say(answer(200, b'{"calls": []}')[:-2])), id="broken off"),
        pytest.param((hear, cut), id="cut"),
    ],
)
async def test_an_ambiguous_list_proves_nothing(script: Script, provider_at: Maker) -> None:
    finding = await found(script, provider_at)
    assert isinstance(finding, NoAnswer)
    assert finding.reason


async def test_a_look_up_that_hangs_ends_in_time_and_proves_nothing(idle_clock: MockClock, provider_at: Maker) -> None:
    assert isinstance(await found((hear, hang), provider_at, timeout=timedelta(seconds=0.3)), NoAnswer)
    assert idle_clock.current_time() < 1


async def test_a_provider_that_is_down_proves_nothing(provider_at: Maker) -> None:
    with nobody_listens() as url:
        assert isinstance(await provider_at(url).find(PLACEMENT), NoAnswer)


async def test_a_fetched_call_has_its_whole_report(provider_at: Maker) -> None:
    call = {"call_id": "c-1", "status": "COMPLETED", "transcript": "Yes.", "duration": 11.6, "answered_by": "human"}
    assert await fetched(answering(200, json.dumps(call).encode()), provider_at) == Found(
        Report(external_call_id="c-1", status="completed", transcript="Yes.", duration_seconds=12, answered_by="human")
    )


async def test_a_404_for_the_providers_id_means_not_found(provider_at: Maker) -> None:
    assert await fetched(answering(404), provider_at) == NotFound()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answering(200, json.dumps(THEIRS).encode()), id="another call"),
        pytest.param(answering(200, b'{"call_id": "c-1"}'), id="no status"),
        pytest.param(answering(200, b'{"call_id": "c-1", "status": "busy", "duration": "12"}'), id="wrong type"),
        pytest.param(answering(410), id="410"),
        pytest.param(answering(503), id="503"),
    ],
)
async def test_an_answer_that_does_not_match_the_call_proves_nothing(script: Script, provider_at: Maker) -> None:
    assert isinstance(await fetched(script, provider_at), NoAnswer)


async def test_requests_have_escaped_ids_and_the_key(provider_at: Maker) -> None:
    async with hostile(answering(404)) as server:
        provider = provider_at(server.url + "/v1")
        await provider.fetch("a/../b?c=d#é")
        await provider.find(PLACEMENT)
    one, several = server.requests
    assert (one.method, one.target) == ("GET", "/v1/calls/a%2F..%2Fb%3Fc%3Dd%23%C3%A9")
    assert (several.method, several.target) == ("GET", "/v1/calls?attempt_id=attempt%2F1")
    assert one.headers["authorization"] == several.headers["authorization"] == "Bearer key-of-the-clinic"


async def test_a_provider_without_look_up_is_not_asked(provider_at: Maker) -> None:
    async with hostile(listing(OURS)) as server:
        provider = provider_at(server.url, look_up=False)
        assert isinstance(await provider.fetch("c-1"), NoAnswer)
        assert isinstance(await provider.find(PLACEMENT), NoAnswer)
    assert server.connections == 0


@pytest.mark.parametrize("status", [200, 204, 400, 404, 405, 429, 501])
async def test_a_provider_that_answers_without_refusing_the_key_is_good(status: int, provider_at: Maker) -> None:
    async with hostile(answering(status)) as server:
        assert await provider_at(server.url, look_up=False).check_account() == []
    (request,) = server.requests
    assert (request.method, request.target[:7], len(request.target)) == ("GET", "/calls/", 43)


@pytest.mark.parametrize("status", [301, 302, 401, 402, 403])
async def test_a_provider_that_refuses_the_key_is_an_error_with_the_reason(status: int, provider_at: Maker) -> None:
    script = answering(status, b'{"error": "the key key-of-the-clinic is unknown"}', Location="/")
    async with hostile(script) as server:
        (mistake,) = await provider_at(server.url).check_account()
    assert mistake.startswith(f"the provider refuses us: {status} ")
    assert mistake.endswith(": the key … is unknown")


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_provider_that_answers_with_5xx_is_an_error(status: int, provider_at: Maker) -> None:
    async with hostile(answering(status)) as server:
        (mistake,) = await provider_at(server.url).check_account()
    assert mistake.startswith(f"the provider is out of order: {status} ")


async def test_an_unreachable_provider_is_an_error(idle_clock: MockClock, provider_at: Maker) -> None:
    with nobody_listens() as url:
        (mistake,) = await provider_at(url).check_account()
    assert "could not connect" in mistake
    async with hostile((hear, hang)) as server:
        (mistake,) = await provider_at(server.url, timeout=timedelta(seconds=0.3)).check_account()
    assert mistake == "the provider can't be reached: no answer within 0.3 s"
    assert idle_clock.current_time() < 1
