from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from trio.testing import MockClock

from reminderd.core.answers import Capabilities
from reminderd.providers.generic.client import GenericProvider
from reminderd.providers.generic.webhooks import unsigned
from reminderd.providers.settings import ClientOptions


@pytest.fixture
def idle_clock() -> MockClock:
    """Return a clock that moves only while all sockets are idle, so that no deadline passes early on a busy machine."""
    return MockClock(autojump_threshold=0.05)


@pytest.fixture
async def provider_at() -> AsyncIterator[Callable[..., GenericProvider]]:
    """Yield a function that makes a provider for an API URL; `changes` replace the usual arguments."""
    made: list[GenericProvider] = []

    def make(url: str, **changes: Any) -> GenericProvider:
        look_up = changes.pop("look_up", True)
        timeout = changes.pop("timeout", timedelta(seconds=5))
        max_connections = changes.pop("max_connections", 4)
        usual: dict[str, Any] = {
            "api_url": url,
            "api_key": "key-of-the-clinic",
            "capabilities": Capabilities(honors_key=True, key_lifetime=timedelta(hours=23), look_up=look_up),
            "verify_webhook": unsigned(),
            "options": ClientOptions(public_base_urls=(), timeout=timeout, max_connections=max_connections),
        }
        made.append(GenericProvider(**{**usual, **changes}))
        return made[-1]

    yield make
    for provider in made:
        await provider.aclose()
