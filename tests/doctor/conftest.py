"""A client with its own certificate authority, and sites that answer by path."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from reminderd.config import Config, with_provider
from reminderd.config.installation import WebConfig
from reminderd.core.diagnosis import Finding
from reminderd.doctor.connections import DoctorClient, open_doctor_client
from reminderd.providers.generic.settings import GenericSettings
from tests.support.generic_server import KEY, SECRET
from tests.support.hostile_provider import Line, Script, answer, hear

ALIVE = answer(200, b'{"status": "ok"}')
NOT_THERE = answer(404)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def ask(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DoctorClient]:
    """Yield a client that trusts the tests' authority, set in the environment."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with open_doctor_client(10) as open_to_ask:
        yield open_to_ask


def site(answers: Mapping[str, bytes], otherwise: bytes = NOT_THERE) -> Script:
    """Return a script that answers each request by its path."""

    async def by_path(line: Line) -> None:
        target = line.server.requests[-1].target
        await line.stream.send_all(answers.get(target, otherwise))

    return hear, by_path


def says(status: int, content: Any, **headers: str) -> bytes:
    return answer(status, json.dumps(content).encode(), **headers)


def generic(*, web: dict[str, Any] | None = None, **changes: Any) -> Config:
    """Return a configuration with a generic provider; `changes` are keys of [provider.generic]."""
    usual = {"api_url": "http://127.0.0.1:9", "api_key": KEY, "webhook_secret": SECRET}
    return with_provider(Config(web=WebConfig(**web or {})), GenericSettings(**usual | changes))


def marks_of(findings: list[Finding]) -> dict[str, str]:
    """Return each finding's mark by its subject; each subject has one."""
    assert len({finding.about for finding in findings}) == len(findings)
    return {finding.about: finding.mark.value for finding in findings}
