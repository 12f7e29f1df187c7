"""Collect what Prometheus reads: what this process has counted, and how everything is at the moment of a scrape."""

from functools import partial
from platform import python_version

from reminderd import __version__
from reminderd.core.monitoring import ADDRESS
from reminderd.daemon.readiness import Watch
from reminderd.metrics import Moment, page
from reminderd.store.daemons import alive_daemons
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.outcome_changes import backlog
from reminderd.store.sqlite.driver import sqlite_version_info
from reminderd.store.stats import counts


async def scrape(watch: Watch) -> bytes:
    """Return the page for Prometheus. What the database knows is missing from it while that can't be read."""
    context = watch.context
    now = context.clock.now()
    try:
        found = await context.database.read(partial(counts, now=now))
        unsent = await context.database.read(backlog) if watch.sends else None
        alive = await context.database.read(partial(alive_daemons, now=now))
    except (StoreUnavailableError, StoreUnusableError):
        found, unsent, alive = None, None, None
    parts = await watch.readiness()
    paused = {"provider": context.memory.breaker.paused}
    if watch.is_asked:
        paused["address"] = parts[ADDRESS] is not None
    moment = Moment(
        now=now,
        started_at=watch.started_at,
        build={
            "version": __version__,
            "python": python_version(),
            "sqlite": ".".join(map(str, sqlite_version_info)),
            "provider": context.provider.name,
        },
        parts=parts,
        paused=paused,
        queued_writes=context.database.queued_writes,
        last_poll=watch.last_poll(now),
        last_webhook=context.instruments.last_webhook,
        counts=found,
        backlog=unsent,
        daemons=alive,
        jobs=watch.membership.jobs,
    )
    return page(context.instruments, moment)
