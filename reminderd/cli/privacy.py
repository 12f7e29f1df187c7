"""Do what patients may ask for: export or erase their data, and opt them out. Also purge old data."""

import re
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from attrs import frozen

from reminderd.cli.common import (
    actor,
    as_json_or_csv,
    database,
    existing_database,
    fail,
    read_only_database,
    with_config,
    write_now,
    wrong_usage,
)
from reminderd.cli.output import count_with_noun, print_json, print_table
from reminderd.clock import SystemClock
from reminderd.config import Config, rules_of
from reminderd.config.installation import LEAST_DAYS
from reminderd.core.imports import FileRefusedError
from reminderd.core.masking import mask_numbers
from reminderd.core.model import Status
from reminderd.core.phone import existing_number, may_be_incomplete, number_of
from reminderd.core.requests import SOURCE_LIMIT, normal_name, source_mistake
from reminderd.core.rules import Rules
from reminderd.core.tables.columns import ColumnsError, NumberColumns, names_numbers, number_columns
from reminderd.core.tables.csv_rows import UNREADABLE
from reminderd.imports.folder import DONE, REJECTED
from reminderd.imports.spreadsheet import Sheet, open_sheet
from reminderd.staff.standing import csv_text
from reminderd.store.connection import Connection, snapshot
from reminderd.store.opt_outs import list_opt_outs, opt_in, opt_out
from reminderd.store.personal_data import (
    PersonalData,
    Place,
    count_left_calls,
    count_old,
    erase,
    note_export,
    personal_data_of,
    purge_batch,
)
from reminderd.store.sqlite.driver import SqliteConnection
from reminderd.store.sqlite.upkeep import scrub


@click.command()
@click.argument("phone", metavar="PHONE")
@with_config
def export(config: Config, phone: str) -> None:
    """Print all stored data of PHONE as one JSON document: appointments, reminders, calls, changes, audit, opt-out."""
    number = _number(normal_name(phone), config, number_of)
    with existing_database(config) as connection:
        found = _found(connection, number)
        write_now(connection, partial(note_export, phone_number=number, actor=actor()))
    print_json(_document(number, found), config.calling.zone)


@click.command(name="erase")
@click.argument("phone", metavar="PHONE")
@click.option("--yes", is_flag=True, help="Don't ask for confirmation.")
@with_config
def erase_(config: Config, phone: str, *, yes: bool) -> None:
    """Delete all appointments and reminders of PHONE, including waiting ones, and their calls; its opt-out stays.

    This is refused while a call to the number is under way. What staff did stays in the audit, which names no patient.
    For 8 days a keyed hash stays, too, so that the limits on calls to the number still apply.
    """
    number = _number(normal_name(phone), config, number_of)
    with existing_database(config) as connection:
        found = _found(connection, number)
        if not yes:
            click.echo(_question(found), err=True)
            click.confirm("Erase them for good?", abort=True, err=True)
        done = write_now(connection, partial(erase, phone_number=number, actor=actor()))
        click.echo(f"erased: {count_with_noun(done.reminders, 'reminder')}, {count_with_noun(done.calls, 'call')}")
        if done.opted_out:
            click.echo("the opt-out stays, as without it the number could be called again; opt-out remove deletes it")
        click.echo("older backups still contain them")
        _say_where_files_are(config)
        _scrub(connection)


def _say_where_files_are(config: Config) -> None:
    """Name each folder of imported and written files: these commands do not search the files."""
    brought, written, days = config.import_.path, config.results.path, config.retention.days
    folders = [folder for folder in (brought and brought / DONE, brought and brought / REJECTED, written) if folder]
    until = f" after {days} days" if days else " if [retention].days is set"
    for folder in folders:
        try:
            files = sum(path.is_file() for path in folder.iterdir())
        except OSError as error:
            click.echo(f"{folder}: {error.strerror}; look there for files that contain them", err=True)
            continue
        if files:
            what = f"{count_with_noun(files, 'file')} in {folder} may contain them, too: delete those that do"
            click.echo(f"{what}; the daemon deletes all{until}")


def _document(number: str, found: PersonalData) -> dict[str, Any]:
    of_each = {"calls": found.calls, "receipts": found.receipts, "changes": found.changes, "audit": found.acts}
    return {
        "phone_number": number,
        "opt_out": found.opt_out,
        "reminders": [
            reminder | {name: rows[str(reminder["id"])] for name, rows in of_each.items()}
            for reminder in found.reminders
        ],
        "appointments": found.appointments,
        "other_calls": found.other_calls,
    }


def _question(found: PersonalData) -> str:
    waiting = sum(reminder["status"] == Status.SCHEDULED for reminder in found.reminders)
    others = f"; {count_with_noun(len(found.other_calls), 'call')} for no reminder of it" if found.other_calls else ""
    booked = f"; {count_with_noun(len(found.appointments), 'appointment')}" if found.appointments else ""
    return (
        f"{count_with_noun(len(found.reminders), 'reminder')} of this number, {waiting} of them waiting{booked}{others}"
    )


def _found(connection: Connection, number: str) -> PersonalData:
    found = snapshot(connection, partial(personal_data_of, phone_number=number))
    if found.empty:
        fail("nothing is stored about this number")
    return found


def _number(phone: str, config: Config, read: Callable[[str, str], str]) -> str:
    try:
        return read(phone, config.clinic.country)
    except ValueError as error:
        wrong_usage([f"PHONE: {error}"])


_UNPRINTABLE: Final = re.compile(r"[^ -~\w]")


def _source(text: str) -> str:
    """Return the source of an opt-out as it was typed, without invisible characters; end if it is not valid."""
    source = normal_name(text)
    mistake = source_mistake(source)
    if mistake is not None:
        wrong_usage([f"--source: {mistake}"])
    return source


@click.command()
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(min=LEAST_DAYS, max=36_500),
    required=True,
    metavar="DAYS",
    help=f"Only reminders that were due, and last changed, more than this many days ago; at least {LEAST_DAYS}.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing; show how many reminders would be purged.")
@with_config
def purge(config: Config, days: int, *, dry_run: bool) -> None:
    """Erase message, transcript and phone number of old reminders that are final.

    Final means called, failed, expired or cancelled. Their outcome, their ref, and all opt-outs stay. The daemon may
    run meanwhile. At the end, a database file is rewritten; for about a second, no other program can write.
    """
    before = SystemClock().now() - timedelta(days=days)
    with existing_database(config) as connection:
        if dry_run:
            old = snapshot(connection, partial(count_old, before=before))
            left = snapshot(connection, partial(count_left_calls, before=before))
            click.echo(f"{_counted(old, left)} would be purged; nothing was changed")
            return
        purged, calls, place = 0, 0, Place()
        write_now(connection, lambda opened, _now: opened.refresh_statistics())
        while True:
            batch = partial(purge_batch, before=before, place=place, actor=actor(), cleaned=mask_numbers)
            done = write_now(connection, batch)
            if done.reached is None:
                break
            purged, calls, place = purged + done.reminders, calls + done.calls, done.reached
        click.echo(f"{_counted(purged, calls)} purged")
        _scrub(connection)


def _counted(reminders: int, calls: int) -> str:
    left = f", and {count_with_noun(calls, 'call')} of deleted or moved reminders," if calls else ""
    return f"{count_with_noun(reminders, 'reminder')}{left}"


def _scrub(connection: Connection) -> None:
    """Free a database file of what was erased; warn on stderr if its write-ahead log could not be emptied."""
    if isinstance(connection, SqliteConnection) and not scrub(connection):
        click.echo("another program reads the database: traces are left in its -wal file until it is done", err=True)


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
    number = _number(phone, config, existing_number)
    source = _source(source)
    with database(config) as connection:
        cancelled = _opt_out(connection, number, source, rules_of(config))
    click.echo(f"opted out; {count_with_noun(cancelled, 'reminder')} cancelled")


@opt_out_.command(short_help="Allow calls to a phone number again.")
@click.argument("phone", metavar="PHONE")
@with_config
def remove(config: Config, phone: str) -> None:
    """Allow calls to PHONE again; reminders that were cancelled stay cancelled."""
    number = _number(phone, config, number_of)
    with existing_database(config) as connection:
        if not write_now(connection, partial(opt_in, phone_number=number, actor=actor())):
            fail("this number had not opted out")
    click.echo("opted in; cancelled reminders stay cancelled, call-again schedules one again")


@opt_out_.command(name="list")
@as_json_or_csv
@with_config
def list_(config: Config, form: str | None) -> None:
    """List all numbers that have opted out."""
    zone = config.calling.zone
    with read_only_database(config) as connection:
        rows = snapshot(connection, list_opt_outs)
    if form == "json":
        print_json(rows, zone)
    elif form == "csv":
        sys.stdout.write(csv_text(rows, _COLUMNS, lambda value: "" if value is None else str(value)))
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

    Columns are found by their headers, as in reminderd import. A table without a header must have exactly one phone
    number in its first row; then the numbers of that column are read. Every number of a line is opted out.

    Numbers that can't exist, and lines without a number, are listed, and the exit code is 1. All others are imported.
    """
    source = _source(source) if source else f"import of {_UNPRINTABLE.sub('…', file.name)}"[:SOURCE_LIMIT]
    numbers: set[str] = set()
    bad_lines: set[int] = set()
    cancelled, country, rules = 0, config.clinic.country, rules_of(config)
    try:
        with open_sheet(file, names_numbers, only_numbers=True) as sheet:
            columns = number_columns(sheet.header, country)
            if columns.has_header and len(sheet.header) > 1:
                _say_what_was_found(file, sheet, columns)
            with database(config) as connection:
                for cell in _cells(sheet, columns):
                    try:
                        number = cell.number(country)
                    except ValueError as error:
                        click.echo(f"line {cell.line}: {cell.name}{error}", err=True)
                        bad_lines.add(cell.line)
                        continue
                    if number not in numbers:
                        cancelled += _opt_out(connection, number, source, rules)
                        numbers.add(number)
    except FileRefusedError as error:
        wrong_usage([f"{file}: {error}"])
    except ColumnsError as error:
        wrong_usage([f"{file}: {mistake}" for mistake in error.mistakes])
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}")
    click.echo(
        f"{count_with_noun(len(numbers), 'number')} opted out; {count_with_noun(cancelled, 'reminder')} cancelled"
    )
    if bad_lines:
        fail(f"{count_with_noun(len(bad_lines), 'line')} with a missing or a wrong number")


def _say_what_was_found(file: Path, sheet: Sheet, columns: NumberColumns) -> None:
    names = [name.strip() for name in sheet.header]
    click.echo(f"{file}: every number of a line is opted out")
    click.echo(f"  phone numbers: {', '.join(names[place] for place in columns.places)}")
    ignored = [name for place, name in enumerate(names) if name and place not in columns.places]
    if ignored:
        click.echo(f"  ignored: {', '.join(ignored)}")


_CUT: Final = "the file ends without a line end, so this number may be cut off; expected one after the last line"


@frozen(kw_only=True)
class _Cell:
    """A cell with a number."""

    line: int
    name: str = ""
    """Its header, if several columns have numbers."""
    text: str = ""
    is_whole: bool = True
    """Whether it is certainly not cut off."""
    mistake: str | None = None
    """Why its line can't be read; None if it can."""

    def number(self, country: str) -> str:
        """Return its number in E.164.

        Raises:
            ValueError: it has no number, or its number may be cut off.
        """
        if self.mistake is not None:
            raise ValueError(self.mistake)
        number = existing_number(self.text, country)
        if not self.is_whole and may_be_incomplete(number):
            raise ValueError(_CUT)
        return number


def _cells(sheet: Sheet, columns: NumberColumns) -> Iterator[_Cell]:
    """Yield every cell with a number; for a line without a number, or one that can't be read, yield one empty cell."""
    first, *others = columns.places
    for row in sheet.rows() if columns.has_header else sheet.all_rows():
        if row.mistake not in {None, UNREADABLE}:
            yield _Cell(line=row.line, mistake=row.mistake)
            continue
        cells = dict(enumerate(row.cells))
        filled = [place for place in columns.places if any(map(str.isalnum, cells.get(place, "")))]
        for place in filled or [first]:
            name = f"{sheet.header[place].strip()}: " if others and filled else ""
            text = cells.get(place, "") if filled or not others else ""
            is_whole = row.whole_cells is None or place < row.whole_cells
            yield _Cell(line=row.line, name=name, text=text, is_whole=is_whole)


def _opt_out(connection: Connection, number: str, source: str, rules: Rules) -> int:
    """Opt a number out; return how many reminders are cancelled by that."""
    write = partial(opt_out, phone_number=number, source=source, actor=actor(), rules=rules)
    return len(write_now(connection, write))
