"""The parts of a running daemon with all that they work with, made from the configuration."""

from datetime import timedelta
from uuid import uuid4

import trio
from attrs import evolve

from reminderd.clock import Clock
from reminderd.config import Config, rules_of
from reminderd.core.rules import Rules
from reminderd.core.schedule.time_zones import Daily
from reminderd.daemon.alerts import Alerts, Send, by_apprise
from reminderd.engine.context import Context
from reminderd.engine.pacing import Pacing
from reminderd.engine.poller import Poller
from reminderd.providers.base import Provider
from reminderd.store.database import Database
from reminderd.upkeep import Chore, backups, retention


def mint() -> str:
    """Return a new unguessable id."""
    return str(uuid4())


def rules_with(config: Config, provider: Provider) -> Rules:
    """Return the rules for transitions, with what this provider can do."""
    return rules_of(config, provider=provider.name, account=provider.account, capabilities=provider.capabilities)


def address_of(config: Config) -> str:
    """Return the address at which the provider asks what to say; empty if this one does not ask."""
    return config.web.public_base_url if config.provider.kind == "twilio" else ""


def poller(config: Config, context: Context) -> Poller:
    """Return the poll loop."""
    return Poller(
        context=context,
        pacing=Pacing(config.provider.calls_per_second),
        lines=trio.CapacityLimiter(config.worker.dialers),
        checkers=trio.CapacityLimiter(config.worker.dialers),
        interval=timedelta(seconds=config.worker.poll_interval_seconds),
        mint=mint,
    )


def alerts(config: Config, *, database: Database, clock: Clock, stopping: trio.Event) -> Alerts:
    """Return the watch that alerts somebody when reminders need a human."""
    return Alerts(
        database=database,
        clock=clock,
        send=send(config),
        every=timedelta(seconds=config.alerts.every_seconds),
        stopping=stopping,
    )


def send(config: Config) -> Send | None:
    """Return how alerts are sent; None if nobody wants any."""
    return by_apprise(config.alerts.urls) if config.alerts.urls else None


def chores(config: Config, *, database: Database, clock: Clock, stopping: trio.Event) -> list[Chore]:
    """Return what is done once a day, one thing after the other."""
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
