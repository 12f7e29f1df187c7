"""Print rows: a table for a person at a terminal, one JSON document for a program."""

import codecs
import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reminderd.logs.terminal import in_json, raw_stream
from reminderd.store.queries import ShownValue

Row = Mapping[str, ShownValue]

_ANY_WIDTH: Final = 10_000
_FOLDED_WIDTHS: Final = (12, 8)
"""The widths to which these columns may shrink; the first one with which the table fits is used."""
_FOLDED: Final = frozenset(
    {"id", "ref", "why", "error", "external_call_id", "detail", "reason", "what happens", "name", "type"}
)
"""Columns whose texts may be long."""

_SPARED: Final = frozenset({"attempts", "wake_at", "type"})
"""Columns that are left out before anything else is folded."""

_CODED: Final = frozenset({"state", "outcome", "call_outcome", "response"})
"""Columns with codes, which are printed as words."""

_STYLES = {
    "called": "green",
    "completed": "green",
    "failed": "red",
    "expired": "red",
    "cancelled": "dim",
}


def print_json(document: object, zone: ZoneInfo) -> None:
    """Print one JSON document; times as ISO 8601 with the clinic's offset, control characters as JSON's escapes."""

    def as_text(value: object) -> str:
        if isinstance(value, datetime):
            return value.astimezone(zone).isoformat(timespec="milliseconds")
        raise TypeError(value)

    is_unicode = codecs.lookup(sys.stdout.encoding or "utf-8").name.startswith("utf")
    click.echo(in_json(json.dumps(document, default=as_text, ensure_ascii=not is_unicode, indent=2)))


def print_table(rows: Sequence[Row], columns: Sequence[str], zone: ZoneInfo, *, title: str | None = None) -> None:
    """Print the named columns of the rows.

    If the terminal is too narrow, leave out empty columns, seconds and borders, and fold only long texts. If that is
    not enough, also leave out columns that staff rarely need, which --json has. In the end, fold any text.
    """
    shown = console()
    table = _table(rows, columns, zone)
    if shown.measure(table, options=shown.options.update(max_width=_ANY_WIDTH)).maximum > shown.width:
        filled = [column for column in columns if any(row[column] not in {None, ""} for row in rows)]
        needed = [column for column in filled if column not in _SPARED]
        tries = (
            _narrow_table(rows, some, zone, shown.width, folded)
            for some in (filled, needed)
            for folded in _FOLDED_WIDTHS
        )
        table = next(filter(None, tries), None) or _table(rows, filled, zone)
    table.title, table.title_justify = title, "left"
    shown.print(table)


def _table(rows: Sequence[Row], columns: Sequence[str], zone: ZoneInfo) -> Table:
    table = Table(header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(column, row[column], zone) for column in columns))
    return table


def _narrow_table(rows: Sequence[Row], columns: Sequence[str], zone: ZoneInfo, width: int, folded: int) -> Table | None:
    """Return a table without borders and seconds that folds only long texts; None if it does not fit."""
    table = Table(header_style="bold", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    needed = len(columns) - 1
    cells = {column: [_cell(column, row[column], zone, has_seconds=False) for row in rows] for column in columns}
    for column in columns:
        is_folded = column in _FOLDED
        widest = max(cell.cell_len for cell in (Text(column), *cells[column]))
        least = min(widest, folded) if is_folded else widest
        needed += least
        table.add_column(column, overflow="fold", no_wrap=not is_folded, min_width=least)
    for row in zip(*cells.values(), strict=True):
        table.add_row(*row)
    return table if needed <= width else None


def print_fields(row: Row, zone: ZoneInfo) -> None:
    """Print every column of one row that is not empty, one per line."""
    table = Table(show_header=False, box=None)
    for column, value in row.items():
        if value is not None:
            table.add_row(Text(column, style="bold"), _cell(column, value, zone))
    console().print(table)


def console() -> Console:
    """Return stdout as wide as the terminal; without a terminal, it is wide enough for whole rows."""
    file = raw_stream(sys.stdout)  # rich colors the cells; what is in them is cleaned
    found = Console(file=file, highlight=False, markup=False)
    return found if found.is_terminal else Console(file=file, highlight=False, markup=False, width=200)


def moment_in_words(moment: datetime, zone: ZoneInfo) -> str:
    """Return a moment as a person at the clinic reads it."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def count_with_noun(count: int, noun: str) -> str:
    """Return a count with its noun, for a person to read."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def code_as_words(code: object) -> str:
    """Return a code as a person reads it."""
    return str(code).replace("_", " ")


def _cell(column: str, value: ShownValue, zone: ZoneInfo, *, has_seconds: bool = True) -> Text:
    if isinstance(value, datetime):
        return Text(moment_in_words(value, zone) if has_seconds else f"{value.astimezone(zone):%Y-%m-%d %H:%M}")
    shown = "" if value is None else "".join(map(_visible, code_as_words(value) if column in _CODED else str(value)))
    return Text(shown, style=_STYLES.get(shown, "") if column == "status" else "")


def _visible(character: str) -> str:
    """Return a character as a cell shows it; an invisible one is left out, as nobody could type it in a command."""
    if character.isprintable():
        return character
    return "" if unicodedata.category(character) == "Cf" else " "
