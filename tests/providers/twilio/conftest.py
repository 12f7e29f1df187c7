from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from reminderd.providers.twilio.api import Account
from reminderd.providers.twilio.client import TwilioProvider

ACCOUNT = Account(sid="AC" + "0" * 32, auth_token="t0ken-of-the-clinic", from_number="+12025550190")

Maker = Callable[..., TwilioProvider]


@pytest.fixture
async def twilio_at() -> AsyncIterator[Maker]:
    """Makes a client whose Twilio is at a URL; `changes` are arguments other than the usual ones."""
    made: list[TwilioProvider] = []

    def make(url: str, **changes: Any) -> TwilioProvider:
        usual: dict[str, Any] = {
            "account": ACCOUNT,
            "public_base_url": "https://clinic.example/reminders",
            "api_url": url,
            "timeout": timedelta(seconds=5),
            "max_connections": 4,
        }
        made.append(TwilioProvider(**{**usual, **changes}))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()
