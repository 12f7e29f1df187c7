"""The section `[provider.generic]`, and the settings of the sandbox, which speaks the same contract."""

from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from secrets import token_bytes, token_urlsafe
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from reminderd import validators
from reminderd.keys import choice, file_path, missing_secret, positive, secret, switch, url
from reminderd.providers.base_settings import CheckError, ClientOptions, Probe, ProviderSettings

if TYPE_CHECKING:
    from reminderd.providers.base import ProviderClient


@frozen(kw_only=True)
class GenericSettings(ProviderSettings):
    """A provider that speaks the generic contract. An empty text means that the key is not set."""

    name = "generic"
    chosen_by = "api_url"
    account_keys = ("api_url",)
    reloadable_keys = ("webhook_auth",)
    environment = {"VOICE_PROVIDER_API_URL": "api_url", "VOICE_PROVIDER_API_KEY": "api_key"}  # noqa: RUF012

    api_url: str = url()
    api_key: str = secret()
    api_key_file: str = file_path()
    webhook_auth: Literal["standard-webhooks", "bearer", "none"] = choice(
        "standard-webhooks", "standard-webhooks", "bearer", "none"
    )
    webhook_secret: str = secret("text", None)
    webhook_secret_file: str = file_path()
    honors_idempotency_key: bool = switch(default=False)
    idempotency_key_seconds: float = positive(82_800.0, 365 * 86_400)
    look_up: bool = switch(default=False)

    @property
    def server(self) -> str:
        """Return the URL of its API."""
        return self.api_url

    def errors(self, _public_base_url: str) -> Iterator[CheckError]:
        """Cross-check the section once the provider is chosen."""
        section = ("provider", self.name)
        api_key, webhook_secret = (*section, "api_key"), (*section, "webhook_secret")
        of_webhooks = (webhook_secret, (*section, "webhook_auth"))
        if not self.api_url:
            yield (
                ((*section, "api_url"),),
                "is missing; expected the URL of the provider's API, to which /calls is added",
            )
        if not self.api_key:
            yield (api_key,), missing_secret(api_key)
        if self.webhook_auth != "none" and not self.webhook_secret:
            yield of_webhooks, missing_secret(webhook_secret)
        elif self.webhook_auth != "none":
            check = validators.bearer_error if self.webhook_auth == "bearer" else validators.webhook_key_error
            found = check(self.webhook_secret)
            if found is not None:
                yield of_webhooks, found

    def setup_hint(self, public_base_url: str) -> str:
        """Return what the admin must set at the provider."""
        if not public_base_url:
            return "[web].public_base_url is not set: with it, this prints the webhook URL to set at the provider"
        return f"set at the provider, for its webhooks: {public_base_url}/webhooks/call-status"

    def client(self, options: ClientOptions) -> "ProviderClient":
        """Return the client."""
        # Only here: reading the configuration needs no HTTP client.
        from reminderd.providers.generic.client import GenericProvider  # noqa: PLC0415

        return GenericProvider(self, options)

    def probe(self, _public_base_url: str, now: datetime) -> Probe | None:
        """Return a webhook to check the web server with."""
        from reminderd.providers.generic.webhooks import probe  # noqa: PLC0415 - as in `client`

        return probe(self.webhook_auth, self.webhook_secret, now)


@frozen(kw_only=True)
class SandboxSettings(GenericSettings):
    """The simulated provider inside the daemon. It has no section, as its URL and its secrets are new at each start.

    The URL is known once the sandbox listens.
    """

    name = "sandbox"

    api_key: str = field(factory=token_urlsafe, repr=False)
    webhook_secret: str = field(factory=lambda: f"whsec_{b64encode(token_bytes(32)).decode()}", repr=False)
    honors_idempotency_key: bool = True
    look_up: bool = True

    def errors(self, _public_base_url: str) -> Iterator[CheckError]:
        """Return no error: there is nothing to set."""
        return iter(())

    def setup_hint(self, _public_base_url: str) -> str:
        """Return that there is nothing to set."""
        return "all calls are simulated, and no phone rings: [provider] names the one that calls patients"
