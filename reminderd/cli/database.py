"""What the admin does with the database file itself."""

from contextlib import closing
from pathlib import Path
from typing import Final

import click

from reminderd.cli.common import actor, database_to_look_at, existing_database, fail, with_config
from reminderd.cli.output import counted, print_table, spoken
from reminderd.clock import SystemClock
from reminderd.config import Config, rules_of
from reminderd.store.queries import Value, broken_promises
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.copying import copy
from reminderd.store.sqlite.driver import sqlite_warning
from reminderd.store.sqlite.integrity import check as damage_in
from reminderd.store.sqlite.migrate import migrations
from reminderd.store.sqlite.opening import older_copy, open_as_it_is, open_connection
from reminderd.store.sqlite.restoring import Restored
from reminderd.store.sqlite.restoring import restore as restored_from
from reminderd.store.sqlite.transaction import snapshot

_HELD_COLUMNS: Final = ("id", "ref", "scheduled_at", "phone_number")

_FILE: Final = click.Path(path_type=Path)


@click.group()
def db() -> None:
    """Look after the database file."""


@db.command()
@with_config
def check(config: Config) -> None:
    """Read the whole database and say what is wrong with it; exit code 1 if anything is."""
    long_ago = to_ms(SystemClock().now() - config.worker.lease)
    with database_to_look_at(config) as connection:
        found = snapshot(connection, damage_in)
        if not found:
            found = snapshot(connection, lambda c: broken_promises(c, long_ago=long_ago))
    warning = sqlite_warning()
    if warning is not None:
        click.echo(f"warning: {warning}", err=True)
    if found:
        fail("\n".join([f"{config.database.path}: {counted(len(found), 'mistake')}", *found]))
    click.echo(f"{config.database.path}: sound")


@db.command()
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Replace FILE if it is there already.")
@with_config
def backup(config: Config, file: Path, *, force: bool) -> None:
    """Copy the database to FILE, also while the daemon works, and look the copy through."""
    path = config.database.path
    if not path.exists():
        fail(f"{path}: there is no database yet")
    with closing(open_as_it_is(path)) as connection:
        made = copy(connection, file, replace=force)
    for mistake in made.mistakes:
        click.echo(f"warning: as in the database itself, {mistake}", err=True)
    click.echo(f"{made.file}: {made.size:,} bytes, sound")


@db.command()
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Replace the database that is there; it is kept beside.")
@with_config
def restore(config: Config, file: Path, *, force: bool) -> None:
    """Put the backup FILE in the place of the database; the daemon must be stopped.

    The backup does not know what happened after it was made. So dialing is paused, and reminders that may have been
    rung since have failed, for you to see to.
    """
    done = restored_from(
        config.database.path,
        file,
        SystemClock().now(),
        actor=actor(),
        replace=force,
        rules=rules_of(config),
    )
    with existing_database(config):
        pass  # it remembers the provider of this configuration
    for mistake in done.mistakes:
        click.echo(f"warning: in the backup, {mistake}", err=True)
    _tell(config, done)


@db.command()
@with_config
def migrate(config: Config) -> None:
    """Bring the database to this program's schema, after a copy of it was made beside it.

    The daemon and every command that writes do so too; this one does nothing else. Stop the daemon first.
    """
    path = config.database.path
    if not path.exists():
        fail(f"{path}: there is no database yet")
    newest = migrations()[-1].number
    with closing(open_as_it_is(path)) as connection:
        before = int(connection.execute("PRAGMA user_version").fetchone()[0])
    open_connection(path).close()
    if before == newest:
        click.echo(f"{path}: schema {newest}, the newest; nothing was changed")
        return
    click.echo(f"{path}: schema {before} is now {newest}")
    if before:
        click.echo(f"as it was: {older_copy(path.resolve(), before)}; delete it when you are sure of the upgrade")


def _tell(config: Config, done: Restored) -> None:
    zone = config.calling.zone
    then = "an empty database" if done.last_change is None else f"last changed {spoken(done.last_change, zone)}"
    click.echo(f"{config.database.path}: restored; {then}")
    if done.kept is not None:
        click.echo(f"what it replaced: {done.kept}; delete it when you need it no more")
    if done.kept is not None and done.opt_outs is None:
        click.echo(
            "warning: the opt-outs of what it replaced could not be read, and none are taken over from it:"
            " take down again who has opted out since the backup",
            err=True,
        )
    if done.opt_outs is not None:
        click.echo(f"taken over from that: {counted(done.opt_outs, 'opt-out')} that the backup did not have")
    if done.held:
        rows: list[dict[str, Value]] = [
            {
                "id": reminder.id,
                "ref": reminder.ref,
                "scheduled_at": reminder.scheduled_at,
                "phone_number": reminder.phone_number,
            }
            for reminder in done.held
        ]
        click.echo("these may have been rung since, and have failed; see, and ring by hand:")
        print_table(rows, _HELD_COLUMNS, zone)
    click.echo("dialing is paused: add, cancel and opt out what happened since, then reminderd resume")
