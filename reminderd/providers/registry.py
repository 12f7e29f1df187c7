"""The providers that can be configured. A new one is a folder, and a line here."""

from typing import Final

from reminderd.providers.generic.settings import GenericSettings
from reminderd.providers.settings import ProviderSettings
from reminderd.providers.twilio.settings import TwilioSettings

PROVIDERS: Final[dict[str, type[ProviderSettings]]] = {
    TwilioSettings.name: TwilioSettings,
    GenericSettings.name: GenericSettings,
}
"""By `[provider].kind`; where that is not set, the first provider is chosen whose key `chosen_by` is set."""
