"""The parts that follow the configuration while the daemon runs, each in its present form."""

from datetime import timedelta

from attrs import define, evolve, field

from reminderd.alerts import Alerts
from reminderd.config import Config, wording_of
from reminderd.core.rules import Rules
from reminderd.daemon.clients import with_secrets_of
from reminderd.daemon.intake import api
from reminderd.daemon.parts import rules_with, send
from reminderd.daemon.recorder import DatabaseRecorder
from reminderd.engine.context import Context
from reminderd.engine.poller import Poller
from reminderd.providers.base import ProviderClient
from reminderd.web.api import Api
from reminderd.web.webhooks import Webhooks


@define(kw_only=True)
class Live:
    """What holds now. Parts are replaced, never changed: what works with one keeps it."""

    config: Config
    provider: ProviderClient
    context: Context
    poller: Poller | None
    """None if this process claims nothing."""
    alerts: Alerts | None
    """None if this process alerts nobody."""
    knows_one_call: bool = False
    """Whether this process stands in for the daemon with one call only."""
    webhooks: Webhooks = field(init=False)
    """The provider's."""
    api: Api | None = field(init=False)
    """The API for the clinic's own system, if there is one now."""

    def __attrs_post_init__(self) -> None:
        self.webhooks = self._webhooks(self.config, self.provider, self.context.rules)
        self.api = api(self.config, database=self.context.database, rules=self.context.rules)

    def follow(self, config: Config) -> None:
        """Go by this configuration from here on: it differs from the present one only in what may change now.

        A request that is under way, and a webhook that is being answered, end by what they began with. If anything here
        raises, nothing has changed.
        """
        before, now = self.config, self.context.clock.monotonic()
        provider = with_secrets_of(config, self.provider)
        rules = rules_with(config, provider)
        webhooks = self._webhooks(config, provider, rules)
        own_api = api(config, database=self.context.database, rules=rules)
        send_alert = send(config)
        self.config, self.provider = config, provider
        self.context = evolve(self.context, provider=provider, rules=rules)
        self.webhooks, self.api = webhooks, own_api
        self.context.breaker.backoff = rules.backoff
        of_provider, of_provider_before = config.provider, before.provider
        if (of_provider.generic, of_provider.twilio) != (of_provider_before.generic, of_provider_before.twilio):
            # Another key: what was refused may be taken now.
            self.context.breaker.probe_soon(now)
        self.context.breaker.address.probe_soon(now)  # what keeps the provider from us is mostly not in this file
        if self.poller is not None:
            self.poller.pacing.change(config.provider.calls_per_second, now)
            self.poller.change(self.context)
        if self.alerts is not None and config.alerts != before.alerts:
            self.alerts.change(send=send_alert, every=timedelta(seconds=config.alerts.every_seconds))

    def _webhooks(self, config: Config, provider: ProviderClient, rules: Rules) -> Webhooks:
        recorder = DatabaseRecorder(
            database=self.context.database,
            rules=rules,
            breaker=self.context.breaker,
            wording=wording_of(config, from_number=config.provider.twilio.from_number),
            knows_one_call=self.knows_one_call,
        )
        return Webhooks(provider=provider, recorder=recorder)
