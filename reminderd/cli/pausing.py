"""Pause all dialing, resume it, and show why no calls are placed."""

from datetime import datetime
from functools import partial

import click

from reminderd.cli.common import actor, existing_database, with_database_of_config
from reminderd.cli.output import spoken
from reminderd.clock import SystemClock
from reminderd.config import Config, rules_of
from reminderd.core.lifecycle.reconcile import UNREACHED
from reminderd.core.masking import without_any_numbers
from reminderd.store.claims import standstill
from reminderd.store.settings import last_pause, paused, set_pause, unreached_since
from reminderd.store.sqlite.driver import Connection, snapshot, transaction


@click.command()
@click.option("--reason", help="Why; shown by list and show. Phone numbers in it are masked.")
@with_database_of_config
def pause(config: Config, reason: str | None) -> None:
    """Pause all dialing, now and after every restart, until resume; calls under way end as usual."""
    if _set(config, on=True, reason=None if reason is None else without_any_numbers(reason)):
        click.echo("dialing is paused; reminderd resume ends it")
    else:
        click.echo("dialing was paused already" + ("" if reason is None else "; the reason is recorded"))


@click.command()
@with_database_of_config
def resume(config: Config) -> None:
    """Resume dialing; reminders that have become too late meanwhile expire."""
    click.echo("dialing is resumed" if _set(config, on=False, reason=None) else "dialing was not paused")
    with existing_database(config) as connection:
        say_if_paused(config, connection)


def say_if_paused(config: Config, connection: Connection) -> None:
    """Print a line on stderr for each reason why no calls are placed."""
    for reason in reasons_for_silence(config, connection):
        click.echo(reason, err=True)


def reasons_for_silence(config: Config, connection: Connection) -> list[str]:
    """Return a sentence for each reason in the database why no calls are placed now; empty: there is none."""
    zone, found = config.calling.zone, []
    failing_since = snapshot(connection, unreached_since)
    if failing_since is not None:
        since = spoken(failing_since, zone)
        found.append(f"dialing is paused since {since}: {UNREACHED}; reminderd doctor shows more")
    if snapshot(connection, paused):
        act = snapshot(connection, last_pause)
        who = "" if act is None else f" by {act['actor']}"
        since = f" since {spoken(act['at'], zone)}" if act is not None and isinstance(act["at"], datetime) else ""
        why = f" ({act['detail']})" if act is not None and act["detail"] else ""
        found.append(f"dialing is paused{who}{since}{why}; reminderd resume ends it")
    else:
        _, until = snapshot(connection, partial(standstill, rules=rules_of(config)))
        if until is not None and SystemClock().now() < until:
            found.append(f"a backup was restored: nobody is called before {spoken(until, zone)}")
    return found


def _set(config: Config, *, on: bool, reason: str | None) -> bool:
    with existing_database(config) as connection:
        return transaction(connection, partial(set_pause, on=on, reason=reason, actor=actor()), SystemClock().now())
