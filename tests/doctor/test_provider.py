from typing import Any

import pytest
from attrs import evolve

from reminderd.config import Config, with_provider
from reminderd.core.diagnosis import Finding, Mark
from reminderd.doctor.connections import check_provider
from reminderd.providers.twilio.settings import TwilioSettings
from tests.doctor.conftest import generic
from tests.support.generic_server import KEY
from tests.support.hostile_provider import answering, hang, hear, hostile, nobody_listens
from tests.support.twilio_rest import error, says
from tests.support.twilio_sandbox import ACCOUNT, FROM, TOKEN


def twilio(url: str) -> Config:
    section = TwilioSettings(account_sid=ACCOUNT, auth_token=TOKEN, from_number=FROM, api_url=url)
    return with_provider(Config(), section)


async def looked(config: Config, *, seconds: float = 10) -> list[tuple[Mark, str]]:
    found: list[Finding] = await check_provider(config, seconds=seconds)
    assert {finding.about for finding in found} == {"provider"}
    return [(finding.mark, finding.text) for finding in found]


async def test_the_sandbox_is_not_asked() -> None:
    ((mark, _),) = await looked(Config())
    assert mark is Mark.UNKNOWN


async def test_a_generic_provider_that_accepts_the_key_is_good() -> None:
    async with hostile(answering(404)) as server:
        ((mark, _),) = await looked(generic(api_url=server.url))
    assert mark is Mark.GOOD
    assert {request.method for request in server.requests} == {"GET"}, "no call is placed"


async def test_a_generic_provider_that_refuses_the_key_is_an_error_without_the_key() -> None:
    async with hostile(answering(401, f'{{"error": "who is {KEY}?"}}'.encode())) as server:
        ((mark, says),) = await looked(generic(api_url=server.url))
    assert mark is Mark.WRONG
    assert "401" in says
    assert KEY not in says


async def test_an_unreachable_provider_is_an_error() -> None:
    with nobody_listens() as url:
        assert [mark for mark, _ in await looked(generic(api_url=url))] == [Mark.WRONG]


@pytest.mark.parametrize("config", [generic(api_url="http://xn--/"), twilio("http://xn--/")])
async def test_an_invalid_url_is_an_error(config: Config) -> None:
    assert await looked(config) == [(Mark.WRONG, "it can't be asked: api_url: not a URL")]


@pytest.mark.parametrize("config", [generic(), twilio("http://127.0.0.1:9")])
async def test_a_provider_that_does_not_answer_is_not_waited_for_long(config: Config) -> None:
    assert config.provider.timeout_seconds == 20
    async with hostile((hear, hang)) as server:
        section: Any = config.provider.settings
        there = with_provider(config, evolve(section, api_url=server.url))
        ((mark, says),) = await looked(there, seconds=1)
    assert mark is Mark.WRONG
    assert "within 1 s" in says


async def test_twilios_account_and_number_are_checked_by_reading_only() -> None:
    active = says(200, {"status": "active"})
    bought = says(200, {"incoming_phone_numbers": [{"capabilities": {"voice": True}}]})
    async with hostile(active, bought) as server:
        assert await looked(twilio(server.url)) == [
            (Mark.GOOD, "Twilio knows the account, and the number may make calls")
        ]
    assert {request.method for request in server.requests} == {"GET"}, "no call is placed"


async def test_each_error_of_the_twilio_account_has_its_own_line() -> None:
    suspended, none = says(200, {"status": "suspended"}), says(200, {})
    async with hostile(suspended, none, none) as server:
        assert [mark for mark, _ in await looked(twilio(server.url))] == [Mark.WRONG, Mark.WRONG]
    async with hostile(error(401, 20003, f"Authenticate, {TOKEN}")) as server:
        ((mark, words),) = await looked(twilio(server.url))
    assert mark is Mark.WRONG
    assert TOKEN not in words
