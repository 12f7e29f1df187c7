"""A whole provider in one file: settings, a client, a webhook route, and a check of the account.

Its API is two paths: `POST /ring` with a number and a text, answered by the call's number in plain text, and
`GET /account`. It reports the end of a call in plain text, signed with the shared password.
"""

import hmac
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import ClassVar

from attrs import frozen

from reminderd.core.answers import (
    Accepted,
    Capabilities,
    LookUpAnswer,
    NoAnswer,
    NotPlaced,
    PlacingAnswer,
    Report,
    Unclear,
)
from reminderd.keys import file_path, missing_secret, secret, url
from reminderd.providers.base import InvalidPayloadError, Placement, ProviderClient, Recorder, Reply, Route, Webhook
from reminderd.providers.base_settings import CheckError, ClientOptions, Probe, ProviderSettings
from reminderd.providers.http import HttpClient, HttpFailure

PATH = "/webhooks/third"
HEADER = "x-third-password"


@frozen(kw_only=True)
class ThirdSettings(ProviderSettings):
    name: ClassVar[str] = "third"
    chosen_by: ClassVar[str] = "exchange"
    account_keys: ClassVar[tuple[str, ...]] = ("exchange",)

    exchange: str = url()
    password: str = secret()
    password_file: str = file_path()

    @property
    def server(self) -> str:
        return self.exchange

    def errors(self, _public_base_url: str) -> Iterator[CheckError]:
        if not self.password:
            key = ("provider", self.name, "password")
            yield (key,), missing_secret(key)

    def setup_hint(self, public_base_url: str) -> str:
        return f"tell your admin: {public_base_url}{PATH}"

    def client(self, options: ClientOptions) -> ProviderClient:
        return ThirdProvider(self, options)

    def probe(self, _public_base_url: str, _now: datetime) -> Probe | None:
        name = "doctor-third"
        return Probe(
            path=f"{PATH}/{name}",
            body=b"ringing",
            signed={HEADER: self.password},
            forged={HEADER: "wrong"},
            contains_secret=True,
        )


class ThirdProvider:
    name = "third"
    capabilities = Capabilities()
    forged_status = 401

    def __init__(self, settings: ThirdSettings, options: ClientOptions) -> None:
        self.account = settings.exchange
        self._password = settings.password
        self._exchange = HttpClient(timeout=options.timeout, max_connections=options.max_connections)

    async def place(self, placement: Placement) -> PlacingAnswer:
        outcome = await self._exchange.ask(
            "POST",
            f"{self.account}/ring",
            headers={HEADER: self._password},
            content=f"{placement.phone_number} {placement.call_id} {placement.message}".encode(),
        )
        if isinstance(outcome, HttpFailure):
            return Unclear(outcome.reason) if outcome.sent else NotPlaced(outcome.reason)
        return Accepted(outcome.body.decode()) if outcome.status == 200 else Unclear(str(outcome.status))

    async def fetch(self, external_call_id: str) -> LookUpAnswer:
        return NoAnswer(f"it can't be asked about {external_call_id}")

    async def find(self, placement: Placement) -> LookUpAnswer:
        return NoAnswer(f"it can't be asked about {placement.call_id}")

    async def drop(self, external_call_id: str) -> LookUpAnswer:
        return NoAnswer(f"it can't drop {external_call_id}")

    async def check_account(self) -> list[str]:
        outcome = await self._exchange.ask("GET", f"{self.account}/account", headers={HEADER: self._password})
        if isinstance(outcome, HttpFailure):
            return [outcome.reason]
        return [] if outcome.status == 200 else [f"it answers {outcome.status}"]

    def routes(self, recorder: Recorder) -> Sequence[Route]:
        return [Route(path=f"{PATH}/<call_id>", view=partial(record, recorder=recorder))]

    def verified(self, webhook: Webhook) -> bool:
        return hmac.compare_digest(webhook.headers.get(HEADER, ""), self._password)

    def parse(self, webhook: Webhook) -> Report:
        return read(webhook)

    async def aclose(self) -> None:
        await self._exchange.aclose()


async def record(webhook: Webhook, *, recorder: Recorder) -> Reply:
    recorded = await recorder.report(read(webhook))
    return Reply(body=b"again" if recorded.duplicate else b"thanks", content_type="text/plain")


def read(webhook: Webhook) -> Report:
    status, _, seconds = webhook.body.decode("latin-1").partition(" ")
    if not status:
        raise InvalidPayloadError(["body: empty; expected a status"])
    call_id = webhook.target.rpartition("/")[2]
    return Report(
        external_call_id=f"third-{call_id}",
        status=status,
        attempt_id=call_id,
        duration_seconds=int(seconds) if seconds else None,
    )
