"""What this version can't do yet, and says so instead of calling it unknown."""

from collections.abc import Mapping
from typing import Final

from reminderd.config.given import PREFIX, Given, Text

TWILIO: Final = 'Twilio isn\'t supported yet by this version; expected kind = "generic" and a provider that speaks it'

_KIND: Final = ("provider", "kind")
_SECTION: Final = ("provider", "twilio")


def is_twilio(variable: str) -> bool:
    """Whether the variable would be one of Twilio's keys."""
    return variable.upper().startswith(f"{PREFIX}PROVIDER__TWILIO__")


def blame_twilio(given: Given, environ: Mapping[str, str]) -> None:
    """Note a mistake for each sign that Twilio is meant; an account is none if `kind` says otherwise."""
    kind = given.get(_KIND)
    if kind in ("twilio", Text("twilio")):
        given.blame(_KIND, TWILIO)
    elif kind is None and given.readable and environ.get("TWILIO_ACCOUNT_SID"):
        given.mistakes.append(f"environment TWILIO_ACCOUNT_SID: {TWILIO}")
        given.wrong.add(_KIND)
    if given.get(_SECTION) is not None:
        given.blame(_SECTION, TWILIO, section=True)
