"""Ask over HTTP, each question bounded to a few seconds, and read our own answers."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import httpx
from attrs import frozen

from reminderd.providers.http import HttpAnswer, HttpClient, HttpFailure, HttpResult

_AT_A_TIME = 16


@frozen(eq=False)
class Asking:
    """A client that asks one question at a time."""

    trust: ssl.SSLContext
    """Whose certificates are believed: the bundle of certifi, or what $SSL_CERT_FILE names."""
    seconds: float
    """For one question and its answer."""
    _http: HttpClient

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> HttpResult:
        """Ask, following no redirect."""
        return await self._ask("GET", url, headers or {})

    async def post(self, url: str, content: bytes, *, headers: Mapping[str, str]) -> HttpResult:
        """Send something."""
        return await self._ask("POST", url, headers, content)

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None) -> HttpResult:
        try:
            return await self._http.ask(
                method, url, headers={"User-Agent": "reminderd doctor", **headers}, content=content
            )
        except (httpx.InvalidURL, UnicodeError) as error:  # UnicodeError: a name that DNS can't spell
            return HttpFailure(reason=f"can't be asked: {error}", sent=False)


@asynccontextmanager
async def asking(seconds: float) -> AsyncIterator[Asking]:
    """Open for questions, each bounded to so many seconds."""
    trust = httpx.create_ssl_context()
    http = HttpClient(timeout=timedelta(seconds=seconds), max_connections=_AT_A_TIME, trust=trust)
    try:
        yield Asking(trust, seconds, http)
    finally:
        await http.aclose()


def document(answer: HttpAnswer) -> dict[str, Any]:
    """Return the JSON object in an answer; empty if it is none."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_alive(outcome: HttpResult) -> bool:
    """Return whether this is the daemon's own answer to `GET /health`."""
    return isinstance(outcome, HttpAnswer) and outcome.status == 200 and document(outcome) == {"status": "ok"}


def is_this_machine(host: str) -> bool:
    """Return whether a name or an address, by its spelling alone, is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
