"""The parts of a running daemon with all that they work with, made from the configuration."""

from datetime import timedelta
from functools import partial
from uuid import uuid4

import trio
from attrs import evolve

from reminderd.alerts import Alerts, Send, by_apprise
from reminderd.breaker import Breaker
from reminderd.checker import Checker, check
from reminderd.clock import Clock
from reminderd.config import Config
from reminderd.core.daily import Daily
from reminderd.core.rules import Rules
from reminderd.dialer import Dialer, dial
from reminderd.metrics import Instruments
from reminderd.pacing import Pacing
from reminderd.poller import Duties, Poller
from reminderd.providers.base import Provider
from reminderd.store.database import Database
from reminderd.upkeep import Chore, backups, retention


def mint() -> str:
    """A new unguessable id."""
    return str(uuid4())


def duties(
    config: Config,
    *,
    database: Database,
    provider: Provider,
    breaker: Breaker,
    rules: Rules,
    clock: Clock,
    stopping: trio.Event,
    instruments: Instruments,
) -> Duties:
    """What the poll loop hands claimed rows to: the dialer and the checker."""
    dialer = Dialer(
        database=database,
        provider=provider,
        breaker=breaker,
        clock=clock,
        rules=rules,
        timeout=timedelta(seconds=config.provider.timeout_seconds),
        stopping=stopping,
        instruments=instruments,
    )
    checker = Checker(database=database, provider=provider, rules=rules, mint=mint)
    return Duties(dial=partial(dial, dialer=dialer), check=partial(check, checker=checker))


def poller(
    config: Config,
    duties: Duties,
    *,
    database: Database,
    breaker: Breaker,
    rules: Rules,
    clock: Clock,
    stopping: trio.Event,
    instruments: Instruments,
) -> Poller:
    """The poll loop, which hands what it claims to these duties."""
    return Poller(
        database=database,
        clock=clock,
        rules=rules,
        pacing=Pacing(config.provider.calls_per_second),
        breaker=breaker,
        duties=duties,
        lines=trio.CapacityLimiter(config.worker.dialers),
        checkers=trio.CapacityLimiter(config.worker.dialers),
        interval=timedelta(seconds=config.worker.poll_interval_seconds),
        stopping=stopping,
        mint=mint,
        beat=clock.monotonic(),
        instruments=instruments,
    )


def alerts(config: Config, *, database: Database, clock: Clock, stopping: trio.Event) -> Alerts:
    """The watch that tells somebody when reminders need a human."""
    return Alerts(
        database=database,
        clock=clock,
        send=send(config),
        every=timedelta(seconds=config.alerts.every_seconds),
        stopping=stopping,
    )


def send(config: Config) -> Send | None:
    """How somebody is told; None if nobody is to be."""
    return by_apprise(config.alerts.urls) if config.alerts.urls else None


def chores(config: Config, *, database: Database, clock: Clock, stopping: trio.Event) -> list[Chore]:
    """What is done once a day, one thing after the other."""
    found, zone = [], config.calling.zone
    if config.backup.path is not None:
        daily = Daily(at=config.backup.time, zone=zone)
        found.append(
            backups(
                config.database.path,
                config.backup.path,
                daily=daily,
                keep=config.backup.keep,
                clock=clock,
                stopping=stopping,
            )
        )
    daily = Daily(at=config.retention.time, zone=zone)
    found.append(retention(database, daily=daily, days=config.retention.days, clock=clock, stopping=stopping))
    turn = trio.Lock()
    return [evolve(chore, turn=turn) for chore in found]
