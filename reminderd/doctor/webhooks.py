"""Knocks at the webhooks' door twice, with a signature and with a forged one; neither can be recorded.

Both speak of progress of a call that nobody placed, for a reminder that nobody has: the daemon refuses even the signed
one, after it has believed it. They leave two lines in its log, with an id that begins with `doctor-`.
"""

from collections.abc import Mapping
from datetime import datetime

from reminderd.config import Config
from reminderd.core.diagnosis import outside
from reminderd.core.diagnosis.finding import Finding, unknown, warning
from reminderd.core.diagnosis.outside import Knock
from reminderd.doctor.asking import Asking, document
from reminderd.providers.http import Outcome, Unheard
from reminderd.providers.settings import Probe


async def look(config: Config, asking: Asking, *, public: str | None, local: str | None, now: datetime) -> Finding:
    """Whether the door tells a signed webhook from a forged one.

    Args:
        config: the clinic's.
        asking: asks.
        public: where the daemon seems to answer from outside, a base URL; None: nowhere that can be asked.
        local: where it answers on this machine; None: nowhere.
        now: signatures carry the time.
    """
    if config.provider.kind == "sandbox":
        return unknown("webhooks", "not checked: the sandbox creates a secret at each start")
    webhook = config.provider.settings.probe(config.web.public_base_url, now)
    if webhook is None:
        fix = f"have them signed, if the provider can do it: see [provider.{config.provider.kind}]"
        return warning("webhooks", "none is signed: anybody who reaches the port can send any report", fix)
    if webhook.contains_secret and not (public or "").startswith("https://"):
        public = None  # a token, unlike a signature, is told to whoever answers
    where = public or local
    if where is None:
        return unknown("webhooks", "not checked: the daemon answers neither on this machine nor from outside")
    forged = await _knock(asking, where, webhook, webhook.forged)
    signed = await _knock(asking, where, webhook, webhook.signed)
    return outside.webhooks(signed, forged, where)


async def _knock(asking: Asking, where: str, webhook: Probe, proof: Mapping[str, str]) -> Knock:
    return _knock_of(await asking.post(f"{where}{webhook.path}", webhook.body, headers=proof))


def _knock_of(outcome: Outcome) -> Knock:
    if isinstance(outcome, Unheard):
        return Knock(None, outcome.reason)
    error = document(outcome).get("error")
    return Knock(outcome.status, error if isinstance(error, str) else "")
