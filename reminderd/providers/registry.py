"""The providers that can be configured. To add a provider, add its folder and a line here."""

from datetime import timedelta
from typing import Final

from reminderd.providers.base_settings import ClientOptions, ProviderSettings
from reminderd.providers.generic.settings import GenericSettings
from reminderd.providers.twilio.settings import TwilioSettings

PROVIDERS: Final[dict[str, type[ProviderSettings]]] = {
    TwilioSettings.name: TwilioSettings,
    GenericSettings.name: GenericSettings,
}
"""The providers by `[provider].kind`. If that is not set, the first one whose key `chosen_by` is set is chosen."""


async def account_errors(settings: ProviderSettings, patience: timedelta) -> list[str]:
    """Ask the provider about our account, only by reading; return a sentence for each error that it reports.

    Each request ends after `patience`.

    Raises:
        ValueError: A setting can't be used, which only the client can check.
    """
    client = settings.client(ClientOptions(public_base_urls=("",), timeout=patience, max_connections=1))
    try:
        return await client.check_account()
    finally:
        await client.aclose()
