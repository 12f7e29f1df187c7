"""What `check-config --online` reads at Twilio."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from reminderd.providers.twilio.account import mistakes_in
from reminderd.providers.twilio.client import TwilioProvider
from tests.support.hostile_provider import Script, answering, hostile, nobody_listens

Maker = Callable[..., TwilioProvider]

ACTIVE = {"status": "active", "type": "Full"}
VOICE = {"incoming_phone_numbers": [{"phone_number": "+12025550190", "capabilities": {"voice": True, "sms": False}}]}
NO_VOICE = {"incoming_phone_numbers": [{"phone_number": "+12025550190", "capabilities": {"voice": False}}]}
NOT_BOUGHT: dict[str, Any] = {"incoming_phone_numbers": []}
VERIFIED = {"outgoing_caller_ids": [{"phone_number": "+12025550190"}]}
NOT_VERIFIED: dict[str, Any] = {"outgoing_caller_ids": []}


def told(document: dict[str, Any]) -> Script:
    return answering(200, json.dumps(document).encode())


async def mistakes(twilio_at: Maker, *scripts: Script) -> list[str]:
    async with hostile(*scripts) as server:
        found = await mistakes_in(twilio_at(server.url).api)
        assert {request.method for request in server.requests} == {"GET"}, "it must change nothing"
        return found


@pytest.mark.parametrize("number", [[VOICE], [NOT_BOUGHT, VERIFIED]], ids=["bought", "verified"])
async def test_an_active_account_with_a_number_of_its_own_is_fine(
    number: list[dict[str, Any]], twilio_at: Maker
) -> None:
    assert await mistakes(twilio_at, told(ACTIVE), *map(told, number)) == []


async def test_it_asks_for_the_account_and_for_that_number(twilio_at: Maker) -> None:
    async with hostile(told(ACTIVE), told(NOT_BOUGHT), told(VERIFIED)) as server:
        await mistakes_in(twilio_at(server.url).api)
    base = f"/2010-04-01/Accounts/AC{0:032}"
    assert [request.target for request in server.requests] == [
        f"{base}.json",
        f"{base}/IncomingPhoneNumbers.json?PhoneNumber=%2B12025550190",
        f"{base}/OutgoingCallerIds.json?PhoneNumber=%2B12025550190",
    ]


@pytest.mark.parametrize(
    ("scripts", "words"),
    [
        ([told({"status": "suspended"}), told(VOICE)], ["the account is suspended; expected active"]),
        ([told(ACTIVE), told(NO_VOICE)], ["from_number can't make calls"]),
        ([told(ACTIVE), told(NOT_BOUGHT), told(NOT_VERIFIED)], ["from_number is not this account's"]),
        ([told({"status": "closed"}), told(NOT_BOUGHT), told(NOT_VERIFIED)], ["closed", "is not this account's"]),
        ([answering(401, b'{"code": 20003}')], ["the account can't be read: 401 Unauthorized: 20003"]),
        ([answering(404)], ["there is no such account_sid"]),
        ([told(ACTIVE), answering(500)], ["the account's numbers can't be read: 500"]),
        ([told(ACTIVE), told(NOT_BOUGHT), answering(500)], ["verified numbers can't be read: 500"]),
    ],
)
async def test_each_mistake_is_a_sentence(scripts: list[Script], words: list[str], twilio_at: Maker) -> None:
    found = await mistakes(twilio_at, *scripts)
    assert len(found) == len(words)
    for sentence, expected in zip(found, words, strict=True):
        assert expected in sentence


async def test_no_way_to_twilio_is_one_mistake(twilio_at: Maker) -> None:
    with nobody_listens() as url:
        (sentence,) = await mistakes_in(twilio_at(url).api)
    assert "could not connect" in sentence
