"""What Twilio says of the account and its number, asked by reading only."""

from collections.abc import Callable
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from reminderd.providers.twilio.client import TwilioProvider
from reminderd.sandbox.switchboard import serve_sandbox
from reminderd.sandbox.twilio.rest_api import TwilioSandbox
from tests.support.hostile_provider import Script, answering, cut, hang, hear, hostile, nobody_listens
from tests.support.twilio_rest import ACCOUNT_PATH, error, says
from tests.support.twilio_sandbox import ACCOUNT, FROM, TOKEN

Maker = Callable[..., TwilioProvider]

ACTIVE = says(200, {"sid": ACCOUNT, "status": "active", "type": "Full"})
NOT_OURS = "from_number is not this account's; expected one bought at Twilio, or verified there"
MUTE = "from_number can't make calls; expected a number with the capability voice"
NONE_BOUGHT = says(200, {"incoming_phone_numbers": []})
NONE_VERIFIED = says(200, {"outgoing_caller_ids": []})
VERIFIED = says(200, {"outgoing_caller_ids": [{"phone_number": FROM}]})


def bought(**capabilities: object) -> Script:
    return says(200, {"incoming_phone_numbers": [{"phone_number": FROM, "capabilities": capabilities}]})


BOUGHT = bought(voice=True, sms=False)


async def mistakes(twilio_at: Maker, *scripts: Script) -> list[str]:
    async with hostile(*scripts) as server:
        found = await twilio_at(server.url).check_account()
    assert {request.method for request in server.requests} == {"GET"}
    return found


@pytest.mark.parametrize(
    ("scripts", "expected"),
    [
        pytest.param([ACTIVE, BOUGHT], [], id="bought"),
        pytest.param([ACTIVE, NONE_BOUGHT, VERIFIED], [], id="verified"),
        pytest.param([ACTIVE, NONE_BOUGHT, NONE_VERIFIED], [NOT_OURS], id="neither"),
        pytest.param([ACTIVE, bought(voice=False, sms=True)], [MUTE], id="for texts only"),
        pytest.param([ACTIVE, bought(voice="true")], [MUTE], id="a capability that is none"),
        pytest.param(
            [says(200, {"status": "suspended"}), BOUGHT], ["the account is suspended; expected active"], id="suspended"
        ),
        pytest.param(
            [says(200, {"status": "closed"}), NONE_BOUGHT, NONE_VERIFIED],
            ["the account is closed; expected active", NOT_OURS],
            id="every mistake at once",
        ),
        pytest.param(
            [error(401, 20003, "Authenticate")],
            ["the account can't be read: 401 Unauthorized: 20003; Authenticate"],
            id="wrong token",
        ),
        pytest.param([error(404, 20404)], ["the account can't be read: there is no such account_sid"], id="no account"),
        pytest.param(
            [ACTIVE, error(500, 20500)],
            ["the account's numbers can't be read: 500 Internal Server Error: 20500; No."],
            id="an error about the numbers",
        ),
        pytest.param(
            [ACTIVE, NONE_BOUGHT, answering(503)],
            ["the account's verified numbers can't be read: 503 Service Unavailable"],
            id="an error about the verified numbers",
        ),
    ],
)
async def test_each_account_error_is_a_sentence(scripts: list[Script], expected: list[str], twilio_at: Maker) -> None:
    assert await mistakes(twilio_at, *scripts) == expected


@pytest.mark.parametrize(
    "script",
    [
        pytest.param((hear, cut), id="cut"),
        pytest.param((hear, hang), id="silence"),
        pytest.param(answering(200, b"<html>"), id="a web page"),
        pytest.param(answering(302, Location="/"), id="302"),
        pytest.param(answering(200, b"[]"), id="a list"),
    ],
)
async def test_without_a_valid_answer_nothing_else_is_requested(
    idle_clock: MockClock, script: Script, twilio_at: Maker
) -> None:
    (mistake,) = await mistakes(twilio_at, script)
    assert mistake.startswith("the account can't be read: ")
    assert idle_clock.current_time() < 6


async def test_an_unreachable_twilio_is_an_error(twilio_at: Maker) -> None:
    with nobody_listens() as url:
        (mistake,) = await twilio_at(url).check_account()
    assert "could not connect" in mistake


async def test_only_the_calling_number_is_requested(twilio_at: Maker) -> None:
    async with hostile(ACTIVE, NONE_BOUGHT, NONE_VERIFIED) as server:
        await twilio_at(server.url).check_account()
    assert [request.target for request in server.requests] == [
        f"{ACCOUNT_PATH}.json",
        f"{ACCOUNT_PATH}/IncomingPhoneNumbers.json?PhoneNumber=%2B12025550190",
        f"{ACCOUNT_PATH}/OutgoingCallerIds.json?PhoneNumber=%2B12025550190",
    ]


@pytest.mark.parametrize(
    ("account", "expected"),
    [
        ({}, []),
        ({"from_number": "+12025550123"}, [NOT_OURS]),
        ({"auth_token": "wrong"}, ["the account can't be read: 401 Unauthorized: 20003; Authenticate"]),
    ],
)
async def test_the_sandboxs_account_is_checked_like_any_other(
    account: dict[str, str], expected: list[str], twilio_at: Maker
) -> None:
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve_sandbox, TwilioSandbox(ACCOUNT, TOKEN)))
        assert await twilio_at(url, **account).check_account() == expected
        nursery.cancel_scope.cancel()
