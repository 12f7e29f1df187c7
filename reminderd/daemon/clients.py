"""Build the client of the provider that is configured, or of the sandbox."""

from base64 import b64encode
from datetime import timedelta
from secrets import token_bytes, token_urlsafe
from typing import Final

from attrs import field, frozen

from reminderd.config import Config
from reminderd.core.answers import Capabilities
from reminderd.providers.base import ProviderClient
from reminderd.providers.generic.client import GenericProvider
from reminderd.providers.generic.webhooks import standard_webhooks
from reminderd.providers.settings import ClientOptions

_SANDBOX_KEY_LIFETIME: Final = timedelta(hours=23)


@frozen
class SandboxSecrets:
    """What the sandbox and its client share, made anew at each start."""

    api_key: str = field(factory=token_urlsafe, repr=False)
    webhook_secret: str = field(factory=lambda: f"whsec_{b64encode(token_bytes(32)).decode()}", repr=False)


def client(config: Config, *, own_url: str, earlier_urls: tuple[str, ...] = ()) -> ProviderClient:
    """Return the client of the provider that is configured; not of the sandbox, for which see `client_of_sandbox`.

    Args:
        config: the clinic's.
        own_url: where webhooks are accepted, if the configuration does not say it.
        earlier_urls: where they were accepted before; calls under way may carry those.
    """
    return config.provider.settings.client(_options(config, config.web.public_base_url or own_url, *earlier_urls))


async def mistakes_online(config: Config) -> list[str]:
    """Return what the provider itself says is wrong, a sentence each. It only reads; the sandbox is not asked."""
    if config.provider.kind == "sandbox":
        return []
    provider = client(config, own_url="")
    try:
        return await provider.check_account()
    finally:
        await provider.aclose()


def client_of_sandbox(
    config: Config, *, api_url: str, secrets: SandboxSecrets, earlier_urls: tuple[str, ...] = ()
) -> ProviderClient:
    """Return the client of the sandbox: the generic one, as the sandbox is a provider like any other."""
    del earlier_urls  # the sandbox reports to this machine
    return GenericProvider(
        api_url=api_url,
        api_key=secrets.api_key,
        capabilities=Capabilities(honors_key=True, key_lifetime=_SANDBOX_KEY_LIFETIME, look_up=True),
        verify_webhook=standard_webhooks(secrets.webhook_secret),
        options=_options(config),
        is_sandbox=True,
    )


def _options(config: Config, *public_base_urls: str) -> ClientOptions:
    return ClientOptions(
        public_base_urls=public_base_urls,
        timeout=timedelta(seconds=config.provider.timeout_seconds),
        max_connections=2 * config.worker.dialers,
    )
