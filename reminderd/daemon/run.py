"""Run the daemon: everything in one nursery, from the start through its reloads to the graceful shutdown."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from functools import partial
from socket import socket
from typing import TYPE_CHECKING, Final, cast

import trio
from attrs import evolve, frozen
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from loguru import logger

from reminderd.clock import Clock
from reminderd.config import Config, rules_of
from reminderd.daemon.cluster import membership
from reminderd.daemon.readiness import heartbeat_of, keep_notified, warn_of_uncallable
from reminderd.daemon.setup import (
    DaemonState,
    Options,
    Setup,
    asking_address,
    provider_client,
    set_up,
)
from reminderd.daemon.signals import Ended, Reload, cut_off, shutdown_grace, time_to_stop, watch_hangups
from reminderd.desk.private_folder import remove_left_behind
from reminderd.engine.breaker import Breaker
from reminderd.engine.context import Memory
from reminderd.instruments import Instruments
from reminderd.providers.generic.settings import SandboxSettings
from reminderd.store.database import open_database
from reminderd.store.restored import check_history
from reminderd.store.shared_state import note_gap, note_public_address, real_provider, remember_real_provider
from reminderd.web.server import bind, serve, url_of

if TYPE_CHECKING:  # loaded only if the calls are simulated
    from reminderd.sandbox.generic import Sandbox

_PLAIN: Final = Options()


@frozen(kw_only=True)
class Running:
    """How to reach a started daemon."""

    web_url: str | None
    """The URL for webhooks; None if this process accepts none."""
    desk_url: str | None
    """The URL of the front desk's pages; None if this process has none."""
    sandbox: "Sandbox | None"
    """The simulated provider; None if another one is configured."""


@frozen(kw_only=True)
class _Ports:
    """The sockets that this process listens on, which stay the same through all reloads."""

    web: socket | None
    """None if this process accepts no webhooks."""
    metrics: socket | None
    """None if there are no metrics."""
    desk: socket | None
    """None if there are no pages for the front desk."""

    @property
    def web_url(self) -> str:
        """Return the URL for webhooks; empty if this process accepts none."""
        return "" if self.web is None else url_of(self.web)


async def run(
    config: Config,
    *,
    clock: Clock,
    stopping: trio.Event,
    options: Options = _PLAIN,
    reload: Reload | None = None,
    task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED,
) -> bool:
    """Run until `stopping` is set, then stop gracefully: claim nothing more, end the requests, the web, the writer.

    Return whether everything ended in time; False if something was cut off.

    Args:
        config: the configuration until the first reload.
        clock: the clock of the machine.
        stopping: set to end the run; what has not ended after the grace is cut off.
        options: settings of this run that are not in the configuration.
        reload: reads the configuration again at each SIGHUP; None to leave SIGHUP alone.
        task_status: started once webhooks are accepted and the poll loop runs.

    Raises:
        StoreUnusableError: the database can't be opened, or turned out to be damaged.
        StoreUnavailableError: the database could not be opened now.
        OSError: a port can't be used; nothing was started.
    """
    instruments = _instruments(config)
    with _ports(config, takes_webhooks=options.only != "dial") as ports:
        async with AsyncExitStack() as opened:
            database = await opened.enter_async_context(
                open_database(
                    config.database.target,
                    clock,
                    committed=instruments.batch,
                    on_session=partial(
                        check_history,
                        rules=rules_of(config),
                        failover_is_lossless=config.database.failover_is_lossless,
                    ),
                )
            )
            if ports.desk is None:
                desk = None
                remove_left_behind(config.database.uploads)
            else:
                from reminderd.desk.state import open_desk  # noqa: PLC0415 - loaded only if the pages are configured

                desk = await opened.enter_async_context(open_desk(database, config.database.uploads, clock))
            for warning in database.warnings:
                logger.warning(warning)
            kind = config.provider.kind
            if kind not in {"sandbox", await database.read(real_provider)}:
                await database.write(partial(remember_real_provider, kind=kind))
            daemon = DaemonState(
                options=options,
                clock=clock,
                database=database,
                instruments=instruments,
                memory=Memory(breaker=Breaker(rules_of(config).backoff), beat=clock.monotonic()),
                client=partial(provider_client, own_url=ports.web_url),
                stopping=stopping,
                started_at=clock.now(),
                membership=membership(database, clock, part=options.only),
                desk=desk,
            )
            in_time = await _run(daemon, config, ports, reload, task_status)
            await daemon.membership.leave()
    if in_time:
        logger.info("stopped")
    else:
        logger.warning("stopped, with requests or webhooks cut off: their calls are reconciled after the next start")
    return in_time


def _instruments(config: Config) -> Instruments:
    """Return instruments that count for Prometheus if metrics are configured; otherwise, instruments that don't."""
    if not config.metrics.port:
        return Instruments()
    from reminderd.metrics import PrometheusInstruments  # noqa: PLC0415 - its library is loaded only if it is used

    return PrometheusInstruments()


async def _run(
    daemon: DaemonState, config: Config, ports: _Ports, reload: Reload | None, task_status: trio.TaskStatus[Running]
) -> bool:
    """Run with the database open; return whether everything ended in time."""
    ended, sandbox = Ended(), None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cut_off, nursery.cancel_scope, daemon.stopping, ended, shutdown_grace(config))
        if config.provider.kind == "sandbox":
            sandbox = await _start_sandbox(nursery, daemon, ports.web_url, ended)
        daemon.current = set_up(config, daemon)
        daemon.membership.follow(daemon.current.share)
        nursery.start_soon(daemon.stop)
        nursery.start_soon(daemon.membership.keep)
        await daemon.database.write(partial(note_public_address, address=asking_address(config)))
        if ports.web is None:
            ended.webhooks.set()
        else:
            await daemon.database.write(note_gap)
            await nursery.start(_take_webhooks, daemon, ports.web, ended)
        nursery.start_soon(_dial, daemon, ended)
        heartbeat = heartbeat_of(daemon.memory, daemon.clock, dials=daemon.options.only != "web")
        notify = partial(keep_notified, stopping=daemon.stopping, stop_within=time_to_stop(config))
        nursery.start_soon(notify, daemon.options.supervisor, heartbeat)
        nursery.start_soon(_do_side_jobs, daemon)
        if reload is not None:
            await nursery.start(watch_hangups, daemon, reload)
        provider = daemon.current.context.provider.name
        logger.info(f"started: provider {provider}, database {config.database.target.shown_name}")
        nursery.start_soon(warn_of_uncallable, daemon.database, daemon.current.examined)
        if ports.web_url:
            logger.info(f"listening for webhooks at {ports.web_url}")
        if ports.metrics is not None:
            # If there is a port, there is an app, too; the same is true for the desk.
            page = _current(lambda: cast("ASGIFramework", daemon.current.metrics_app))
            url = await nursery.start(partial(serve, page, ports.metrics, shutdown_trigger=ended.both))
            logger.info(f"metrics are at {url}/metrics")
        desk_url = None
        if ports.desk is not None:
            pages = _current(lambda: cast("ASGIFramework", daemon.current.desk_app))
            desk_url = await nursery.start(partial(serve, pages, ports.desk, shutdown_trigger=ended.both))
            logger.info(f"the front desk's pages are at {desk_url}")
        task_status.started(Running(web_url=ports.web_url or None, desk_url=desk_url, sandbox=sandbox))
    return ended.is_complete


async def _start_sandbox(nursery: trio.Nursery, daemon: DaemonState, web_url: str, ended: Ended) -> "Sandbox":
    """Start the simulated provider, which continues through all reloads, and have the daemon call through it."""
    from reminderd.sandbox.generic import Sandbox  # noqa: PLC0415 - see above
    from reminderd.sandbox.switchboard import serve_sandbox  # noqa: PLC0415

    settings = SandboxSettings()
    sandbox = Sandbox(
        f"{web_url}/webhooks/call-status", settings.webhook_secret, settings.api_key, pace=daemon.options.sandbox_pace
    )
    api_url = await nursery.start(partial(serve_sandbox, sandbox, shutdown_trigger=ended.webhooks.wait))
    daemon.client = partial(daemon.client, sandbox=evolve(settings, api_url=api_url))
    return sandbox


async def _dial(daemon: DaemonState, ended: Ended) -> None:
    """Dial under one setup after the other; return when all requests have ended, after the stop.

    A setup begins when the previous one claims nothing more. Requests of the previous one may still be in flight.
    """
    before: Setup | None = None
    async with trio.open_nursery() as in_flight:
        while before is not daemon.current:
            setup = daemon.current
            setup.take_over(before)
            in_flight.start_soon(setup.dial)
            await setup.claims_ended()
            before = setup
    ended.requests.set()


async def _do_side_jobs(daemon: DaemonState) -> None:
    """Do the side jobs under one setup after the other, so that no job runs twice at a time."""
    before: Setup | None = None
    while before is not daemon.current:
        before = daemon.current
        await before.do_side_jobs(daemon.membership)


async def _take_webhooks(
    daemon: DaemonState, listener: socket, ended: Ended, *, task_status: trio.TaskStatus[str]
) -> None:
    """Answer webhooks and the API by the current setup, until all requests have ended."""
    app = _current(lambda: daemon.current.app)
    await serve(app, listener, shutdown_trigger=ended.requests.wait, task_status=task_status)
    ended.webhooks.set()


def _current(app: Callable[[], ASGIFramework]) -> ASGIFramework:
    """Return an app that passes each request to the current app. Connections stay open when that changes."""

    async def current(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await app()(scope, receive, send)

    return current


@contextmanager
def _ports(config: Config, *, takes_webhooks: bool) -> Iterator[_Ports]:
    """Listen on the ports that the configuration names, and close them at the end.

    Raises:
        OSError: a port can't be used.
    """
    web, metrics, desk = config.web, config.metrics, config.desk
    with ExitStack() as held:
        yield _Ports(
            web=held.enter_context(bind(web.host, web.port)) if takes_webhooks else None,
            metrics=held.enter_context(bind(metrics.host, metrics.port)) if metrics.port else None,
            desk=held.enter_context(bind(desk.host, desk.port)) if desk.port and takes_webhooks else None,
        )
