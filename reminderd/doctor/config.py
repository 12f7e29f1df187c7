"""Looks at the configuration, which is one without mistakes."""

from typing import Final

from reminderd.config import Config, config_warnings, origin
from reminderd.core.diagnosis.finding import Finding, good, warning

_OF_WORDS: Final = "see messages.md"


def look(config: Config) -> list[Finding]:
    """That it has no mistakes, and what is not careful in it."""
    found = [good("configuration", f"{origin(config.path)}: no mistakes")]
    for risk in config_warnings(config):
        says, told, fix = risk.rpartition("; ")
        found.append(warning("configuration", says, fix) if told else warning("configuration", risk, _OF_WORDS))
    return found
