"""The client of the provider that is configured."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import timedelta
from secrets import token_bytes, token_urlsafe
from typing import Final

from attrs import field, frozen

from reminderd.config import Config
from reminderd.providers.generic import GenericProvider
from reminderd.providers.twilio.account import mistakes_in
from reminderd.providers.twilio.api import Account
from reminderd.providers.twilio.client import CallSettings, TwilioProvider
from reminderd.providers.webhook_auth import Verifier, bearer, standard_webhooks, unsigned

_SANDBOX_KEY_LIFETIME: Final = timedelta(hours=23)

_VERIFIERS: Final[Mapping[str, Callable[[str], Verifier]]] = {
    "standard-webhooks": standard_webhooks,
    "bearer": bearer,
    "none": lambda _secret: unsigned(),
}


@frozen
class SandboxSecrets:
    """What the sandbox and its client share, made anew at each start."""

    api_key: str = field(factory=token_urlsafe, repr=False)
    webhook_secret: str = field(factory=lambda: f"whsec_{b64encode(token_bytes(32)).decode()}", repr=False)


def client(config: Config, *, own_url: str) -> GenericProvider | TwilioProvider:
    """The client of the provider that is configured; not of the sandbox, for which see `client_of_sandbox`.

    Args:
        config: the clinic's.
        own_url: where webhooks are taken, should the configuration say nothing of it.
    """
    timeout, connections = timedelta(seconds=config.provider.timeout_seconds), 2 * config.worker.dialers
    if config.provider.kind == "twilio":
        twilio = config.provider.twilio
        return TwilioProvider(
            account=account(config),
            public_base_url=config.web.public_base_url or own_url,
            api_url=twilio.api_url,
            timeout=timeout,
            max_connections=connections,
            settings=CallSettings(
                ring_for=timedelta(seconds=twilio.ring_seconds),
                last_at_most=timedelta(seconds=twilio.max_call_seconds),
                machine_detection=None if twilio.machine_detection == "off" else twilio.machine_detection,
            ),
        )
    generic = config.provider.generic
    return GenericProvider(
        api_url=generic.api_url,
        api_key=generic.api_key,
        timeout=timeout,
        verify_webhook=_VERIFIERS[generic.webhook_auth](generic.webhook_secret),
        honours_key=generic.honors_idempotency_key,
        key_lifetime=timedelta(seconds=generic.idempotency_key_seconds),
        look_up=generic.look_up,
        max_connections=connections,
    )


async def mistakes_online(config: Config) -> list[str]:
    """What the provider itself says is wrong, asked by reading only; a sentence each, empty: nothing."""
    if config.provider.kind == "sandbox":
        return []
    provider = client(config, own_url="")
    try:
        if isinstance(provider, TwilioProvider):
            return await mistakes_in(provider.api)
        trouble = await provider.trouble()
        return [] if trouble is None else [trouble]
    finally:
        await provider.aclose()


def account(config: Config) -> Account:
    """Who we are to Twilio."""
    twilio = config.provider.twilio
    return Account(
        sid=twilio.account_sid,
        auth_token=twilio.auth_token,
        secondary_auth_token=twilio.secondary_auth_token,
        from_number=twilio.from_number,
    )


def client_of_sandbox(config: Config, api_url: str, secrets: SandboxSecrets) -> GenericProvider:
    """The client of the sandbox: the generic one, as to us the sandbox is a provider like any other."""
    return GenericProvider(
        api_url=api_url,
        api_key=secrets.api_key,
        timeout=timedelta(seconds=config.provider.timeout_seconds),
        verify_webhook=standard_webhooks(secrets.webhook_secret),
        honours_key=True,
        key_lifetime=_SANDBOX_KEY_LIFETIME,
        look_up=True,
        max_connections=2 * config.worker.dialers,
        name="sandbox",
        account="sandbox",
    )
