"""Sends the sandbox's webhooks: signed after Standard Webhooks, and again until somebody takes them."""

from collections.abc import Callable
from typing import Final

import httpx
import trio
from attrs import frozen
from loguru import logger
from standardwebhooks import Webhook as Signer

from reminderd.clock import Clock
from reminderd.providers.http import Exchange, Unheard

PAUSES: Final = (1, 2, 4, 8, 16)
"""Steps to wait after each try that failed; when the one after the last fails, too, the webhook is given up."""


@frozen(kw_only=True)
class Webhook:
    """One event; its id stays the same however often it is sent."""

    id: str
    body: bytes


@frozen(kw_only=True)
class WebhookSender:
    """Delivers webhooks to one URL."""

    exchange: Exchange
    url: Callable[[], str]
    """Asked each time: it may become known only after the start."""
    signer: Signer
    pace: float
    clock: Clock

    async def deliver(self, webhook: Webhook, *, copies: int = 1) -> None:
        """Send a webhook, `copies` times, each until it is taken; unwanted (410) or given up, it only leaves a line."""
        for _ in range(copies):
            if not await self._delivered(webhook):
                return

    async def _delivered(self, webhook: Webhook) -> bool:
        for pause in (0, *PAUSES):
            await trio.sleep(pause * self.pace)
            match await self._status(webhook):
                case int() as status if 200 <= status < 300:
                    return True
                case 410:
                    return False
        logger.warning("sandbox: webhook {} was taken by nobody and is given up", webhook.id)
        return False

    async def _status(self, webhook: Webhook) -> int | None:
        """The HTTP status of one try, None if there was no answer."""
        now = self.clock.now()
        headers = {
            "Content-Type": "application/json",
            "webhook-id": webhook.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self.signer.sign(webhook.id, now, webhook.body.decode()),
        }
        try:
            outcome = await self.exchange.ask("POST", self.url(), headers=headers, content=webhook.body)
        except httpx.InvalidURL as error:
            outcome = Unheard(reason=str(error), sent=False)
        if isinstance(outcome, Unheard):
            logger.debug("sandbox: webhook {} had no answer: {}", webhook.id, outcome.reason)
            return None
        return outcome.status
