"""The clinic's own system speaks to the real program."""

from typing import Any

import httpx

from reminderd.core.model import Status
from tests.support.api import TOKEN
from tests.support.clinic import Clinic
from tests.support.generic_server import send, webhook
from tests.support.program import running

ENVIRONMENT = {"REMINDERD__API__TOKEN": TOKEN}
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def a_reminder(**changes: Any) -> dict[str, Any]:
    usual = {"phone_number": "+12025550147", "message": "Tomorrow at nine.", "scheduled_at": "2020-01-01T10:00Z"}
    return usual | {"expires_at": "2099-01-01T10:00Z", "ref": "a-1"} | changes


async def hand_in(clinic: Clinic, url: str, body: Any) -> httpx.Response:
    return await clinic.client.post(f"{url}/api/reminders", json=body, headers=HEADERS)


async def test_a_reminder_from_the_api_is_called_and_its_state_can_be_read(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder, env=ENVIRONMENT) as program:
        url = await program.url()
        stored = (await hand_in(clinic, url, a_reminder())).json()
        [ring] = await clinic.provider.rang(1)
        assert (ring.reminder_id, ring.phone_number) == (stored["id"], "+12025550147")
        await clinic.until(stored["id"], "processing")
        await send(clinic.client, url, webhook(ring))
        seen = (await clinic.client.get(f"{url}/api/reminders/a-1", headers=HEADERS)).json()
        assert (seen["status"], [call["status"] for call in seen["calls"]]) == ("called", ["completed"])


async def test_a_reminder_answered_with_201_survives_a_kill_and_repeating_it_changes_nothing(
    clinic: Clinic,
) -> None:
    later = a_reminder(scheduled_at="2098-01-01T10:00Z")
    async with running("run", cwd=clinic.folder, env=ENVIRONMENT) as program:
        stored = await hand_in(clinic, await program.url(), later)
        assert stored.status_code == 201
        await program.kill()
    assert clinic.reminder(stored.json()["id"]).status is Status.SCHEDULED
    async with running("run", cwd=clinic.folder, env=ENVIRONMENT) as program:
        url = await program.url()
        again = await hand_in(clinic, url, later)
        assert (again.status_code, again.json()) == (200, stored.json())
        gone = await clinic.client.delete(f"{url}/api/reminders/a-1", headers=HEADERS)
        assert gone.json()["status"] == "cancelled"
    assert clinic.provider.requests == []


async def test_without_a_token_in_the_configuration_there_is_no_api(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        assert (await hand_in(clinic, url, a_reminder())).status_code == 404
        assert (await clinic.client.get(f"{url}/api/openapi.json")).status_code == 404


async def test_wrong_tokens_are_throttled_by_the_address_from_the_local_proxy(clinic: Clinic) -> None:
    proxies = ENVIRONMENT | {"REMINDERD__WEB__TRUSTED_PROXIES": "127.0.0.1"}
    async with running("run", cwd=clinic.folder, env=proxies) as program:
        url = await program.url()

        async def guess(client: str) -> int:
            headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": f"203.0.113.9, {client}"}
            return (await clinic.client.get(f"{url}/api/reminders/a-1", headers=headers)).status_code

        assert [await guess("198.51.100.7") for _ in range(4)] == [401] * 4
        assert await guess("198.51.100.8") == 401
        await program.line(r"a wrong token of the API from 198\.51\.100\.7; answered after 0\.5 s")
        assert await program.terminate() == 0
        assert sum("a wrong token" in line for line in program.lines) == 1
