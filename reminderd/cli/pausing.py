"""The kill switch: all dialing paused, and resumed."""

from functools import partial

import click

from reminderd.cli.common import actor, existing_database, with_config
from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.logs import without_any_numbers
from reminderd.store.settings import set_pause
from reminderd.store.sqlite.transaction import transaction


@click.command()
@click.option("--reason", help="Why, for whoever asks later; phone numbers in it are masked.")
@with_config
def pause(config: Config, reason: str | None) -> None:
    """Stop all dialing, now and after every restart, until it is resumed; calls under way are followed as ever."""
    if _set(config, on=True, reason=None if reason is None else without_any_numbers(reason)):
        click.echo("dialing is paused; reminderd resume ends it")
    else:
        click.echo("dialing was paused already" + ("" if reason is None else "; the reason is noted"))


@click.command()
@with_config
def resume(config: Config) -> None:
    """Let what is due be rung again; what has become too late meanwhile expires."""
    click.echo("dialing goes on" if _set(config, on=False, reason=None) else "dialing was not paused")


def _set(config: Config, *, on: bool, reason: str | None) -> bool:
    with existing_database(config) as connection:
        return transaction(connection, partial(set_pause, on=on, reason=reason, actor=actor()), SystemClock().now())
