"""A clinic in any folder, and what its monitors see."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import trio

from tests.e2e.conftest import Clinic
from tests.support.generic_server import GenericServer, generic_server

_PATIENCE = 100


@asynccontextmanager
async def a_clinic(folder: Path, **changes: Any) -> AsyncIterator[Clinic]:
    """Set up a clinic with its own provider; `changes` are those of `Clinic.configure`."""
    async with generic_server(GenericServer()) as provider, httpx.AsyncClient(timeout=_PATIENCE) as client:
        clinic = Clinic(folder, provider, client)
        clinic.configure(**changes)
        yield clinic


async def until_ready(clinic: Clinic, url: str) -> None:
    """Wait until every part of the daemon is ready."""
    with trio.fail_after(_PATIENCE):
        while await failing_parts(clinic, url):  # noqa: ASYNC110 - no event crosses processes
            await trio.sleep(0.05)


async def until_failing(clinic: Clinic, url: str, part: str) -> str:
    """Return the reason why this part fails, as soon as the daemon reports it."""
    with trio.fail_after(_PATIENCE):
        while True:
            failing = await failing_parts(clinic, url)
            if part in failing:
                return failing[part]
            await trio.sleep(0.05)


async def failing_parts(clinic: Clinic, url: str) -> Mapping[str, str]:
    """Return each failing part with its reason, as monitors see it."""
    answer = await clinic.client.get(f"{url}/health/ready")
    body = answer.json()
    assert answer.status_code == (503 if "failing" in body else 200)
    failing: dict[str, str] = body.get("failing", {})
    return failing
