"""Lists of reminders, as the front desk asks for them."""

from functools import partial
from typing import Final

import click

from reminderd.cli.common import database_to_look_at, say_if_paused, with_config, wrong
from reminderd.cli.days import of_days, span_of
from reminderd.cli.output import print_json, print_table
from reminderd.cli.reminders import as_json
from reminderd.config import Config
from reminderd.core.model import Response, Status
from reminderd.store.queries import Wanted, count_reminders, list_reminders
from reminderd.store.sqlite.transaction import snapshot

_COLUMNS: Final = ("id", "ref", "phone_number", "scheduled_at", "status", "response", "attempts", "wake_at", "why")
_TABLE_LIMIT: Final = 200


@click.command(name="list")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only those with this status.")
@click.option(
    "--response", type=click.Choice([word.value for word in Response]), help="Only those with this answer by key."
)
@click.option("--phone", metavar="DIGITS", help="Phone number ends with these digits.")
@click.option("--needs-human", is_flag=True, help="Only those that need a human.")
@of_days
@click.option(
    "--limit", type=click.IntRange(1, 2**31), help=f"At most this many; else {_TABLE_LIMIT} in a table, all in JSON."
)
@as_json
@with_config
def list_(
    config: Config,
    status: str | None,
    response: str | None,
    phone: str | None,
    day: str | None,
    first: str | None,
    last: str | None,
    limit: int | None,
    *,
    needs_human: bool,
    as_json: bool,
) -> None:
    """List reminders by their time."""
    zone = config.calling.zone
    mistakes = [] if phone is None or phone.isdigit() else ["--phone: expected the last digits of a number"]
    since, until = span_of(day, first, last, zone, mistakes)
    if mistakes:
        wrong(mistakes)
    wanted = Wanted(
        status=None if status is None else Status(status),
        since=since,
        until=until,
        phone_ending=phone,
        response=response,
        needs_human=needs_human,
    )
    most = limit if limit is not None or as_json else _TABLE_LIMIT
    with database_to_look_at(config) as connection:
        rows = snapshot(connection, partial(list_reminders, wanted=wanted, limit=most))
        of = snapshot(connection, partial(count_reminders, wanted=wanted))
        say_if_paused(config, connection)
    if as_json:
        print_json(rows, zone)
    elif not rows:
        click.echo("no reminders")
    else:
        print_table([row | {"why": row["last_error"] or row["hold_reason"]} for row in rows], _COLUMNS, zone)
        if of > len(rows):
            click.echo(f"{of - len(rows)} more; --limit shows them")
