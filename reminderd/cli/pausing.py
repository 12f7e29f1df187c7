"""Pause all dialing, and resume it."""

from functools import partial

import click

from reminderd.cli.common import actor, existing_database, say_if_paused, with_config
from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.core.masking import without_any_numbers
from reminderd.store.settings import set_pause
from reminderd.store.sqlite.transaction import transaction


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
    with existing_database(config) as connection:
        say_if_paused(config, connection)


def _set(config: Config, *, on: bool, reason: str | None) -> bool:
    with existing_database(config) as connection:
        return transaction(connection, partial(set_pause, on=on, reason=reason, actor=actor()), SystemClock().now())
