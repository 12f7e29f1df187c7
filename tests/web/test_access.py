"""Wrong tokens of the API wait for their answer; right ones and webhooks never do."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio

from reminderd.core.wrong_tokens import FREE, networks
from reminderd.web.access import MOST_OF_ONE, Throttle
from tests.support.api import Api, an_api
from tests.support.waiting import PATIENCE, until
from tests.support.web_server import PATH, PAYLOAD, SIGNED

A_DAY = 86_400.0
"""Longer than any test: whatever waits so long, waits."""


@pytest.fixture
async def throttle() -> Throttle:
    return Throttle(networks(["127.0.0.1"]), pace=A_DAY)


@pytest.fixture
async def api(tmp_path: Path, throttle: Throttle) -> AsyncIterator[Api]:
    async with an_api(tmp_path, throttle=throttle) as api:
        with trio.fail_after(PATIENCE):
            yield api


async def guess(api: Api, client: str = "198.51.100.7", **more: str) -> httpx.Response:
    headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": client} | more
    return await api.client.get("/api/reminders/r1", headers=headers, timeout=A_DAY)


async def waiting(throttle: Throttle, count: int) -> None:
    await until(lambda: throttle.waiting == count)


async def test_the_answer_to_another_wrong_token_waits_at_most_until_the_stop(api: Api, throttle: Throttle) -> None:
    assert {(await guess(api)).status_code for _ in range(FREE)} == {401}
    answers = []

    async def wait() -> None:
        answers.append(await guess(api))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await waiting(throttle, 1)
        assert answers == []
        throttle.stopping.set()
    assert [answer.status_code for answer in answers] == [401]
    await waiting(throttle, 0)


async def test_throttling_does_not_delay_right_tokens_webhooks_or_other_addresses(api: Api, throttle: Throttle) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(FREE):
            await guess(api)
        for count in range(MOST_OF_ONE):
            nursery.start_soon(guess, api)
            await waiting(throttle, count + 1)
        refused = await guess(api)
        assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
        assert int(refused.headers["retry-after"]) > 0
        right = await api.client.get("/api/reminders/r1", headers={"X-Forwarded-For": "198.51.100.7"})
        assert right.status_code == 404, "no such reminder, but let in"
        webhook = await api.client.post(PATH, content=PAYLOAD, headers=SIGNED | {"X-Forwarded-For": "198.51.100.7"})
        assert webhook.status_code == 200
        forged = await api.client.post(PATH, content=PAYLOAD, headers={"X-Forwarded-For": "198.51.100.7"})
        assert forged.status_code == 401
        assert (await guess(api, client="198.51.100.8")).status_code == 401
        nursery.cancel_scope.cancel()
    await waiting(throttle, 0)


async def test_a_forwarded_address_from_an_untrusted_client_is_ignored(tmp_path: Path) -> None:
    throttle = Throttle(pace=A_DAY)
    async with an_api(tmp_path, throttle=throttle) as api, trio.open_nursery() as nursery:
        for number in range(FREE):
            assert (await guess(api, client=f"198.51.100.{number}")).status_code == 401
        nursery.start_soon(guess, api, "198.51.100.99")
        await waiting(throttle, 1)
        nursery.cancel_scope.cancel()
