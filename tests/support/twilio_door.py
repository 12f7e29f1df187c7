"""The door as a clinic with Twilio has it: the real app on loopback, with a real database behind it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import httpx
import trio
from attrs import frozen
from loguru import logger
from twilio.request_validator import RequestValidator

from reminderd.breaker import Breaker
from reminderd.config import load_config, rules_of
from reminderd.core.answers import Accepted
from reminderd.daemon.clients import client
from reminderd.daemon.doors import door
from reminderd.store.database import open_database
from reminderd.web.app import build_app
from reminderd.web.server import bind, serve
from tests.support.clock import HandClock
from tests.support.desk import Desk, a_desk
from tests.support.twilio_desk import ACCOUNT, FROM, TOKEN
from tests.support.twilio_rest import PUBLIC, SID, TO

TWILIO = {
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": TOKEN,
    "TWILIO_FROM_NUMBER": FROM,
    "PUBLIC_BASE_URL": PUBLIC,
    "REMINDERD__MESSAGES__CLINIC": "Dr. Brown's office",
}
GENERIC = {
    "VOICE_PROVIDER_API_URL": "https://voice.example",
    "VOICE_PROVIDER_API_KEY": "key",
    "REMINDERD__PROVIDER__GENERIC__WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
LIMIT = 64 * 1024
MESSAGE = "Mr Miller, your appointment is tomorrow at nine."

_SHORT = timedelta(milliseconds=20)


@frozen(kw_only=True)
class TwilioDoor:
    """The door, somebody who knocks at it, and the database seen from outside."""

    client: httpx.AsyncClient
    desk: Desk
    log: list[str]
    call_id: str
    """Our own id of the call that Twilio has taken, as `SID`."""

    async def post(self, path: str, fields: Mapping[str, str], *, signed_with: str | None = TOKEN) -> httpx.Response:
        """A form at a path below Twilio's, signed as Twilio signs; None leaves the signature out."""
        target = f"/webhooks/twilio/{path}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if signed_with is not None:
            headers |= signature(target, fields, token=signed_with)
        return await self.client.post(target, content=urlencode(fields), headers=headers)

    async def status(self, word: str, **more: str) -> httpx.Response:
        """A status callback of the call."""
        return await self.post(f"status/{self.call_id}", about(word, **more))

    async def answer(self, **more: str) -> httpx.Response:
        """Somebody picks up the call."""
        return await self.post(f"answer/{self.call_id}", about("in-progress", **more))

    async def press(self, digits: str, question: str = "menu", repeats: int = 0) -> httpx.Response:
        """A key is pressed in the call."""
        path = f"keys/{self.call_id}?question={question}&repeats={repeats}"
        return await self.post(path, about("in-progress", Digits=digits))

    @property
    def version(self) -> int:
        """A number that is another one after anything was committed through the door."""
        return int(self.desk.connection.execute("PRAGMA data_version").fetchone()[0])


def about(word: str, **more: str) -> dict[str, str]:
    """The fields of a webhook."""
    usual = {"AccountSid": ACCOUNT, "CallSid": SID, "From": FROM, "To": TO, "Direction": "outbound-api"}
    return usual | {"CallStatus": word} | more


def signature(target: str, fields: Mapping[str, str], *, token: str = TOKEN) -> dict[str, str]:
    """The header, computed by Twilio's own library from where the clinic says it is found."""
    return {"X-Twilio-Signature": RequestValidator(token).compute_signature(PUBLIC + target, dict(fields))}


@asynccontextmanager
async def a_twilio_door(folder: Path, environ: Mapping[str, str] = TWILIO) -> AsyncIterator[TwilioDoor]:
    """Serve the door of the provider that the environment configures, with one call under way."""
    config = load_config(None, environ, folder)
    provider = client(config, own_url="")
    rules = rules_of(config, provider=provider.name, capabilities=provider.capabilities)
    path, clock, stopping, log = folder / "clinic.db", HandClock(), trio.Event(), list[str]()

    async def readiness() -> Mapping[str, str | None]:
        return {}

    sink = logger.add(log.append, format="{level} {message}", diagnose=False)
    try:
        async with open_database(path, clock, busy_timeout=_SHORT) as database, trio.open_nursery() as nursery:
            the_door = door(config, provider=provider, database=database, rules=rules, breaker=Breaker(rules.backoff))
            app = build_app(door=the_door, readiness=readiness, max_body_bytes=LIMIT)
            url = await nursery.start(
                partial(
                    serve,
                    app,
                    bind("127.0.0.1", 0),
                    shutdown_trigger=stopping.wait,
                    grace=timedelta(seconds=5),
                    max_connections=100,
                )
            )
            with a_desk(path, rules) as desk:
                desk.insert(phone=TO, message=MESSAGE)
                (claimed,) = desk.claim()
                desk.answer(claimed, Accepted(SID))
                async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as knocking:
                    yield TwilioDoor(client=knocking, desk=desk, log=log, call_id=desk.calls()[0].id)
            stopping.set()
    finally:
        logger.remove(sink)
        await provider.aclose()
