"""The parts that follow the configuration while the daemon runs, each in its present form."""

from datetime import timedelta

import trio
from attrs import define, field

from reminderd.alerts import Alerts
from reminderd.breaker import Breaker
from reminderd.clock import Clock
from reminderd.config import Config, rules_of
from reminderd.core.rules import Rules
from reminderd.daemon.clients import with_secrets_of
from reminderd.daemon.doors import door
from reminderd.daemon.intake import api
from reminderd.daemon.parts import duties, send
from reminderd.metrics import Instruments
from reminderd.poller import Poller
from reminderd.providers.generic import GenericProvider
from reminderd.providers.twilio.client import TwilioProvider
from reminderd.store.database import Database
from reminderd.web.api import Api
from reminderd.web.door import Door


@define(kw_only=True)
class Live:
    """What holds now, and what it is made for. Parts are replaced, never changed: what works with one keeps it."""

    database: Database
    breaker: Breaker
    clock: Clock
    stopping: trio.Event
    instruments: Instruments
    poller: Poller | None
    """None if this process claims nothing."""
    alerts: Alerts | None
    """None if this process tells nobody."""
    config: Config
    provider: GenericProvider | TwilioProvider
    rules: Rules
    door: Door = field(init=False)
    """The provider's."""
    api: Api | None = field(init=False)
    """The door of the clinic's own system, if there is one now."""

    def __attrs_post_init__(self) -> None:
        self.door = self._door(self.config, self.provider, self.rules)
        self.api = api(self.config, database=self.database, rules=self.rules)

    def follow(self, config: Config) -> None:
        """Go by this configuration from here on: it differs from the present one only in what may change now.

        A request that is under way, and a webhook that is being answered, end by what they began with. If anything here
        raises, nothing has changed.
        """
        before, now = self.config, self.clock.monotonic()
        provider = with_secrets_of(config, self.provider)
        rules = rules_of(config, provider=provider.name, capabilities=provider.capabilities)
        provider_door = self._door(config, provider, rules)
        own_door = api(config, database=self.database, rules=rules)
        tell = send(config)
        hand_over_to = duties(
            config,
            database=self.database,
            provider=provider,
            breaker=self.breaker,
            rules=rules,
            clock=self.clock,
            stopping=self.stopping,
            instruments=self.instruments,
        )
        self.config, self.provider, self.rules = config, provider, rules
        self.door, self.api = provider_door, own_door
        self.breaker.backoff = rules.backoff
        of_provider, of_provider_before = config.provider, before.provider
        if (of_provider.generic, of_provider.twilio) != (of_provider_before.generic, of_provider_before.twilio):
            # Another key: what was refused may be taken now.
            self.breaker.probe_soon(now)
        if self.poller is not None:
            self.poller.pacing.change(config.provider.calls_per_second, now)
            self.poller.change(rules=rules, duties=hand_over_to)
        if self.alerts is not None and config.alerts != before.alerts:
            self.alerts.change(send=tell, every=timedelta(seconds=config.alerts.every_seconds))

    def _door(self, config: Config, provider: GenericProvider | TwilioProvider, rules: Rules) -> Door:
        return door(config, provider=provider, database=self.database, rules=rules, breaker=self.breaker)
