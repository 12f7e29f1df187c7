"""Add, remove, list and import the phone numbers that must not be called."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import click

from reminderd.cli.common import (
    actor,
    as_json_or_csv,
    database,
    database_to_look_at,
    existing_database,
    fail,
    with_config,
    wrong,
)
from reminderd.cli.output import counted, print_csv, print_json, print_table
from reminderd.clock import SystemClock
from reminderd.config import Config, rules_of
from reminderd.core.phone import existing_number, number_of
from reminderd.core.rules import Rules
from reminderd.core.tables.columns import ColumnsError, NumberColumns, names_numbers, number_columns
from reminderd.core.tables.csv_rows import UNREADABLE
from reminderd.imports.spreadsheet import Sheet, opened
from reminderd.imports.table import UnreadableError
from reminderd.store.opt_outs import list_opt_outs, opt_in, opt_out
from reminderd.store.sqlite.driver import Connection
from reminderd.store.sqlite.transaction import snapshot, transaction

_COLUMNS: Final = ("phone_number", "source", "created_at")


@click.group(name="opt-out")
def opt_out_() -> None:
    """Add, remove, list or import the phone numbers that must not be called."""


@opt_out_.command(short_help="Stop all calls to a phone number.")
@click.argument("phone", metavar="PHONE")
@click.option("--source", default="staff", show_default=True, help="Who asked for it; shown by opt-out list.")
@with_config
def add(config: Config, phone: str, source: str) -> None:
    """Opt PHONE out: it is no longer called, and its waiting reminders are cancelled at once."""
    try:
        number = existing_number(phone, config.clinic.country)
    except ValueError as error:
        wrong([f"PHONE: {error}"])
    with database(config) as connection:
        cancelled = _opt_out(connection, number, source, rules_of(config))
    click.echo(f"opted out; {counted(cancelled, 'reminder')} cancelled")


@opt_out_.command(short_help="Allow calls to a phone number again.")
@click.argument("phone", metavar="PHONE")
@with_config
def remove(config: Config, phone: str) -> None:
    """Allow calls to PHONE again; reminders that were cancelled stay cancelled."""
    try:
        number = number_of(phone, config.clinic.country)
    except ValueError as error:
        wrong([f"PHONE: {error}"])
    with existing_database(config) as connection:
        write = partial(opt_in, phone_number=number, actor=actor())
        if not transaction(connection, write, SystemClock().now()):
            fail("this number had not opted out")
    click.echo("opted in; cancelled reminders stay cancelled, call-again schedules one again")


@opt_out_.command(name="list")
@as_json_or_csv
@with_config
def list_(config: Config, form: str | None) -> None:
    """List all numbers that have opted out."""
    zone = config.calling.zone
    with database_to_look_at(config) as connection:
        rows = snapshot(connection, list_opt_outs)
    if form == "json":
        print_json(rows, zone)
    elif form == "csv":
        print_csv(rows, _COLUMNS, lambda value: "" if value is None else str(value))
    elif rows:
        print_table(rows, _COLUMNS, zone)
    else:
        click.echo("nobody has opted out")


@opt_out_.command(name="import", short_help="Opt out all phone numbers in a file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", help="Who asked for it; shown by opt-out list.  [default: the file's name]")
@with_config
def import_(config: Config, file: Path, source: str | None) -> None:
    """Opt out all phone numbers in FILE: one per line, or a CSV table as spreadsheets save it.

    Columns are found by their headers, as in reminderd import; without a header, the numbers are in the column that
    has the only number of the first row. Every number of a line is opted out. Numbers that can't exist, and lines
    without a number, are listed, and all others are imported; then the exit code is 1.
    """
    source = source or f"import of {file.name}"
    numbers: set[str] = set()
    bad_lines: set[int] = set()
    cancelled, country, rules = 0, config.clinic.country, rules_of(config)
    try:
        with opened(file, names_numbers, only_numbers=True) as sheet:
            columns = number_columns(sheet.header, country)
            if columns.has_header and len(sheet.header) > 1:
                _say_what_was_found(file, sheet, columns)
            with database(config) as connection:
                for line, name, text in _cells(sheet, columns):
                    try:
                        number = existing_number(text, country)
                    except ValueError as error:
                        click.echo(f"line {line}: {name}{error}", err=True)
                        bad_lines.add(line)
                        continue
                    if number not in numbers:
                        cancelled += _opt_out(connection, number, source, rules)
                        numbers.add(number)
    except UnreadableError as error:
        wrong([f"{file}: {error}"])
    except ColumnsError as error:
        wrong([f"{file}: {mistake}" for mistake in error.mistakes])
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}")
    click.echo(f"{counted(len(numbers), 'number')} opted out; {counted(cancelled, 'reminder')} cancelled")
    if bad_lines:
        fail(f"{counted(len(bad_lines), 'line')} with a missing or a wrong number")


def _say_what_was_found(file: Path, sheet: Sheet, columns: NumberColumns) -> None:
    names = [name.strip() for name in sheet.header]
    click.echo(f"{file}: every number of a line is opted out")
    click.echo(f"  phone numbers: {', '.join(names[place] for place in columns.places)}")
    ignored = [name for place, name in enumerate(names) if name and place not in columns.places]
    if ignored:
        click.echo(f"  ignored: {', '.join(ignored)}")


def _cells(sheet: Sheet, columns: NumberColumns) -> Iterator[tuple[int, str, str]]:
    """Yield every cell with a number, after its line and its header; of a line without any, one that is empty."""
    is_one = len(columns.places) == 1
    for row in sheet.rows() if columns.has_header else sheet.all_rows():
        cells = row.cells if row.mistake in {None, UNREADABLE} else []
        places = [place for place in columns.places if place < len(cells) and any(map(str.isalnum, cells[place]))]
        if is_one or not places:
            place = columns.places[0]
            yield row.line, "", cells[place] if place < len(cells) and is_one else ""
            continue
        for place in places:
            yield row.line, f"{sheet.header[place].strip()}: ", cells[place]


def _opt_out(connection: Connection, number: str, source: str, rules: Rules) -> int:
    """Opt a number out; return how many reminders that has cancelled."""
    write = partial(opt_out, phone_number=number, source=source, actor=actor(), rules=rules)
    return len(transaction(connection, write, SystemClock().now()))
