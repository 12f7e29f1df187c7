"""One run of the daemon: all rooms side by side in one nursery, from the start to the two-stage stop."""

from datetime import timedelta
from functools import partial
from typing import Literal

import trio
from attrs import frozen
from loguru import logger

from reminderd.alerts import watch
from reminderd.clock import Clock
from reminderd.config import Config
from reminderd.core.wrong_tokens import networks
from reminderd.daemon.clients import SandboxSecrets, client, client_of_sandbox
from reminderd.daemon.live import Live
from reminderd.daemon.notify import UNTOLD, Supervisor, attend, signs_of
from reminderd.daemon.parts import address_of, alerts, chores, poller, rules_with
from reminderd.daemon.ports import Ports, ports
from reminderd.daemon.reload import Reload, watch_hangups
from reminderd.daemon.stop import Stages, claim_and_dial, grace, stop_in_order, take_webhooks, time_to_stop
from reminderd.daemon.uncallable import tell_uncallable
from reminderd.daemon.watching import HEARTBEAT_LIMIT, Watch
from reminderd.engine.breaker import Breaker
from reminderd.engine.context import Context
from reminderd.metrics import Instruments
from reminderd.providers.base import ProviderClient
from reminderd.sandbox.app import Sandbox
from reminderd.sandbox.server import serve_sandbox
from reminderd.store.address import follow_address, note_gap
from reminderd.store.database import Database, open_database
from reminderd.store.settings import real_provider, remember_real_provider
from reminderd.upkeep import look_after
from reminderd.web.api import Throttle
from reminderd.web.app import build_app
from reminderd.web.bodies import Limits
from reminderd.web.health import Health, build_metrics_app
from reminderd.web.server import serve, url_of

Part = Literal["dial", "web"]


@frozen(kw_only=True)
class Running:
    """What a started daemon tells of itself."""

    web_url: str | None
    """Where webhooks are taken; None if this process takes none."""
    sandbox: Sandbox | None
    """The simulated provider, if that is the one configured."""


async def run(
    config: Config,
    *,
    clock: Clock,
    stopping: trio.Event,
    only: Part | None = None,
    sandbox_pace: float = 1.0,
    supervisor: Supervisor = UNTOLD,
    reload: Reload | None = None,
    knows_one_call: bool = False,
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
        knows_one_call: whether it stands in for the daemon with a database of one call: see `build_app`.
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
            kind = config.provider.kind
            if kind not in {"sandbox", await database.read(real_provider)}:
                await database.write(partial(remember_real_provider, kind=kind))
            in_order = await _run(
                config,
                clock,
                stopping,
                only,
                sandbox_pace,
                supervisor,
                reload,
                knows_one_call,
                database,
                listening,
                instruments,
                task_status,
            )
    if in_order:
        logger.info("stopped")
    else:
        logger.warning("stopped, with requests or webhooks cut off: their calls are reconciled after the next start")
    return in_order


async def _run(
    config: Config,
    clock: Clock,
    stopping: trio.Event,
    only: Part | None,
    sandbox_pace: float,
    supervisor: Supervisor,
    reload: Reload | None,
    knows_one_call: bool,  # noqa: FBT001 - as all of these
    database: Database,
    listening: Ports,
    instruments: Instruments,
    task_status: trio.TaskStatus[Running],
) -> bool:
    stages = Stages()
    web_url = "" if listening.web is None else url_of(listening.web)
    provider: ProviderClient
    sandbox = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop_in_order, nursery.cancel_scope, stopping, stages, grace(config))
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
        rules = rules_with(config, provider)
        await database.write(partial(follow_address, address=address_of(config)))
        if listening.web is not None:
            await database.write(note_gap)
        context = Context(
            database=database,
            provider=provider,
            breaker=Breaker(rules.backoff),
            clock=clock,
            rules=rules,
            timeout=timedelta(seconds=config.provider.timeout_seconds),
            stopping=stopping,
            instruments=instruments,
        )
        loop = None if only == "web" else poller(config, context)
        watch_over = Watch(
            database=database,
            loop=loop,
            breaker=context.breaker,
            clock=clock,
            instruments=instruments,
            provider=provider.name,
            is_asked=provider.capabilities.asks_what_to_say,
            started_at=clock.now(),
        )
        live = Live(
            config=config,
            provider=provider,
            context=context,
            poller=loop,
            alerts=None if loop is None else alerts(config, database=database, clock=clock, stopping=stopping),
            knows_one_call=knows_one_call,
        )
        if listening.web is not None:
            app = build_app(
                webhooks=lambda: live.webhooks,
                health=Health(readiness=watch_over.readiness, doings=watch_over.doings),
                limits=Limits(body_bytes=config.web.max_body_bytes),
                api=lambda: live.api,
                throttle=Throttle(networks(config.web.trusted_proxies), stopping),
                answered=lambda code: instruments.webhook(code, clock.now()),
                knows_one_call=knows_one_call,
            )
            await nursery.start(partial(take_webhooks, app, listening.web, stages))
        else:
            stages.web_done.set()
        nursery.start_soon(claim_and_dial, loop, stopping, stages)
        signs = signs_of(loop, context.breaker, clock, patience=HEARTBEAT_LIMIT)
        nursery.start_soon(partial(attend, supervisor, signs, stopping=stopping, stop_within=time_to_stop(config)))
        if live.alerts is not None:
            nursery.start_soon(watch, live.alerts)
        if loop is not None:
            for chore in chores(config, database=database, clock=clock, stopping=stopping):
                nursery.start_soon(look_after, chore)
        if reload is not None:
            await nursery.start(watch_hangups, live, reload)
        logger.info(f"started: provider {provider.name}, database {config.database.path}")
        nursery.start_soon(tell_uncallable, database, rules.numbering)
        if web_url:
            logger.info(f"listening for webhooks at {web_url}")
        if listening.metrics is not None:
            asked = build_metrics_app(watch_over.scrape)
            url = await nursery.start(partial(serve, asked, listening.metrics, shutdown_trigger=stages.over))
            logger.info(f"metrics are at {url}/metrics")
        task_status.started(Running(web_url=web_url or None, sandbox=sandbox))
    await provider.aclose()
    return stages.dials_done.is_set() and stages.web_done.is_set()
