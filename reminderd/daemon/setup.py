"""Build everything that depends on the configuration: at the start, and anew at each reload."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, time, timedelta
from functools import partial
from typing import Final, Literal

import trio
from attrs import define, evolve, field, frozen
from loguru import logger
from quart_trio import QuartTrio

from reminderd.clock import Clock
from reminderd.config import Config, expected_of, rules_of
from reminderd.core.daemons import Job
from reminderd.core.schedule.time_zones import Daily
from reminderd.core.wrong_tokens import networks
from reminderd.daemon.cluster import Membership, Share
from reminderd.daemon.endpoints import api, mint, note_answer, webhooks
from reminderd.daemon.readiness import NO_SUPERVISOR, Supervisor, Watch
from reminderd.daemon.side_jobs import (
    Alerts,
    DailyJob,
    DropFolder,
    FilesOfPatients,
    SideJob,
    backups,
    by_apprise,
    change_retention,
    do_daily,
    import_what_is_dropped,
    old_files,
    retention,
    watch,
)
from reminderd.desk.context import Desk, DeskBase
from reminderd.engine.context import Context, Memory
from reminderd.engine.poller import Poller
from reminderd.imports.folder import Folder, forget
from reminderd.metrics import Instruments
from reminderd.providers.base import ClientOptions, ProviderClient, ProviderSettings
from reminderd.results.answer_files import Files, every, forget_answers, keep_writing
from reminderd.results.forms import Form
from reminderd.results.webhook import Destination, Sender
from reminderd.staff.examined import Examined
from reminderd.store.changes import FOLDER, WEBHOOK
from reminderd.store.database import Database
from reminderd.store.feed import Feed
from reminderd.web.api import Throttle
from reminderd.web.app import Health, build_app, build_metrics_app
from reminderd.web.bodies import RequestLimits

_AFTER_AN_ERROR: Final = 60.0
"""Seconds before a part that has failed unexpectedly is started again."""

Part = Literal["dial", "web"]


@frozen(kw_only=True)
class Options:
    """What the configuration does not say about a run."""

    only: Part | None = None
    """`dial` claims and dials but receives no webhooks, `web` the reverse; None does both."""
    sandbox_pace: float = 1.0
    """Seconds that each part of a simulated call takes."""
    supervisor: Supervisor = NO_SUPERVISOR
    """Is notified of the run's state."""
    knows_one_call: bool = False
    """Whether it stands in for the daemon with a database of one call: see `build_app`."""


@define(kw_only=True)
class DaemonState:
    """Everything that a process keeps until its end, and the setup that is in force."""

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
    """Among all daemons on the database."""
    desk: DeskBase | None = None
    """What the front desk's pages keep; None: this process has no such pages."""
    public_base_urls: tuple[str, ...] = ()
    """Where the provider may reach us: the present address and, for calls under way, the earlier ones."""
    current: "Setup" = field(init=False)

    async def stop(self) -> None:
        """Once the process is to end, end the setup in force."""
        await self.stopping.wait()
        self.current.stopping.set()

    def switch_to(self, setup: "Setup") -> "Setup":
        """Put a setup in force, and return the one before, which claims and sends nothing more.

        Requests to the web server are answered by the new one at once. Those under way are answered by the old one.
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
    """None: this process does not dial."""
    app: QuartTrio
    metrics_app: QuartTrio
    desk_app: QuartTrio | None
    """None: this process has no pages for the front desk."""
    side_jobs: Sequence[SideJob]

    @property
    def stopping(self) -> trio.Event:
        """Return what is set to end this setup, at the stop and at a reload."""
        return self.context.stopping

    def take_over(self, before: "Setup | None") -> None:
        """Apply the configuration to the memory, once the setup before claims nothing more.

        A pause ends with the next probe; after a change of the provider's settings, a probe may be sent at once.
        """
        memory, provider, now = self.context.memory, self.config.provider, self.context.clock.monotonic()
        memory.adjust(dialers=self.config.worker.dialers, backoff=self.context.rules.backoff)
        if before is None:
            return
        former = before.config.provider
        if provider.settings != former.settings:
            memory.breaker.probe_soon(now)  # another key: what was refused may be accepted now
        memory.breaker.address.probe_soon(now)  # what keeps the provider from us is usually not in this file

    async def claims_ended(self) -> None:
        """Wait until this setup claims nothing more; its requests in flight may go on."""
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
        """Return what this configuration decides about the daemon's share of what one does for all."""
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

    app = build_app(
        webhooks=webhooks(context, provider, knows_one_call=options.knows_one_call),
        health=Health(readiness=look.readiness, doings=look.doings),
        limits=RequestLimits(body_bytes=config.web.max_body_bytes),
        api=api(config, database=daemon.database, rules=context.rules, feed=feed),
        throttle=Throttle(networks(config.web.trusted_proxies), context.stopping),
        answered=answered,
        knows_one_call=options.knows_one_call,
    )
    interval = timedelta(seconds=config.worker.poll_interval_seconds)
    setup = Setup(
        config=config,
        context=context,
        examined=examined,
        poller=Poller(context=context, interval=interval, mint=mint) if dials else None,
        app=app,
        metrics_app=build_metrics_app(look.scrape),
        desk_app=None if daemon.desk is None else _desk_app(config, context, daemon.desk, look, examined),
        side_jobs=tuple(_side_jobs(config, context, feed)) if dials else (),
    )
    daemon.public_base_urls = tuple(url for url in (config.web.public_base_url, *earlier) if url)
    return setup


def _desk_app(config: Config, context: Context, base: DeskBase, look: Watch, examined: Examined) -> QuartTrio:
    """Return the front desk's pages."""
    from reminderd.desk.app import build_desk_app  # noqa: PLC0415 - only a clinic that has the pages waits for them

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


def address_of(config: Config) -> str:
    """Return the address at which the provider asks what to say; empty if this one does not ask."""
    return config.web.public_base_url if config.provider.settings.asks_what_to_say else ""


def _side_jobs(config: Config, context: Context, feed: Feed) -> Iterator[SideJob]:
    """Yield everything that is done next to the calls."""
    database, clock, stopping = context.database, context.clock, context.stopping
    if config.alerts.urls:
        alerts = Alerts(
            database=database,
            clock=clock,
            send=by_apprise(config.alerts.urls),
            every=timedelta(seconds=config.alerts.every_seconds),
            stopping=stopping,
            expected=expected_of(config),
        )
        yield SideJob(partial(watch, alerts), Job.ALERTS)
    if config.import_.path is not None:
        drop = DropFolder(
            folder=Folder(config.import_.path), config=config, database=database, clock=clock, stopping=stopping
        )
        yield SideJob(partial(import_what_is_dropped, drop))
    for job, deliver in _results(config, context, feed):
        yield SideJob(partial(_keep_running, deliver, stopping), job)
    for daily in daily_jobs(config, database=database, clock=clock, stopping=stopping):
        yield SideJob(partial(do_daily, daily), daily.job)


async def _keep_running(deliver: Callable[[], Awaitable[None]], stopping: trio.Event) -> None:
    """Deliver changes until `stopping` is set, whatever goes wrong: no calls depend on it."""
    while not stopping.is_set():
        try:
            await deliver()
        except Exception:  # noqa: BLE001 - a bug in what can wait must not stop the calls
            logger.exception("results: unexpected error; tried again in a minute")
            with trio.move_on_after(_AFTER_AN_ERROR):
                await stopping.wait()


def _results(config: Config, context: Context, feed: Feed) -> Iterator[tuple[Job, Callable[[], Awaitable[None]]]]:
    """Yield what delivers changes of outcomes, for each way that is configured."""
    results, zone = config.results, config.calling.zone
    database, clock, stopping = context.database, context.clock, context.stopping
    if results.url:
        destination = Destination(url=results.url, secret=results.secret)

        async def send() -> None:
            sender = Sender(destination=destination, database=database, feed=feed, clock=clock, stopping=stopping)
            await sender.run()

        yield Job.RESULTS_WEBHOOK, send
    if results.path is not None:
        profile = config.import_.profiles.get(results.profile)
        named = {} if profile is None else profile.columns
        columns = {field: header for field, header in named.items() if header}
        form = Form(format=results.format, columns=columns, zone=zone)
        due = every(results.every_minutes) if results.every_minutes else Daily(at=time(), zone=zone).due
        files = Files(
            folder=results.path,
            form=form,
            profile=results.profile,
            due=due,
            database=database,
            clock=clock,
            stopping=stopping,
        )
        yield Job.RESULTS_FOLDER, partial(keep_writing, files)


def daily_jobs(config: Config, *, database: Database, clock: Clock, stopping: trio.Event) -> list[DailyJob]:
    """Return what is done once a day, one thing after the other."""
    found, zone = [], config.calling.zone
    if config.backup.path is not None and config.database.path is not None:
        backup = partial(backups, config.database.path, config.backup.path, keep=config.backup.keep)
        found.append(backup(daily=Daily(at=config.backup.time, zone=zone), clock=clock, stopping=stopping))
    daily = Daily(at=config.retention.time, zone=zone)
    days = config.retention.days
    found.append(retention(database, daily=daily, days=days, clock=clock, stopping=stopping))
    of_files = partial(old_files, daily=daily, days=days, clock=clock, stopping=stopping)
    found += map(of_files, _files_of_patients(config) if days else ())
    days = config.retention.changes_days
    ways = [way for way, is_used in ((WEBHOOK, config.results.url), (FOLDER, config.results.folder)) if is_used]
    found.append(change_retention(database, daily=daily, days=days, ways=ways, clock=clock, stopping=stopping))
    turn = trio.Lock()
    return [evolve(job, turn=turn) for job in found]


def _files_of_patients(config: Config) -> list[FilesOfPatients]:
    found = []
    if config.import_.path is not None:
        found.append(FilesOfPatients("[import].folder", partial(forget, config.import_.path)))
    if config.results.path is not None:
        found.append(FilesOfPatients("[results].folder", partial(forget_answers, config.results.path)))
    return found


def client(
    config: Config, *, own_url: str, earlier_urls: tuple[str, ...] = (), sandbox: ProviderSettings | None = None
) -> ProviderClient:
    """Return the client of the provider that is configured.

    Args:
        config: the clinic's.
        own_url: where webhooks are accepted, if the configuration does not say it.
        earlier_urls: where they were accepted before; calls under way may carry those.
        sandbox: the running sandbox, if that is what is configured.
    """
    return (sandbox or config.provider.settings).client(
        ClientOptions(
            public_base_urls=(config.web.public_base_url or own_url, *earlier_urls),
            timeout=timedelta(seconds=config.provider.timeout_seconds),
            max_connections=2 * config.worker.dialers,
        )
    )
