"""Report the outcome of a day: what became of each reminder, those that need a human first."""

from collections import Counter
from datetime import datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import click

from reminderd.cli.common import database_to_look_at, with_config, wrong
from reminderd.cli.lists import of_days, span_of
from reminderd.cli.output import print_csv, print_json, print_table
from reminderd.cli.pausing import say_if_paused
from reminderd.config import Config
from reminderd.core.model import Status
from reminderd.core.outcomes import NEED_A_HUMAN, Outcome, outcome
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.store.queries import Value, Wanted, list_reminders
from reminderd.store.sqlite.transaction import snapshot

Row = dict[str, Value]

_COLUMNS: Final = ("outcome", "call_outcome", "scheduled_at", "ref", "phone_number", "why", "attempts", "id")
_UNDECIDED: Final = Wanted(status=Status.SCHEDULED, needs_human=True)
"""Those that wait for staff to accept a changed phone number, or to cancel."""
_ORDER: Final = {word: place for place, word in enumerate(Outcome)}
_CODES: Final = {str(code): code for code in EndCode}
_HOLDS: Final = {str(code): code for code in HoldCode}


@click.command()
@of_days
@click.option("--json", "form", flag_value="json", help="One JSON document on stdout, for programs.")
@click.option("--csv", "form", flag_value="csv", help="A table for a spreadsheet.")
@with_config
def report(config: Config, day: str | None, first: str | None, last: str | None, form: str | None) -> None:
    """Report the outcome of a day's reminders, today's by default; those that need a human first.

    Reminders of other days that wait for a decision, as their phone number was changed, are named after them.
    """
    zone = config.calling.zone
    mistakes: list[str] = []
    since, until = span_of("today" if day is first is last is None else day, first, last, zone, mistakes)
    if mistakes:
        wrong(mistakes)
    wanted = Wanted(since=since, until=until)
    with database_to_look_at(config) as connection:
        rows = [_told(row) for row in snapshot(connection, partial(list_reminders, wanted=wanted, limit=None))]
        undecided = [_told(row) for row in snapshot(connection, partial(list_reminders, wanted=_UNDECIDED, limit=None))]
        say_if_paused(config, connection)
    of_the_day = {row["id"] for row in rows}
    others = [row for row in undecided if row["id"] not in of_the_day]
    rows.sort(key=lambda row: _ORDER[Outcome(str(row["outcome"]))])  # a stable sort: by time within an outcome
    counts = Counter(Outcome(str(row["outcome"])) for row in rows)
    if form == "json":
        totals = {word.value: counts[word] for word in Outcome}
        print_json(
            {
                "totals": totals,
                "reminders": [_columns(row) for row in rows],
                "other_days": [_columns(row) for row in others],
            },
            zone,
        )
    elif form == "csv":
        print_csv([_in_words(row) for row in (*rows, *others)], _COLUMNS, partial(_text, zone=zone))
    else:
        if rows:
            print_table([_in_words(row) for row in rows], _COLUMNS, zone)
        click.echo(", ".join(f"{counts[word]} {word}" for word in Outcome if counts[word]) or "no reminders")
        if others:
            needs = "needs a decision, on another day" if len(others) == 1 else "need a decision, on other days"
            click.echo(f"also {needs}: accept the new number, or cancel")
            print_table([_in_words(row) for row in others], _COLUMNS, zone)
        need = sum(counts[word] for word in NEED_A_HUMAN) + len(others)
        if rows or others:
            click.echo(f"{need} {'needs' if need == 1 else 'need'} a human" if need else "nobody needs a human")


def _told(row: Row) -> Row:
    response, code = row["response"], row["end_code"]
    word = outcome(
        Status(str(row["status"])),
        None if response is None else str(response),
        _CODES.get(str(code)),
        _HOLDS.get(str(row["hold_code"])),
    )
    return row | {"outcome": word.value, "why": row["last_error"] or row["hold_reason"]}


def _in_words(row: Row) -> Row:
    """Return a row for people: no code is left in it."""
    return row | {"call_outcome": None if row["call_outcome"] is None else str(row["call_outcome"]).replace("_", " ")}


def _columns(row: Row) -> Row:
    return {name: row[name] for name in _COLUMNS}


def _text(value: Value, zone: ZoneInfo) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(zone):%Y-%m-%d %H:%M}"
    return "" if value is None else str(value)
