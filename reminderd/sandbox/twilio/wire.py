"""Sends Twilio's webhooks: forms, signed, tried again only where no connection could be made."""

from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import urlencode
from uuid import uuid4

import httpx
from attrs import frozen

from reminderd.providers.http import Exchange, Heard, Outcome, Unheard
from reminderd.providers.twilio.signature import HEADER, signature
from reminderd.sandbox.twilio.order import Webhook

Parameters: TypeAlias = Mapping[str, str]

_TRIES: Final = 2
"""https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides, its defaults: `rc=1`, `rp=ct`."""

_FORM: Final = "application/x-www-form-urlencoded; charset=UTF-8"


@frozen(kw_only=True)
class Wire:
    """The way to whoever placed the calls."""

    exchange: Exchange
    auth_token: str

    async def send(self, webhook: Webhook, parameters: Parameters, *, copies: int = 1) -> Outcome:
        """Send one event, `copies` times under the same token; the last answer."""
        url, content = _request(webhook, parameters)
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "I-Twilio-Idempotency-Token": str(uuid4()),
            HEADER: signature(self.auth_token, url, () if content is None else parameters.items()),
        }
        if content is not None:
            headers["Content-Type"] = _FORM
        outcome = await self._sent(webhook.method, url, headers, content)
        for _ in range(copies - 1):
            outcome = await self._sent(webhook.method, url, headers, content)
        return outcome

    async def _sent(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> Outcome:
        outcome: Outcome = Unheard(reason="", sent=False)
        for _ in range(_TRIES):
            try:
                outcome = await self.exchange.ask(method, url, headers=headers, content=content)
            except httpx.InvalidURL as error:
                return Unheard(reason=str(error), sent=False)
            if isinstance(outcome, Heard) or outcome.sent:
                return outcome
        return outcome


def _request(webhook: Webhook, parameters: Parameters) -> tuple[str, bytes | None]:
    """The URL, which never has its fragment, and the body; None for a GET, whose parameters join the query."""
    url = webhook.url.partition("#")[0]
    form = urlencode(parameters)
    if webhook.method == "POST":
        return url, form.encode()
    return f"{url}{'&' if '?' in url else '?'}{form}", None
