"""The section `[provider.twilio]`."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from attrs import frozen

from reminderd.keys import choice, file_path, key, missing_secret, phone_number, secret, url, whole_number
from reminderd.providers.base_settings import CheckError, ClientOptions, Probe, ProviderSettings

if TYPE_CHECKING:
    from reminderd.providers.base import ProviderClient

_ACCOUNT_SID: Final = re.compile("AC[0-9a-fA-F]{32}")


def _account_sid_error(text: str) -> str | None:
    return "is not an account SID" if text and not _ACCOUNT_SID.fullmatch(text) else None


@frozen(kw_only=True)
class TwilioSettings(ProviderSettings):
    """An account at Twilio, and how its calls are placed. An empty text means that the key is not set."""

    name = "twilio"
    chosen_by = "account_sid"
    account_keys = ("account_sid", "api_url")
    environment = {  # noqa: RUF012
        "TWILIO_ACCOUNT_SID": "account_sid",
        "TWILIO_AUTH_TOKEN": "auth_token",
        "TWILIO_FROM_NUMBER": "from_number",
    }
    calls_per_second = 1.0
    """The rate at which Twilio starts calls for most accounts. More wait in Twilio's queue, perhaps into the night."""
    asks_what_to_say = True
    accepts = "Twilio knows the account, and the number may make calls"

    account_sid: str = key("", "AC and 32 digits from 0 to f, as in Twilio's console", _account_sid_error)
    auth_token: str = secret()
    auth_token_file: str = file_path()
    secondary_auth_token: str = secret()
    secondary_auth_token_file: str = file_path()
    from_number: str = phone_number()
    api_url: str = url("https://api.twilio.com")
    ring_seconds: int = whole_number(30, 5, 600)
    max_call_seconds: int = whole_number(180, 30, 3600)
    machine_detection: Literal["DetectMessageEnd", "Enable", "off"] = choice(
        "DetectMessageEnd", "DetectMessageEnd", "Enable", "off"
    )
    voicemail: Literal["leave_message", "hang_up"] = choice("leave_message", "leave_message", "hang_up")

    @property
    def server(self) -> str:
        """Return the URL of its API."""
        return self.api_url

    @property
    def own_number(self) -> str:
        """Return the number that its calls come from."""
        return self.from_number

    @property
    def leaves_voicemail(self) -> bool:
        """Return whether a message is left on an answering machine."""
        return self.voicemail == "leave_message"

    def errors(self, public_base_url: str) -> Iterator[CheckError]:
        """Cross-check the section once the provider is chosen."""
        section = ("provider", self.name)
        if not self.account_sid:
            yield ((*section, "account_sid"),), "is missing; expected the account SID from Twilio's console"
        if not self.auth_token:
            auth_token = (*section, "auth_token")
            yield (auth_token,), missing_secret(auth_token)
        if not self.from_number:
            yield ((*section, "from_number"),), "is missing; expected your number at Twilio, which patients see"
        address = (("web", "public_base_url"),)
        expected = "expected the https:// URL at which Twilio reaches this server"
        if not public_base_url:
            yield address, f"is missing; {expected}"
        elif "_" in (urlsplit(public_base_url).hostname or ""):
            yield address, f"has an underscore in its host name, which Twilio does not accept; {expected}"

    def setup_hint(self, public_base_url: str) -> str:
        """Return what the admin must set at the provider."""
        return f"nothing must be set at Twilio; it sends webhooks to {public_base_url}/webhooks/twilio/…"

    def client(self, options: ClientOptions) -> "ProviderClient":
        """Return the client."""
        # Only here: reading the configuration needs no HTTP client.
        from reminderd.providers.twilio.client import TwilioProvider  # noqa: PLC0415

        return TwilioProvider(self, options)

    def probe(self, public_base_url: str, _now: datetime) -> Probe | None:
        """Return a webhook to check the web server with."""
        from reminderd.providers.twilio.webhooks import probe  # noqa: PLC0415 - as in `client`

        return probe(self.auth_token, public_base_url)
