from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from reminderd.providers.base_settings import ClientOptions
from reminderd.providers.twilio.client import TwilioProvider
from reminderd.providers.twilio.settings import TwilioSettings
from tests.support.twilio_rest import PUBLIC
from tests.support.twilio_sandbox import ACCOUNT, FROM, TOKEN


@pytest.fixture
async def twilio_at() -> AsyncIterator[Callable[..., TwilioProvider]]:
    """Yield a function that makes a client of the Twilio at a URL; `changes` are keys, or options of the client."""
    made: list[TwilioProvider] = []

    def make(url: str, **changes: Any) -> TwilioProvider:
        options: dict[str, Any] = {"public_base_urls": (PUBLIC,), "timeout": timedelta(seconds=5), "max_connections": 4}
        options |= {name: changes.pop(name) for name in options if name in changes}
        clock = {"clock": changes.pop("clock")} if "clock" in changes else {}
        usual: dict[str, Any] = {
            "account_sid": ACCOUNT,
            "auth_token": TOKEN,
            "from_number": FROM,
            "api_url": url,
            "machine_detection": "off",
        }
        made.append(TwilioProvider(TwilioSettings(**usual | changes), ClientOptions(**options), **clock))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()
