"""Asks the provider, by reading only, whether it knows us: no call is placed."""

from typing import Final

import trio
from attrs import evolve

from reminderd.config import Config
from reminderd.core.diagnosis.finding import Finding, good, unknown, wrong
from reminderd.daemon.clients import mistakes_online

_QUESTIONS: Final = 3
"""As many as a provider may be asked, one after the other."""


async def look(config: Config, *, seconds: float) -> list[Finding]:
    """What `check-config --online` finds, each question bounded to so many seconds."""
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
    return [wrong("provider", mistake, fix) for mistake in mistakes] or [
        good("provider", config.provider.settings.accepts)
    ]
