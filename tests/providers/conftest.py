from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from trio.testing import MockClock

from reminderd.providers.base_settings import ClientOptions
from reminderd.providers.generic.client import GenericProvider
from reminderd.providers.generic.settings import GenericSettings


@pytest.fixture
def idle_clock() -> MockClock:
    """Return a clock that moves only while all sockets are idle, so that no deadline passes early on a busy machine."""
    return MockClock(autojump_threshold=0.05)


@pytest.fixture
async def provider_at() -> AsyncIterator[Callable[..., GenericProvider]]:
    """Yield a function that makes a provider for an API URL; `changes` are keys, or options of the client."""
    made: list[GenericProvider] = []

    def make(url: str, **changes: Any) -> GenericProvider:
        options: dict[str, Any] = {"public_base_urls": (), "timeout": timedelta(seconds=5), "max_connections": 4}
        options |= {name: changes.pop(name) for name in options if name in changes}
        clock = {"clock": changes.pop("clock")} if "clock" in changes else {}
        usual: dict[str, Any] = {
            "api_url": url,
            "api_key": "key-of-the-clinic",
            "webhook_auth": "none",
            "honors_idempotency_key": True,
            "look_up": True,
        }
        made.append(GenericProvider(GenericSettings(**usual | changes), ClientOptions(**options), **clock))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()
