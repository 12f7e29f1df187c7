"""Erase the personal data in old reminders."""

from datetime import timedelta
from functools import partial

import click

from reminderd.cli.common import actor, existing_database, with_config
from reminderd.cli.output import counted
from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.config.schema import LEAST_DAYS
from reminderd.core.masking import without_numbers
from reminderd.store.personal_data import Place, count_left_calls, count_old, purge_batch
from reminderd.store.sqlite.housekeeping import count_calls, scrub
from reminderd.store.sqlite.transaction import snapshot, transaction


@click.command()
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(min=LEAST_DAYS, max=36_500),
    required=True,
    metavar="DAYS",
    help=f"Only reminders due and last changed more than this many days ago; at least {LEAST_DAYS}.",
)
@click.option("--dry-run", is_flag=True, help="Only show how many reminders that would be.")
@with_config
def purge(config: Config, days: int, *, dry_run: bool) -> None:
    """Erase message, transcript and phone number of old reminders that are final.

    Their outcome, their ref, and all opt-outs stay. The daemon may run meanwhile; at the end the file is rewritten, and
    for about a second nobody else can write.
    """
    clock = SystemClock()
    before = clock.now() - timedelta(days=days)
    with existing_database(config) as connection:
        if dry_run:
            old = snapshot(connection, partial(count_old, before=before))
            left = snapshot(connection, partial(count_left_calls, before=before))
            click.echo(f"{_counted(old, left)} would be purged; nothing was changed")
            return
        purged, calls, place = 0, 0, Place()
        transaction(connection, count_calls, clock.now())
        while True:
            batch = partial(purge_batch, before=before, place=place, actor=actor(), cleaned=without_numbers)
            done = transaction(connection, batch, clock.now())
            if done.reached is None:
                break
            purged, calls, place = purged + done.reminders, calls + done.calls, done.reached
        click.echo(f"{_counted(purged, calls)} purged")
        say_if_traces_are_left(scrubbed=scrub(connection))


def _counted(reminders: int, calls: int) -> str:
    left = f", and {counted(calls, 'call')} of deleted or moved reminders," if calls else ""
    return f"{counted(reminders, 'reminder')}{left}"


def say_if_traces_are_left(*, scrubbed: bool) -> None:
    """Warn on stderr if the write-ahead log could not be emptied."""
    if not scrubbed:
        click.echo("another program reads the database: traces are left in its -wal file until it is done", err=True)
