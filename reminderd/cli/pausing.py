"""Pause all dialing, and resume it."""

from functools import partial

import click

from reminderd.cli.common import actor, existing_database, with_config
from reminderd.cli.output import spoken
from reminderd.clock import SystemClock
from reminderd.config import Config, rules_of
from reminderd.logs import without_any_numbers
from reminderd.store.claims import standstill
from reminderd.store.settings import set_pause
from reminderd.store.sqlite.transaction import snapshot, transaction


@click.command()
@click.option("--reason", help="Why; shown by list and show. Phone numbers in it are masked.")
@with_config
def pause(config: Config, reason: str | None) -> None:
    """Pause all dialing, now and after every restart, until resume; calls under way end as usual."""
    if _set(config, on=True, reason=None if reason is None else without_any_numbers(reason)):
        click.echo("dialing is paused; reminderd resume ends it")
    else:
        click.echo("dialing was paused already" + ("" if reason is None else "; the reason is recorded"))


@click.command()
@with_config
def resume(config: Config) -> None:
    """Resume dialing; reminders that have become too late meanwhile expire."""
    click.echo("dialing is resumed" if _set(config, on=False, reason=None) else "dialing was not paused")
    now = SystemClock().now()
    with existing_database(config) as connection:
        _, quiet_until = snapshot(connection, partial(standstill, rules=rules_of(config)))
    if quiet_until is not None and quiet_until > now:
        click.echo(f"a backup was restored: nobody is called before {spoken(quiet_until, config.calling.zone)}")


def _set(config: Config, *, on: bool, reason: str | None) -> bool:
    with existing_database(config) as connection:
        return transaction(connection, partial(set_pause, on=on, reason=reason, actor=actor()), SystemClock().now())
