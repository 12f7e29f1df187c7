"""The clinic's own numbers in the configuration, read as patients' numbers are."""

from typing import Final

from attrs import evolve

from reminderd.config.given import Given
from reminderd.config.schema import Config, KeyPath
from reminderd.core.phone import existing_number

_COUNTRY: Final[KeyPath] = ("clinic", "country")
_PHONE: Final[KeyPath] = ("messages", "phone")
_FROM_NUMBER: Final[KeyPath] = ("provider", "twilio", "from_number")


def with_own_numbers(config: Config, given: Given) -> Config:
    """Return the configuration with its numbers in E.164, national ones read as dialed in the clinic's country."""
    if _COUNTRY in given.wrong:
        return config
    twilio = config.provider.twilio
    return evolve(
        config,
        messages=evolve(config.messages, phone=_read(config.messages.phone, _PHONE, config, given)),
        provider=evolve(
            config.provider,
            twilio=evolve(twilio, from_number=_read(twilio.from_number, _FROM_NUMBER, config, given)),
        ),
    )


def _read(text: str, path: KeyPath, config: Config, given: Given) -> str:
    """Return the number in E.164, or nothing after its mistake was noted; nothing is no mistake."""
    if not text.strip():
        return ""
    try:
        return existing_number(text, config.clinic.country)
    except ValueError as error:
        given.blame(path, f"{error}")
        return ""
