"""Export and erase all that is stored about one phone number, and purge the personal data in old reminders."""

from datetime import timedelta
from functools import partial
from typing import Any

import click

from reminderd.cli.common import actor, existing_database, fail, with_config, wrong
from reminderd.cli.output import counted, print_json
from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.config.schema import LEAST_DAYS
from reminderd.core.masking import without_numbers
from reminderd.core.model import Status
from reminderd.core.phone import number_of
from reminderd.core.requests import normal_name
from reminderd.store.personal_data import (
    Place,
    Record,
    count_left_calls,
    count_old,
    erase,
    note_export,
    purge_batch,
    record,
)
from reminderd.store.sqlite.driver import Connection
from reminderd.store.sqlite.housekeeping import count_calls, scrub
from reminderd.store.sqlite.transaction import snapshot, transaction


@click.command()
@click.argument("phone", metavar="PHONE")
@with_config
def export(config: Config, phone: str) -> None:
    """Print all stored data of PHONE as one JSON document: reminders with calls, changes and audit lines, opt-out."""
    number = _number(config, phone)
    with existing_database(config) as connection:
        found = _found(connection, number)
        note = partial(note_export, phone_number=number, actor=actor())
        transaction(connection, note, SystemClock().now())
    print_json(_document(number, found), config.calling.zone)


@click.command(name="erase")
@click.argument("phone", metavar="PHONE")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@with_config
def erase_(config: Config, phone: str, *, yes: bool) -> None:
    """Delete all reminders of PHONE, waiting ones too, with their calls; its opt-out stays.

    Refused while a call to the number is under way. What staff did stays in the audit, which names no patient. For 8
    days a keyed hash stays, too, so that the limits on calls to the number hold.
    """
    number = _number(config, phone)
    with existing_database(config) as connection:
        found = _found(connection, number)
        if not yes:
            click.echo(_question(found), err=True)
            click.confirm("Erase them for good?", abort=True, err=True)
        done = transaction(connection, partial(erase, phone_number=number, actor=actor()), SystemClock().now())
        click.echo(f"erased: {counted(done.reminders, 'reminder')}, {counted(done.calls, 'call')}")
        if done.opted_out:
            click.echo("the opt-out stays, as without it the number could be called again; opt-out remove deletes it")
        click.echo("older backups still contain them")
        say_if_traces_are_left(scrubbed=scrub(connection))


def _document(number: str, found: Record) -> dict[str, Any]:
    return {
        "phone_number": number,
        "opt_out": found.opt_out,
        "reminders": [
            reminder
            | {
                "calls": found.calls[str(reminder["id"])],
                "receipts": found.receipts[str(reminder["id"])],
                "changes": found.changes[str(reminder["id"])],
                "audit": found.acts[str(reminder["id"])],
            }
            for reminder in found.reminders
        ],
        "other_calls": found.other_calls,
    }


def _question(found: Record) -> str:
    waiting = sum(reminder["status"] == Status.SCHEDULED for reminder in found.reminders)
    others = f"; {counted(len(found.other_calls), 'call')} for no reminder of it" if found.other_calls else ""
    return f"{counted(len(found.reminders), 'reminder')} of this number, {waiting} of them waiting{others}"


def _found(connection: Connection, number: str) -> Record:
    found = snapshot(connection, partial(record, phone_number=number))
    if found.empty:
        fail("nothing is stored about this number")
    return found


def _number(config: Config, phone: str) -> str:
    try:
        return number_of(normal_name(phone), config.clinic.country)
    except ValueError as error:
        wrong([f"PHONE: {error}"])


@click.command()
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(min=LEAST_DAYS, max=36_500),
    required=True,
    metavar="DAYS",
    help=f"Only reminders due and last changed more than this many days ago; at least {LEAST_DAYS}.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; show how many reminders would be purged.")
@with_config
def purge(config: Config, days: int, *, dry_run: bool) -> None:
    """Erase message, transcript and phone number of old reminders that are final.

    Their outcome, their ref, and all opt-outs stay. The daemon may run meanwhile; at the end the file is rewritten, and
    for about a second no other program can write.
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
