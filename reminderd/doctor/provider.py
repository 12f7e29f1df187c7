"""Check whether the provider accepts our account, and whether the daemon accepts the provider's webhooks only.

The provider is asked by reading only: no call is placed. Two webhooks are sent to the daemon, one with a signature and
one with a forged one; neither can be recorded. Both report progress of a call that was never placed, for a reminder
that does not exist: the daemon refuses even the signed one, after it has checked its signature. They leave two lines in
its log, with an id that begins with `doctor-`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import trio

from reminderd.config import Config
from reminderd.core import diagnosis
from reminderd.core.diagnosis import Finding, Trial, good, unknown, warning, wrong
from reminderd.doctor.asking import Asking, document
from reminderd.providers.http import Outcome, Unheard
from reminderd.providers.registry import account_errors
from reminderd.providers.settings import Probe

_QUESTIONS: Final = 3
"""As many as a provider may be asked, one after the other."""


async def check_provider(config: Config, *, seconds: float) -> list[Finding]:
    """Return what `check-config --online` finds, each question bounded to so many seconds."""
    kind = config.provider.kind
    if kind == "sandbox":
        return [unknown("provider", "not checked: the sandbox runs inside the daemon, and calls nobody")]
    mistakes = ["no answer in time"]
    with trio.move_on_after(_QUESTIONS * seconds):
        try:
            mistakes = await account_errors(config.provider.settings, timedelta(seconds=seconds))
        except ValueError as error:  # a URL of which only DNS knows that it can be none
            mistakes = [f"it can't be asked: {error}"]
    fix = f"see [provider.{kind}]: the URL, the key, the account; then the provider's own status page"
    return [wrong("provider", mistake, fix) for mistake in mistakes] or [
        good("provider", config.provider.settings.accepts)
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
    probe = config.provider.settings.probe(config.web.public_base_url, now)
    if probe is None:
        fix = f"have them signed, if the provider can do it: see [provider.{config.provider.kind}]"
        return warning("webhooks", "none is signed: anybody who reaches the port can send any report", fix)
    if probe.contains_secret and not (public or "").startswith("https://"):
        public = None  # a stranger who answers there would learn the token; a signature is useless elsewhere
    where = public or local
    if where is None:
        return unknown("webhooks", "not checked: the daemon answers neither on this machine nor from outside")
    forged = await _sent(asking, where, probe, probe.forged)
    signed = await _sent(asking, where, probe, probe.signed)
    return diagnosis.webhooks(signed, forged, where)


async def _sent(asking: Asking, where: str, probe: Probe, proof: Mapping[str, str]) -> Trial:
    return _answer_of(await asking.post(f"{where}{probe.path}", probe.body, headers=proof))


def _answer_of(outcome: Outcome) -> Trial:
    if isinstance(outcome, Unheard):
        return Trial(None, outcome.reason)
    error = document(outcome).get("error")
    return Trial(outcome.status, error if isinstance(error, str) else "")
