"""One run of the daemon: all rooms side by side in one nursery, from the start to the two-stage stop."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from socket import socket
from typing import Final, Literal

import trio
from attrs import field, frozen
from loguru import logger
from quart_trio import QuartTrio

from reminderd.alerts import watch
from reminderd.breaker import Breaker
from reminderd.clock import Clock
from reminderd.config import Config, rules_of
from reminderd.daemon.clients import SandboxSecrets, client, client_of_sandbox
from reminderd.daemon.live import Live
from reminderd.daemon.notify import UNTOLD, Supervisor, attend, signs_of
from reminderd.daemon.parts import alerts, chores, duties, poller
from reminderd.daemon.ports import Ports, ports
from reminderd.daemon.reload import Reload, watch_hangups
from reminderd.daemon.watching import Watch
from reminderd.metrics import Instruments
from reminderd.poller import Poller
from reminderd.providers.generic import GenericProvider
from reminderd.providers.twilio.client import TwilioProvider
from reminderd.sandbox.app import Sandbox
from reminderd.sandbox.server import serve_sandbox
from reminderd.store.database import Database, open_database
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.facts import next_wakes
from reminderd.store.held import look_again
from reminderd.store.patience import until_stored
from reminderd.upkeep import look_after
from reminderd.web.app import build_app
from reminderd.web.door import kept_up
from reminderd.web.metrics import build_metrics_app
from reminderd.web.server import serve, url_of

Part = Literal["dial", "web"]

GRACE: Final = timedelta(seconds=5)
"""What a stop allows on top of the longest request: to settle its answer, and to answer the last webhooks."""

HEARTBEAT_LIMIT: Final = 30.0
"""Seconds without a beat after which the poll loop counts as stuck."""


@frozen(kw_only=True)
class Running:
    """What a started daemon tells of itself."""

    web_url: str | None
    """Where webhooks are taken; None if this process takes none."""
    sandbox: Sandbox | None
    """The simulated provider, if that is the one configured."""


@frozen(kw_only=True)
class _Stages:
    """The events of a stop, in their order."""

    dials_done: trio.Event = field(factory=trio.Event)
    web_done: trio.Event = field(factory=trio.Event)

    async def over(self) -> None:
        """Wait until both are."""
        await self.dials_done.wait()
        await self.web_done.wait()


async def run(
    config: Config,
    *,
    clock: Clock,
    stopping: trio.Event,
    only: Part | None = None,
    sandbox_pace: float = 1.0,
    supervisor: Supervisor = UNTOLD,
    reload: Reload | None = None,
    task_status: trio.TaskStatus[Running] = trio.TASK_STATUS_IGNORED,
) -> bool:
    """Run until `stopping` is set, then stop in order: claim nothing more, end the requests, the web, the writer.

    Returns whether the stop came to its end in order; False: what was still going on was cut off.

    Args:
        config: the clinic's.
        clock: the machine's.
        stopping: set to end the run; what is still going on after the grace is cut off.
        only: `dial` claims and dials but takes no webhooks, `web` the reverse; None does both.
        sandbox_pace: seconds that a step of a simulated call takes.
        supervisor: is told how the run goes.
        reload: reads the configuration again at each SIGHUP; None: SIGHUP is left alone.
        task_status: told once webhooks are taken and the poll loop runs.

    Raises:
        StoreUnusableError: the database can't be opened, or turned out to be damaged.
        StoreUnavailableError: it could not be opened now.
        OSError: the port can't be had; nothing was started.
    """
    instruments = Instruments()
    with ports(config, takes_webhooks=only != "dial") as listening:
        async with open_database(config.database.path, clock, committed=instruments.batch) as database:
            if database.sqlite_warning is not None:
                logger.warning(database.sqlite_warning)
            in_order = await _run(
                config,
                clock,
                stopping,
                only,
                sandbox_pace,
                supervisor,
                reload,
                database,
                listening,
                instruments,
                task_status,
            )
    if in_order:
        logger.info("stopped")
    else:
        logger.warning("stopped, with requests or webhooks cut off: their calls are cleared up after the next start")
    return in_order


async def _run(
    config: Config,
    clock: Clock,
    stopping: trio.Event,
    only: Part | None,
    sandbox_pace: float,
    supervisor: Supervisor,
    reload: Reload | None,
    database: Database,
    listening: Ports,
    instruments: Instruments,
    task_status: trio.TaskStatus[Running],
) -> bool:
    stages = _Stages()
    web_url = "" if listening.web is None else url_of(listening.web)
    provider: GenericProvider | TwilioProvider
    sandbox = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_in_order, nursery.cancel_scope, stopping, stages, _grace(config))
        if config.provider.kind == "sandbox":
            secrets = SandboxSecrets()
            sandbox = Sandbox(
                f"{web_url}/webhooks/call-status",
                secrets.webhook_secret,
                secrets.api_key,
                pace=sandbox_pace,
            )
            api_url = await nursery.start(partial(serve_sandbox, sandbox, shutdown_trigger=stages.web_done.wait))
            provider = client_of_sandbox(config, api_url, secrets)
        else:
            provider = client(config, own_url=web_url)
        rules = rules_of(config, provider=provider.name, capabilities=provider.capabilities)
        breaker = Breaker(rules.backoff)
        loop = None
        if only != "web":
            hand_over_to = duties(
                config,
                database=database,
                provider=provider,
                breaker=breaker,
                rules=rules,
                clock=clock,
                stopping=stopping,
                instruments=instruments,
            )
            loop = poller(
                config,
                hand_over_to,
                database=database,
                breaker=breaker,
                rules=rules,
                clock=clock,
                stopping=stopping,
                instruments=instruments,
            )
        readiness = partial(_readiness, database, loop, breaker, clock)
        watch_over = Watch(
            database=database,
            loop=loop,
            breaker=breaker,
            clock=clock,
            readiness=readiness,
            instruments=instruments,
            provider=provider.name,
            started_at=clock.now(),
        )
        live = Live(
            config=config,
            database=database,
            provider=provider,
            breaker=breaker,
            rules=rules,
            clock=clock,
            stopping=stopping,
            instruments=instruments,
            poller=loop,
            alerts=None if loop is None else alerts(config, database=database, clock=clock, stopping=stopping),
        )
        if listening.web is not None:
            app = build_app(
                door=kept_up(lambda: live.door),
                readiness=readiness,
                max_body_bytes=config.web.max_body_bytes,
                api=lambda: live.api,
                doings=watch_over.doings,
                answered=lambda code: instruments.webhook(code, clock.now()),
            )
            await nursery.start(partial(_take_webhooks, app, listening.web, stages))
        else:
            stages.web_done.set()
        nursery.start_soon(_claim_and_dial, loop, database, stopping, stages)
        signs = signs_of(loop, breaker, clock, patience=HEARTBEAT_LIMIT)
        nursery.start_soon(partial(attend, supervisor, signs, stopping=stopping, stop_within=_grace(config)))
        if live.alerts is not None:
            nursery.start_soon(watch, live.alerts)
        if loop is not None:
            for chore in chores(config, database=database, clock=clock, stopping=stopping):
                nursery.start_soon(look_after, chore)
        if reload is not None:
            await nursery.start(watch_hangups, live, reload)
        logger.info(f"started: provider {provider.name}, database {config.database.path}")
        if web_url:
            logger.info(f"webhooks are taken at {web_url}")
        if listening.metrics is not None:
            asked = build_metrics_app(watch_over.scrape)
            url = await nursery.start(partial(serve, asked, listening.metrics, shutdown_trigger=stages.over))
            logger.info(f"metrics are at {url}/metrics")
        task_status.started(Running(web_url=web_url or None, sandbox=sandbox))
    await provider.aclose()
    return stages.dials_done.is_set() and stages.web_done.is_set()


async def _stop_in_order(everything: trio.CancelScope, stopping: trio.Event, stages: _Stages, grace: timedelta) -> None:
    await stopping.wait()
    everything.deadline = trio.current_time() + grace.total_seconds()
    await stages.over()
    everything.cancel()  # all that could be lost is settled; what is left are idle waits


async def _claim_and_dial(poller: Poller | None, database: Database, stopping: trio.Event, stages: _Stages) -> None:
    if poller is None:
        await stopping.wait()
    else:
        async with trio.open_nursery() as nursery:
            # Hours and limits may have been changed while it was off.
            nursery.start_soon(until_stored, partial(database.write, look_again))
            await poller.run()
            nursery.cancel_scope.cancel()
    stages.dials_done.set()


async def _take_webhooks(
    app: QuartTrio, listener: socket, stages: _Stages, *, task_status: trio.TaskStatus[str]
) -> None:
    await serve(app, listener, shutdown_trigger=stages.dials_done.wait, task_status=task_status)
    stages.web_done.set()


def _grace(config: Config) -> timedelta:
    return timedelta(seconds=config.provider.timeout_seconds) + GRACE


async def _readiness(
    database: Database, loop: Poller | None, breaker: Breaker, clock: Clock
) -> Mapping[str, str | None]:
    """Each part that this process runs, with what is wrong with it, or None."""
    parts: dict[str, str | None] = {"database": database.trouble}
    try:
        await database.read(next_wakes)
    except (StoreUnavailableError, StoreUnusableError) as error:
        parts["database"] = str(error)
    if loop is not None:
        silent = clock.monotonic() - loop.beat
        parts["poll loop"] = f"no heartbeat for {silent:.0f} s" if silent > HEARTBEAT_LIMIT else loop.trouble
        parts["provider"] = f"dialing is paused: {breaker.reason}" if breaker.paused else None
    return parts
