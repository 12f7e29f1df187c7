"""Check whether the provider accepts our account, and whether the daemon accepts the provider's webhooks only.

The provider is asked by reading only: no call is placed. Two webhooks are sent to the daemon, one with a signature and
one with a forged one; neither can be recorded. Both report progress of a call that nobody placed, for a reminder that
does not exist: the daemon refuses even the signed one, after it has checked its signature. They leave two lines in its
log, with an id that begins with `doctor-`.
"""

import json
from base64 import b64encode
from datetime import datetime
from secrets import token_bytes, token_hex
from typing import Final
from urllib.parse import urlencode
from uuid import uuid4

import trio
from attrs import evolve, frozen

from reminderd.config import Config
from reminderd.core import diagnosis
from reminderd.core.diagnosis import Finding, Trial, good, unknown, warning, wrong
from reminderd.daemon.clients import mistakes_online
from reminderd.doctor.asking import Asking, document
from reminderd.providers.exchange import Outcome, Unheard
from reminderd.providers.twilio.client import PATH
from reminderd.providers.twilio.signature import HEADER, signature
from reminderd.providers.webhook_auth import signer

_QUESTIONS: Final = 3
"""As many as Twilio is asked, one after the other."""
_FORM: Final = "application/x-www-form-urlencoded"


@frozen(kw_only=True)
class _Webhook:
    path: str
    body: bytes
    signed: dict[str, str]
    """Headers that prove it ours."""
    forged: dict[str, str]
    """Headers that prove nothing."""


async def check_provider(config: Config, *, seconds: float) -> list[Finding]:
    """Return what `check-config --online` finds, each question bounded to so many seconds."""
    kind = config.provider.kind
    if kind == "sandbox":
        return [unknown("provider", "not checked: the sandbox runs inside the daemon, and calls nobody")]
    quick = evolve(config, provider=evolve(config.provider, timeout_seconds=seconds))
    mistakes = ["no answer in time"]
    with trio.move_on_after(_QUESTIONS * seconds):
        try:
            mistakes = await mistakes_online(quick)
        except ValueError as error:  # a URL of which only DNS knows that it can be none
            mistakes = [f"it can't be asked: {error}"]
    fix = f"see [provider.{kind}]: the URL, the key, the account; then the provider's own status page"
    if kind == "twilio":
        return [wrong("provider", mistake, fix) for mistake in mistakes] or [
            good("provider", "Twilio knows the account, and the number may make calls")
        ]
    return [wrong("provider", mistake, fix) for mistake in mistakes] or [
        good("provider", "it answers, and accepts our account")
    ]


async def check_webhooks(
    config: Config, asking: Asking, *, public: str | None, local: str | None, now: datetime
) -> Finding:
    """Check whether the daemon accepts a signed webhook and refuses a forged one.

    Args:
        config: the clinic's.
        asking: asks.
        public: where the daemon seems to answer from outside, a base URL; None: nowhere that can be asked.
        local: where it answers on this machine; None: nowhere.
        now: signatures carry the time.
    """
    if config.provider.kind == "sandbox":
        return unknown("webhooks", "not checked: the sandbox creates a secret at each start")
    auth = config.provider.generic.webhook_auth
    if config.provider.kind == "generic" and auth == "none":
        fix = "set [provider.generic].webhook_auth, if the provider can do better"
        return warning("webhooks", "none is signed: anybody who reaches the port can send any report", fix)
    if config.provider.kind == "generic" and auth == "bearer" and not (public or "").startswith("https://"):
        public = None  # whoever answers would learn the token; a signature proves nothing elsewhere
    where = public or local
    if where is None:
        return unknown("webhooks", "not checked: the daemon answers neither on this machine nor from outside")
    webhook = _twilio_s(config) if config.provider.kind == "twilio" else _generic(config, now)
    forged = await _sent(asking, where, webhook, webhook.forged)
    signed = await _sent(asking, where, webhook, webhook.signed)
    return diagnosis.webhooks(signed, forged, where)


async def _sent(asking: Asking, where: str, webhook: _Webhook, proof: dict[str, str]) -> Trial:
    return _answer_of(await asking.post(f"{where}{webhook.path}", webhook.body, headers=proof))


def _answer_of(outcome: Outcome) -> Trial:
    if isinstance(outcome, Unheard):
        return Trial(None, outcome.reason)
    error = document(outcome).get("error")
    return Trial(outcome.status, error if isinstance(error, str) else "")


def _generic(config: Config, now: datetime) -> _Webhook:
    name = f"doctor-{uuid4()}"
    report = {"call_id": name, "status": "queued", "metadata": {"reminder_id": name}}
    body = json.dumps(report).encode()
    json_type = {"Content-Type": "application/json"}
    secret, made_up = config.provider.generic.webhook_secret, f"whsec_{b64encode(token_bytes(32)).decode()}"
    if config.provider.generic.webhook_auth == "bearer":
        signed, forged = {"Authorization": f"Bearer {secret}"}, {"Authorization": f"Bearer {token_hex(32)}"}
    else:
        signed, forged = _signed(secret, name, now, body), _signed(made_up, name, now, body)
    return _Webhook(
        path="/webhooks/call-status", body=body, signed={**json_type, **signed}, forged={**json_type, **forged}
    )


def _signed(secret: str, name: str, now: datetime, body: bytes) -> dict[str, str]:
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer(secret).sign(name, now, body.decode()),
    }


def _twilio_s(config: Config) -> _Webhook:
    name = f"doctor-{uuid4()}"
    path = f"{PATH}/status/{name}"
    fields = [("CallSid", name), ("CallStatus", "queued")]
    url = config.web.public_base_url + path
    headers = {"Content-Type": _FORM}
    return _Webhook(
        path=path,
        body=urlencode(fields).encode(),
        signed={**headers, HEADER: signature(config.provider.twilio.auth_token, url, fields)},
        forged={**headers, HEADER: signature(token_hex(16), url, fields)},
    )
