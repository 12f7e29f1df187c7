"""Check, back up, restore or migrate the database."""

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import click

from reminderd.cli.common import (
    actor,
    existing_database,
    fail,
    files_in_use,
    read_only_database,
    with_config,
    write_now,
)
from reminderd.cli.output import count_with_noun, moment_in_words, print_table
from reminderd.clock import SystemClock
from reminderd.config import Config, rules_of
from reminderd.core.model import Reminder
from reminderd.databases import PostgresServer
from reminderd.store.connection import snapshot
from reminderd.store.examination import broken_promises
from reminderd.store.restored import hold_after
from reminderd.store.sqlite import integrity as sqlite
from reminderd.store.sqlite.copying import copy
from reminderd.store.sqlite.driver import sqlite_warning
from reminderd.store.sqlite.migrate import migrations
from reminderd.store.sqlite.opening import open_as_it_is, open_connection, path_of_older_copy
from reminderd.store.sqlite.restoring import Restored
from reminderd.store.sqlite.restoring import restore as restored_from
from reminderd.store.users import list_users

_HELD_COLUMNS: Final = ("id", "ref", "scheduled_at", "phone_number")

_FILE: Final = click.Path(path_type=Path)


@click.group()
def db() -> None:
    """Check, back up, restore or migrate the database."""


@db.command()
@with_config
def check(config: Config) -> None:
    """Read the whole database, and list every error.

    Exit code 1 if there is one. The daemon may run meanwhile.
    """
    is_file = config.database.path is not None
    with read_only_database(config) as connection:
        if is_file:
            found = snapshot(connection, sqlite.integrity_errors)
        else:
            from reminderd.store.postgres import examining as postgres  # noqa: PLC0415 - psycopg may be missing

            postgres.take_all_time(connection)
            found = snapshot(connection, postgres.damage_in)
        if not found:
            found = snapshot(connection, broken_promises)
    warning = sqlite_warning()
    if is_file and warning is not None:
        click.echo(f"warning: {warning}", err=True)
    if found:
        fail("\n".join([f"{config.database.target.shown_name}: {count_with_noun(len(found), 'mistake')}", *found]))
    click.echo(f"{config.database.target.shown_name}: sound")


@db.command()
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Replace FILE, if it is an earlier backup of this database.")
@with_config
def backup(config: Config, file: Path, *, force: bool) -> None:
    """Copy the database to FILE, and check the copy.

    The daemon may run meanwhile.
    """
    path = _file_of(config)
    if config.database.is_missing:
        fail(f"{path}: there is no database yet")
    with closing(open_as_it_is(path)) as connection:
        made = copy(connection, file, replace=force, never=files_in_use(config))
    for mistake in made.mistakes:
        click.echo(f"warning: as in the database itself, {mistake}", err=True)
    click.echo(f"{made.file}: {made.size:,} bytes, sound")


@db.command()
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Replace the existing database; it is kept next to the new one.")
@click.option("--from-another", is_flag=True, help="Restore FILE even if it is a backup of another database.")
@with_config
def restore(config: Config, file: Path, *, force: bool, from_another: bool) -> None:
    """Replace the database with the backup FILE.

    The daemon must be stopped. The backup does not contain what happened after it was made. So dialing is paused, and
    reminders whose patients may have been called since are marked as failed, for staff to check.
    """
    done = restored_from(
        _file_of(config),
        file,
        SystemClock().now(),
        actor=actor(),
        replace=force,
        rules=rules_of(config),
        from_another=from_another,
    )
    with existing_database(config):
        pass  # it remembers the provider of this configuration
    for mistake in done.mistakes:
        click.echo(f"warning: in the backup, {mistake}", err=True)
    _print_restored(config, done)


@db.command()
@with_config
def restored(config: Config) -> None:
    """Record that the database was restored by other means.

    After pg_restore, point-in-time recovery, or a failover that has lost commits, the database does not contain what
    happened later. So this pauses dialing, ends all sessions of the front desk's pages, and marks reminders as failed
    whose patients may have been called since, for staff to check. The daemons may run.
    """
    why = "the database was restored"
    with existing_database(config) as connection:
        hold = partial(hold_after, actor=actor(), why=why, rules=rules_of(config))
        changed, held = write_now(connection, hold)
        accounts = len(snapshot(connection, list_users))
    _print_state(config, changed)
    _print_accounts(accounts, "the restored database")
    _print_held(config, held)


@db.command()
@with_config
def migrate(config: Config) -> None:
    """Upgrade the database to this program's schema, and change nothing else.

    A database file: stop the daemon first. The file is copied to the same folder before the upgrade. This command is
    not required: the daemon, and every command that writes, also upgrade the file first if it has an older schema.

    A PostgreSQL database: only this command upgrades it. The daemons may run meanwhile.
    """
    target = config.database.target
    if isinstance(target, PostgresServer):
        _upgrade_server(target)
        return
    path = target.path
    if config.database.is_missing:
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
        click.echo(
            f"copy of the old one: {path_of_older_copy(path.resolve(), before)}; delete it once the upgrade has worked"
        )


def _upgrade_server(server: PostgresServer) -> None:
    from reminderd.store.postgres.sessions import upgrade  # noqa: PLC0415 - psycopg may be missing

    done = upgrade(server)
    if not done.before:
        what = f"created the tables, schema {done.after}"
    elif done.before < done.after:
        what = f"schema {done.before} is now {done.after}"
    elif done.after > done.newest:
        what = f"schema {done.after}, newer than this program's {done.newest}; nothing was changed"
    else:
        what = f"schema {done.after}, the newest; nothing was changed"
    click.echo(f"{server.shown_name}: {what}")


def _file_of(config: Config) -> Path:
    """Return the database file; end with exit code 1 if there is none."""
    if config.database.path is None:
        fail("reminderd does not back up or restore PostgreSQL: use pg_dump and pg_restore, see docs/postgresql.md")
    return config.database.path


def _print_restored(config: Config, done: Restored) -> None:
    _print_state(config, done.last_change)
    if done.kept is not None:
        click.echo(f"replaced database: {done.kept}; delete it when you no longer need it")
    if done.kept is not None and done.opt_outs is None:
        click.echo(
            "warning: the opt-outs of the replaced database could not be read, so none were copied:"
            " add again the numbers that have opted out since the backup",
            err=True,
        )
    if done.opt_outs is not None:
        click.echo(f"copied from it: {count_with_noun(done.opt_outs, 'opt-out')} that the backup did not have")
    _print_accounts(done.accounts, None if done.accounts_are_new else "the backup")
    _print_held(config, done.held)


def _print_state(config: Config, changed: datetime | None) -> None:
    then = "an empty database" if changed is None else f"last changed {moment_in_words(changed, config.calling.zone)}"
    click.echo(f"{config.database.target.shown_name}: restored; {then}")


def _print_accounts(accounts: int, older: str | None) -> None:
    """Print how many accounts there are, and from where; `older` is None if they are from the replaced database."""
    if accounts:
        whose = "the replaced database" if older is None else f"{older}; check them: reminderd user list"
        click.echo(
            f"{count_with_noun(accounts, 'account')} for the front desk's pages: of {whose}. All sessions have ended"
        )


def _print_held(config: Config, held: Sequence[Reminder]) -> None:
    if held:
        rows = [{column: getattr(reminder, column) for column in _HELD_COLUMNS} for reminder in held]
        click.echo("failed, as the patients may have been called since; check, and call manually:")
        print_table(rows, _HELD_COLUMNS, config.calling.zone)
    click.echo("dialing is paused: repeat what was added, cancelled and opted out since, then reminderd resume")
