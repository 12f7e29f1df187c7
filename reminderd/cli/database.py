"""What the admin does with the database file itself."""

import click

from reminderd.cli.common import existing_database, fail, with_config
from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.store.driver import sqlite_warning
from reminderd.store.integrity import check as damage_in
from reminderd.store.queries import broken_promises
from reminderd.store.rows import to_ms
from reminderd.store.transaction import snapshot


@click.group()
def db() -> None:
    """Look after the database file."""


@db.command()
@with_config
def check(config: Config) -> None:
    """Read the whole database and say what is wrong with it; exit code 1 if anything is."""
    long_ago = to_ms(SystemClock().now() - config.worker.lease)
    with existing_database(config) as connection:
        found = snapshot(connection, damage_in)
        if not found:
            found = snapshot(connection, lambda c: broken_promises(c, long_ago=long_ago))
    warning = sqlite_warning()
    if warning is not None:
        click.echo(f"warning: {warning}", err=True)
    if found:
        fail("\n".join([f"{config.database.path}: {len(found)} mistakes", *found]))
    click.echo(f"{config.database.path}: sound")
