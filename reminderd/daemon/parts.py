"""The parts of a running daemon, each made from the configuration."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from secrets import token_bytes, token_urlsafe
from typing import Final
from uuid import uuid4

import trio
from attrs import field, frozen

from reminderd.breaker import Breaker
from reminderd.checker import Checker, check
from reminderd.clock import Clock
from reminderd.config import Config
from reminderd.core.rules import Rules
from reminderd.dialer import Dialer, dial
from reminderd.pacing import Pacing
from reminderd.poller import Duties, Poller
from reminderd.providers.base import Provider
from reminderd.providers.generic import GenericProvider
from reminderd.providers.webhook_auth import Verifier, bearer, standard_webhooks, unsigned
from reminderd.store.database import Database

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


def mint() -> str:
    """A new unguessable id."""
    return str(uuid4())


def poller(
    config: Config,
    *,
    database: Database,
    provider: Provider,
    breaker: Breaker,
    rules: Rules,
    clock: Clock,
    stopping: trio.Event,
) -> Poller:
    """The poll loop with its dialer and its checker."""
    dialer = Dialer(
        database=database,
        provider=provider,
        breaker=breaker,
        clock=clock,
        rules=rules,
        timeout=timedelta(seconds=config.provider.timeout_seconds),
        stopping=stopping,
    )
    checker = Checker(database=database, provider=provider, rules=rules, mint=mint)
    return Poller(
        database=database,
        clock=clock,
        rules=rules,
        pacing=Pacing(config.provider.calls_per_second),
        breaker=breaker,
        duties=Duties(dial=partial(dial, dialer=dialer), check=partial(check, checker=checker)),
        lines=trio.CapacityLimiter(config.worker.dialers),
        checkers=trio.CapacityLimiter(config.worker.dialers),
        interval=timedelta(seconds=config.worker.poll_interval_seconds),
        stopping=stopping,
        mint=mint,
        beat=clock.monotonic(),
    )


def client(config: Config) -> GenericProvider:
    """The client of the provider that is configured."""
    generic = config.provider.generic
    return GenericProvider(
        api_url=generic.api_url,
        api_key=generic.api_key,
        timeout=timedelta(seconds=config.provider.timeout_seconds),
        verify_webhook=_VERIFIERS[generic.webhook_auth](generic.webhook_secret),
        honours_key=generic.honours_idempotency_key,
        key_lifetime=timedelta(seconds=generic.idempotency_key_seconds),
        look_up=generic.look_up,
        max_connections=2 * config.worker.dialers,
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
    )
