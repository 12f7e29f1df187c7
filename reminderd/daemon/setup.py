"""Build everything that depends on the configuration, at the start and again at each reload."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import trio
from attrs import define, field, frozen
from quart_trio import QuartTrio

from reminderd.clock import Clock
from reminderd.config import Config, reading_of, rules_of
from reminderd.core.rules import Rules
from reminderd.core.wrong_tokens import networks
from reminderd.daemon.cluster import Membership, Share
from reminderd.daemon.readiness import NO_SUPERVISOR, Supervisor, Watch
from reminderd.daemon.recorder import DatabaseRecorder, mint, note_answer
from reminderd.daemon.side_jobs import SideJob, side_jobs
from reminderd.engine.context import Context, Memory, log_transition
from reminderd.engine.poller import Poller
from reminderd.instruments import Instruments
from reminderd.providers.base import ProviderClient
from reminderd.providers.base_settings import ClientOptions, ProviderSettings
from reminderd.staff.obstacles import Examined
from reminderd.store.database import Database
from reminderd.store.feed import Feed
from reminderd.web.access import Throttle
from reminderd.web.api import Api
from reminderd.web.app import Health, Webhooks, build_app, build_metrics_app
from reminderd.web.bodies import RequestLimits

if TYPE_CHECKING:  # loaded only if the pages are configured
    from reminderd.desk.state import DeskBase

DaemonPart = Literal["dial", "web"]


@frozen(kw_only=True)
class Options:
    """Settings of a run that are not in the configuration."""

    only: DaemonPart | None = None
    """`dial` claims and dials but receives no webhooks, `web` the reverse; None does both."""
    sandbox_pace: float = 1.0
    """The seconds that each part of a simulated call takes."""
    supervisor: Supervisor = NO_SUPERVISOR
    """Who is notified of the run's state."""
    knows_one_call: bool = False
    """Whether this process replaces the daemon for only one call: see `Webhooks`."""


@define(kw_only=True)
class DaemonState:
    """Everything that a process keeps until its end, and the current setup."""

    options: Options
    clock: Clock
    database: Database
    instruments: Instruments
    memory: Memory
    client: Callable[..., ProviderClient]
    """Builds the configured provider's client."""
    stopping: trio.Event
    """Set to end the process."""
    started_at: datetime
    membership: Membership
    """This process among all daemons on the database."""
    desk: "DeskBase | None" = None
    """What the front desk's pages keep; None if this process has no pages."""
    public_base_urls: tuple[str, ...] = ()
    """The addresses at which the provider may reach us: the current one and, for calls under way, earlier ones."""
    current: "Setup" = field(init=False)

    async def stop(self) -> None:
        """Once the process is to end, end the current setup."""
        await self.stopping.wait()
        self.current.stopping.set()

    def switch_to(self, setup: "Setup") -> "Setup":
        """Make a setup the current one, and return the previous one, which claims and sends nothing more.

        The new setup answers all new requests to the web server. The old one answers the requests in progress.
        """
        before, self.current = self.current, setup
        before.stopping.set()
        self.membership.follow(setup.share)
        return before


@frozen(kw_only=True)
class Setup:
    """Everything that is built from one configuration. Nothing in it is replaced: a reload builds another setup."""

    config: Config
    context: Context
    examined: Examined
    """Which waiting reminders can't be called, as far as it is known."""
    poller: Poller | None
    """None if this process does not dial."""
    app: QuartTrio
    metrics_app: QuartTrio | None
    """The page for Prometheus; None if `[metrics].port` is not set."""
    desk_app: QuartTrio | None
    """None if this process has no pages for the front desk."""
    side_jobs: Sequence[SideJob]

    @property
    def stopping(self) -> trio.Event:
        """Return the event that ends this setup, at the stop and at a reload."""
        return self.context.stopping

    def take_over(self, before: "Setup | None") -> None:
        """Apply the configuration to the memory, once the setup `before` claims nothing more.

        A pause ends with the next probe; after a change of the provider's settings, a probe may be sent at once.
        """
        memory, provider, now = self.context.memory, self.config.provider, self.context.clock.monotonic()
        memory.adjust(dialers=self.config.worker.dialers, backoff=self.context.rules.backoff)
        if before is None:
            return
        former = before.config.provider
        if provider.settings != former.settings:
            memory.breaker.probe_soon(now)  # another key may be accepted
        memory.breaker.address.probe_soon(now)  # what keeps the provider from us is usually not in this file

    async def claims_ended(self) -> None:
        """Wait until this setup claims nothing more; its requests may still be in flight."""
        await self.stopping.wait()
        if self.poller is not None:
            await self.poller.claims_ended.wait()

    async def dial(self) -> None:
        """Claim and call until the end of this setup; return when its requests in flight have ended, too."""
        try:
            if self.poller is not None:
                await self.poller.run()
            else:
                await self.stopping.wait()
        finally:
            with trio.CancelScope(shield=True):
                await self.context.provider.aclose()

    @property
    def share(self) -> Share:
        """Return the part of this configuration that matters to the other daemons."""
        jobs = frozenset(one.job for one in self.side_jobs if one.job is not None)
        return Share(rules_digest=self.context.rules.digest, jobs=jobs)

    async def do_side_jobs(self, membership: Membership) -> None:
        """Send alerts and changes, import files, and do the daily jobs, until the end of this setup."""
        async with trio.open_nursery() as nursery:
            for one in self.side_jobs:
                if one.job is None:
                    nursery.start_soon(one.do)
                else:
                    nursery.start_soon(membership.do_alone, one.job, one.do, self.stopping)
            await self.stopping.wait()


def set_up(config: Config, daemon: DaemonState) -> Setup:
    """Build everything from a configuration. It has no effect yet: see `DaemonState.switch_to`."""
    options, clock, instruments = daemon.options, daemon.clock, daemon.instruments
    earlier = tuple(url for url in daemon.public_base_urls if url != config.web.public_base_url)
    provider = daemon.client(config, earlier_urls=earlier)
    context = Context(
        database=daemon.database,
        provider=provider,
        memory=daemon.memory,
        clock=clock,
        rules=rules_of(config, provider=provider.name, account=provider.account, capabilities=provider.capabilities),
        timeout=timedelta(seconds=config.provider.timeout_seconds),
        stopping=trio.Event(),
        instruments=instruments,
    )
    examined = Examined(context.rules.numbering)
    dials = options.only != "web"
    sends = bool(config.results.url)
    look = Watch(context=context, dials=dials, started_at=daemon.started_at, membership=daemon.membership, sends=sends)

    feed = Feed(daemon.database, context.stopping)

    def answered(status: int) -> None:
        instruments.webhook(status, clock.now())
        note_answer(status, daemon.memory.breaker.address)

    recorder = DatabaseRecorder(
        database=daemon.database,
        rules=context.rules,
        breaker=daemon.memory.breaker,
        knows_one_call=options.knows_one_call,
    )
    app = build_app(
        webhooks=Webhooks(
            provider=provider, recorder=recorder, answered=answered, knows_one_call=options.knows_one_call
        ),
        health=Health(readiness=look.readiness, doings=look.doings),
        limits=RequestLimits(body_bytes=config.web.max_body_bytes),
        api=api_of(config, database=daemon.database, rules=context.rules, feed=feed),
        throttle=Throttle(networks(config.web.trusted_proxies), context.stopping),
    )
    interval = timedelta(seconds=config.worker.poll_interval_seconds)
    setup = Setup(
        config=config,
        context=context,
        examined=examined,
        poller=Poller(context=context, interval=interval, mint=mint) if dials else None,
        app=app,
        metrics_app=build_metrics_app(look.scrape) if config.metrics.port else None,
        desk_app=None if daemon.desk is None else _desk_app(config, context, daemon.desk, look, examined),
        side_jobs=tuple(side_jobs(config, context, feed)) if dials else (),
    )
    daemon.public_base_urls = tuple(url for url in (config.web.public_base_url, *earlier) if url)
    return setup


def api_of(config: Config, *, database: Database, rules: Rules, feed: Feed) -> Api | None:
    """Return the API for the clinic's own system; None if the clinic has set no token for it."""
    if not config.api.token:
        return None
    return Api(
        token=config.api.token,
        reading=reading_of(config),
        rules=rules,
        database=database,
        feed=feed,
        log=log_transition,
    )


def _desk_app(config: Config, context: Context, base: "DeskBase", look: Watch, examined: Examined) -> QuartTrio:
    """Return the front desk's pages."""
    from reminderd.desk.routing import build_desk_app  # noqa: PLC0415 - loaded only if the pages are configured
    from reminderd.desk.state import Desk  # noqa: PLC0415

    return build_desk_app(
        Desk(
            config=config,
            base=base,
            database=context.database,
            clock=context.clock,
            rules=context.rules,
            doings=look.report,
            examined=examined,
            stopping=context.stopping,
        )
    )


def asking_address(config: Config) -> str:
    """Return the address at which the provider asks what to say; empty if the provider does not ask."""
    return config.web.public_base_url if config.provider.settings.asks_what_to_say else ""


def provider_client(
    config: Config, *, own_url: str, earlier_urls: tuple[str, ...] = (), sandbox: ProviderSettings | None = None
) -> ProviderClient:
    """Return the client of the provider that is configured.

    Args:
        config: the clinic's configuration.
        own_url: where webhooks are accepted, if that is not configured.
        earlier_urls: where webhooks were accepted earlier; calls under way may use these addresses.
        sandbox: the running sandbox, if it is the configured provider.
    """
    return (sandbox or config.provider.settings).client(
        ClientOptions(
            public_base_urls=(config.web.public_base_url or own_url, *earlier_urls),
            timeout=timedelta(seconds=config.provider.timeout_seconds),
            max_connections=2 * config.worker.dialers,
        )
    )
