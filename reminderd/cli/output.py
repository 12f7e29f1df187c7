"""How rows are shown: a table for a person at a terminal, one JSON document for a program."""

import codecs
import csv
import json
import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reminderd.core.formulas import guarded
from reminderd.logs.terminal import in_json, unguarded
from reminderd.store.queries import Value

Row = Mapping[str, Value]

_STYLES = {
    "called": "green",
    "completed": "green",
    "failed": "red",
    "expired": "red",
    "unconfirmed": "yellow",
    "unreported": "red",
    "cancelled": "dim",
}


def print_json(document: object, zone: ZoneInfo) -> None:
    """One JSON document on stdout; times as ISO 8601 with the clinic's offset, control characters as JSON's escapes."""

    def as_text(value: object) -> str:
        if isinstance(value, datetime):
            return value.astimezone(zone).isoformat(timespec="milliseconds")
        raise TypeError(value)

    is_unicode = codecs.lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")
    click.echo(in_json(json.dumps(document, default=as_text, ensure_ascii=not is_unicode, indent=2)))


def print_table(rows: Sequence[Row], columns: Sequence[str], zone: ZoneInfo, *, title: str | None = None) -> None:
    """The named columns of the rows, as wide as the terminal."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(column, row[column], zone) for column in columns))
    console().print(table)


def print_csv(rows: Sequence[Row], columns: Sequence[str], as_text: Callable[[Value], str]) -> None:
    """The named columns of the rows as CSV, with a header; no spreadsheet takes a cell for a formula."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(columns)
    table.writerows([guarded(as_text(row[name])) for name in columns] for row in rows)


def print_fields(row: Row, zone: ZoneInfo) -> None:
    """Every column of one row that holds something, a line each."""
    table = Table(show_header=False, box=None)
    for column, value in row.items():
        if value is not None:
            table.add_row(Text(column, style="bold"), _cell(column, value, zone))
    console().print(table)


def console() -> Console:
    """stdout, as wide as the terminal; wide enough for whole rows where it is none."""
    file = unguarded(sys.stdout)  # rich colors the cells; what is in them is cleaned
    found = Console(file=file, highlight=False, markup=False)
    return found if found.is_terminal else Console(file=file, highlight=False, markup=False, width=200)


def spoken(moment: datetime, zone: ZoneInfo) -> str:
    """A moment as a person at the clinic reads it."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def counted(count: int, noun: str) -> str:
    """How many, and of what, as a person says it."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _cell(column: str, value: Value, zone: ZoneInfo) -> Text:
    if isinstance(value, datetime):
        return Text(spoken(value, zone))
    shown = "" if value is None else "".join(map(_visible, str(value)))
    return Text(shown, style=_STYLES.get(shown, "") if column == "status" else "")


def _visible(character: str) -> str:
    """A character as a cell shows it: what can't be seen is left out, as nobody could type it in a command."""
    if character.isprintable():
        return character
    return "" if unicodedata.category(character) == "Cf" else " "
