from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from reminderd.providers.twilio.client import TwilioProvider
from reminderd.providers.twilio.voice_api import Account
from tests.support.twilio_rest import PUBLIC
from tests.support.twilio_sandbox import ACCOUNT, FROM, TOKEN


@pytest.fixture
async def twilio_at() -> AsyncIterator[Callable[..., TwilioProvider]]:
    """Makes a client of the Twilio at a URL; `changes` are arguments other than the usual ones, or the account's."""
    made: list[TwilioProvider] = []

    def make(url: str, *, account: dict[str, str] | None = None, **changes: Any) -> TwilioProvider:
        usual: dict[str, Any] = {
            "account": evolve(Account(sid=ACCOUNT, auth_token=TOKEN, from_number=FROM), **(account or {})),
            "public_base_urls": (PUBLIC,),
            "api_url": url,
            "timeout": timedelta(seconds=5),
            "max_connections": 4,
        }
        made.append(TwilioProvider(**{**usual, **changes}))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()
