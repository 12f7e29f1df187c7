"""The generic sandbox, served on loopback, with a client and an inbox for its webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx
import trio
from attrs import define

from reminderd.providers.base import json_object
from reminderd.sandbox.behaviors import example_number
from reminderd.sandbox.generic import Sandbox
from reminderd.sandbox.switchboard import serve_sandbox
from tests.support.hostile_provider import HostileProvider, ReceivedRequest, Script, answering, hostile
from tests.support.waiting import PATIENCE

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PACE = 0.005
ACCEPTED = answering(204)


@define
class ServedSandbox:
    sandbox: Sandbox
    client: httpx.AsyncClient
    inbox: HostileProvider
    orders: int = 0

    async def place(self, behavior: str, *, key: str | None = None, reminder_id: str = "r-1") -> httpx.Response:
        """Request a call, by default with a new key."""
        self.orders += 1
        key = key or f"key-{self.orders}"
        order = {
            "phone_number": example_number(behavior),
            "message": "Your appointment is at nine.",
            "metadata": {"reminder_id": reminder_id, "attempt_id": key},
        }
        return await self.client.post("/calls", json=order, headers={"Idempotency-Key": key})

    async def statuses(self, count: int) -> list[str]:
        """Return the statuses of the first `count` webhooks, sorted, as their order may vary."""
        return sorted(status_of(webhook) for webhook in await self.inbox.heard(count))

    async def webhook(self, status: str) -> ReceivedRequest:
        """Return the first webhook with this status, as soon as it arrives."""
        count = 1
        while True:
            for webhook in await self.inbox.heard(count):
                if status_of(webhook) == status:
                    return webhook
            count = len(self.inbox.requests) + 1


def status_of(webhook: ReceivedRequest) -> str:
    return str(json_object(webhook.body)["status"])


@asynccontextmanager
async def a_generic_sandbox(*scripts: Script, pace: float = PACE) -> AsyncIterator[ServedSandbox]:
    """Serve the generic sandbox; `scripts` are the inbox's answers in turn, by default acceptance."""
    async with hostile(*(scripts or (ACCEPTED,))) as inbox, trio.open_nursery() as nursery:
        sandbox = Sandbox(inbox.url, SECRET, "key", pace=pace)
        url = await nursery.start(partial(serve_sandbox, sandbox))
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": "Bearer key"}, trust_env=False, timeout=PATIENCE
        ) as client:
            yield ServedSandbox(sandbox, client, inbox)
        nursery.cancel_scope.cancel()
