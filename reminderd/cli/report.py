"""Report the outcome of a day, or a range of days."""

import sys
from functools import partial

import click

from reminderd.cli.common import as_json_or_csv, database_to_look_at, say_if_paused, with_config, wrong
from reminderd.cli.lists import of_days, span_of
from reminderd.cli.output import print_json, print_table, spoken
from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.core.imports import summary
from reminderd.core.outcomes import Outcome
from reminderd.staff.standing import COLUMNS, Row, in_words, report_csv, report_of
from reminderd.store.connection import snapshot
from reminderd.store.import_records import import_columns
from reminderd.store.queries import Value


@click.command()
@of_days
@as_json_or_csv
@with_config
def report(config: Config, day: str | None, first: str | None, last: str | None, form: str | None) -> None:
    """Report the outcome of a day's reminders, today's by default. Those that need a human come first.

    Reminders of other days that wait for a decision, because their phone number was changed, are listed at the end.
    """
    zone = config.calling.zone
    mistakes: list[str] = []
    since, until = span_of("today" if day is first is last is None else day, first, last, zone, mistakes)
    if mistakes:
        wrong(mistakes)
    with database_to_look_at(config) as connection:
        found = snapshot(connection, partial(report_of, since=since, until=until, now=SystemClock().now()))
        say_if_paused(config, connection)
    rows, others, counts = found.rows, found.others, found.totals
    if form == "json":
        totals = {word.value: counts[word] for word in Outcome}
        print_json(
            {
                "totals": totals,
                "reminders": [_columns(row) for row in rows],
                "other_days": [_columns(row) for row in others],
                "imports": [import_columns(record) for record in found.imports],
            },
            zone,
        )
    elif form == "csv":
        sys.stdout.write(report_csv((*rows, *others), zone))
    else:
        if rows:
            print_table([in_words(row) for row in rows], COLUMNS, zone)
        click.echo(", ".join(f"{counts[word]} {word}" for word in Outcome if counts[word]) or "no reminders")
        if others:
            needs = "needs a decision, on another day" if len(others) == 1 else "need a decision, on other days"
            click.echo(f"also {needs}: accept the new number, or cancel")
            print_table([in_words(row) for row in others], COLUMNS, zone)
        need = found.need_human
        if rows or others:
            click.echo(f"{need} {'needs' if need == 1 else 'need'} a human" if need else "nobody needs a human")
        for record in found.imports:
            click.echo(f"imported {spoken(record.at, zone)}: {summary(record)}")


def _columns(row: Row) -> dict[str, Value]:
    return {name: row[name] for name in COLUMNS}
