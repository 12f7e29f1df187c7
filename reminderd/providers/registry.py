"""The providers that can be configured. A new one is a folder, and a line here."""

from datetime import timedelta
from typing import Final

from reminderd.providers.generic.settings import GenericSettings
from reminderd.providers.settings import ClientOptions, ProviderSettings
from reminderd.providers.twilio.settings import TwilioSettings

PROVIDERS: Final[dict[str, type[ProviderSettings]]] = {
    TwilioSettings.name: TwilioSettings,
    GenericSettings.name: GenericSettings,
}
"""By `[provider].kind`; where that is not set, the first provider is chosen whose key `chosen_by` is set."""


async def account_errors(settings: ProviderSettings, patience: timedelta) -> list[str]:
    """Ask the provider about our account, by reading only; return what it says is wrong, a sentence each.

    Each request ends after `patience`.

    Raises:
        ValueError: A setting can't be used, which only the client finds out.
    """
    client = settings.client(ClientOptions(public_base_urls=("",), timeout=patience, max_connections=1))
    try:
        return await client.check_account()
    finally:
        await client.aclose()
