"""The sections of the providers, each with its own checks: `[provider.twilio]` and `[provider.generic]`."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from attrs import frozen

from reminderd.config import validators
from reminderd.config.keys import (
    KeyPath,
    choice,
    file_path,
    key,
    missing_secret,
    phone_number,
    positive,
    secret,
    switch,
    url,
    whole,
)

CheckError: TypeAlias = tuple[tuple[KeyPath, ...], str]
"""An error of a cross-check: it is the first key's, and no error at all if one of the keys has an error of its own."""

ProviderKind: TypeAlias = Literal["sandbox", "generic", "twilio"]

_ACCOUNT_SID: Final = re.compile("AC[0-9a-fA-F]{32}")
_YEAR: Final = 365 * 86_400


@frozen(kw_only=True)
class GenericConfig:
    """A provider that speaks the generic contract. A text that is left empty is not set."""

    api_url: str = url()
    api_key: str = secret()
    api_key_file: str = file_path()
    webhook_auth: Literal["standard-webhooks", "bearer", "none"] = choice(
        "standard-webhooks", "standard-webhooks", "bearer", "none"
    )
    webhook_secret: str = secret("text", None)
    webhook_secret_file: str = file_path()
    honors_idempotency_key: bool = switch(default=False)
    idempotency_key_seconds: float = positive(82_800.0, _YEAR)
    look_up: bool = switch(default=False)


def _generic_errors(generic: GenericConfig, _public_base_url: str) -> Iterator[CheckError]:
    section = ("provider", "generic")
    api_key, webhook_secret, webhook_auth = ((*section, name) for name in ("api_key", "webhook_secret", "webhook_auth"))
    if not generic.api_url:
        yield ((*section, "api_url"),), "is missing; expected the URL of the provider's API, to which /calls is added"
    if not generic.api_key:
        yield (api_key,), missing_secret(api_key)
    if generic.webhook_auth != "none" and not generic.webhook_secret:
        yield (webhook_secret, webhook_auth), missing_secret(webhook_secret)
    elif generic.webhook_auth != "none":
        check = validators.bearer_error if generic.webhook_auth == "bearer" else validators.webhook_key_error
        found = check(generic.webhook_secret)
        if found is not None:
            yield (webhook_secret, webhook_auth), found


def _account_sid_error(text: str) -> str | None:
    return "is not an account SID" if text and not _ACCOUNT_SID.fullmatch(text) else None


@frozen(kw_only=True)
class TwilioConfig:
    """An account at Twilio, and how its calls are placed. A text that is left empty is not set."""

    account_sid: str = key("", "AC and 32 digits from 0 to f, as in Twilio's console", _account_sid_error)
    auth_token: str = secret()
    auth_token_file: str = file_path()
    secondary_auth_token: str = secret()
    secondary_auth_token_file: str = file_path()
    from_number: str = phone_number()
    api_url: str = url("https://api.twilio.com")
    ring_seconds: int = whole(30, 5, 600)
    max_call_seconds: int = whole(180, 30, 3600)
    machine_detection: Literal["DetectMessageEnd", "Enable", "off"] = choice(
        "DetectMessageEnd", "DetectMessageEnd", "Enable", "off"
    )
    voicemail: Literal["leave_message", "hang_up"] = choice("leave_message", "leave_message", "hang_up")


def _twilio_errors(twilio: TwilioConfig, public_base_url: str) -> Iterator[CheckError]:
    section = ("provider", "twilio")
    if not twilio.account_sid:
        yield ((*section, "account_sid"),), "is missing; expected the account SID from Twilio's console"
    if not twilio.auth_token:
        auth_token = (*section, "auth_token")
        yield (auth_token,), missing_secret(auth_token)
    if not twilio.from_number:
        yield ((*section, "from_number"),), "is missing; expected your number at Twilio, which patients see"
    address, expected = (("web", "public_base_url"),), "expected the https:// URL at which Twilio reaches this server"
    if not public_base_url:
        yield address, f"is missing; {expected}"
    elif "_" in (urlsplit(public_base_url).hostname or ""):
        yield address, f"has an underscore in its host name, which Twilio does not accept; {expected}"


@frozen(kw_only=True)
class ProviderSection:
    """What the configuration knows of a provider besides its keys."""

    chosen_by: str
    """The key that chooses the provider where `[provider].kind` is not set."""
    errors: Callable[[Any, str], Iterator[CheckError]]
    """Checks the section once the provider is chosen, with `[web].public_base_url`."""
    account_keys: tuple[str, ...]
    """The keys that say whose account it is: a secret must not go to another one."""
    calls_per_second: float = 0.0
    """What `[provider].calls_per_second` is where it is not set."""


PROVIDER_SECTIONS: Final[Mapping[ProviderKind, ProviderSection]] = {
    "twilio": ProviderSection(
        chosen_by="account_sid",
        errors=_twilio_errors,
        account_keys=("account_sid", "api_url"),
        # What Twilio starts for most accounts; the rest waits in a queue of Twilio's, perhaps into the night.
        calls_per_second=1.0,
    ),
    "generic": ProviderSection(chosen_by="api_url", errors=_generic_errors, account_keys=("api_url",)),
}
"""By `[provider].kind`; the first one whose key is set is chosen."""
