"""How rows are shown: a table for a person at a terminal, one JSON document for a program."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    """One JSON document on stdout; times as ISO 8601 with the clinic's offset."""

    def as_text(value: object) -> str:
        if isinstance(value, datetime):
            return value.astimezone(zone).isoformat(timespec="milliseconds")
        raise TypeError(value)

    click.echo(json.dumps(document, default=as_text, ensure_ascii=False, indent=2))


def print_table(rows: Sequence[Row], columns: Sequence[str], zone: ZoneInfo, *, title: str | None = None) -> None:
    """The named columns of the rows, as wide as the terminal."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(column, row[column], zone) for column in columns))
    console().print(table)


def print_fields(row: Row, zone: ZoneInfo) -> None:
    """Every column of one row that holds something, a line each."""
    table = Table(show_header=False, box=None)
    for column, value in row.items():
        if value is not None:
            table.add_row(Text(column, style="bold"), _cell(column, value, zone))
    console().print(table)


def console() -> Console:
    """stdout, as wide as the terminal; wide enough for whole rows where it is none."""
    found = Console(highlight=False, markup=False)
    return found if found.is_terminal else Console(highlight=False, markup=False, width=200)


def spoken(moment: datetime, zone: ZoneInfo) -> str:
    """A moment as a person at the clinic reads it."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def counted(count: int, noun: str) -> str:
    """How many, and of what, as a person says it."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _cell(column: str, value: Value, zone: ZoneInfo) -> Text:
    if isinstance(value, datetime):
        return Text(spoken(value, zone))
    shown = "" if value is None else "".join(c if c.isprintable() else " " for c in str(value))
    return Text(shown, style=_STYLES.get(shown, "") if column == "status" else "")
