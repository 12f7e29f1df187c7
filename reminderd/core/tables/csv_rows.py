"""Read a spreadsheet's text as rows: delimiter, rows above the header, quotes, line breaks in cells, bad lines.

A cell that a spreadsheet would run as a formula gets an apostrophe in front when it is written, so that a spreadsheet
shows it as text. When it is read, the apostrophe is removed. Source: OWASP, "CSV Injection".
"""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from attrs import frozen

DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
"""The characters that may separate two cells, with their names."""

LINES_TO_HEADER: Final = 40
"""How many lines at the beginning of a table are searched for its header."""

_SEPARATOR_LINE: Final = "sep="
_LOST: Final = "\N{REPLACEMENT CHARACTER}"


@frozen
class CsvRow:
    """One row of the table."""

    line: int
    """The line of the file, from 1, on which it begins."""
    cells: list[str]
    mistake: str | None = None
    """Why the row can't be read; None if it can. If not, `cells` has its first line, or its readable part."""
    whole_cells: int | None = None
    """How many of its cells are certainly whole, if it ends the file without a line end; otherwise None."""


@frozen
class Layout:
    """How a table begins."""

    delimiter: str
    above: int = 0
    """How many rows are above its header, such as a title."""


def layout_of(lines: Sequence[str], is_header: Callable[[Sequence[str]], bool]) -> Layout:
    """Return how a table begins. The header is the first row for which `is_header` is true, else the first row.

    `lines` has at least one line, with line ends; `LINES_TO_HEADER` lines are enough.
    """
    if names_delimiter(lines[0]):
        delimiter = delimiter_of(lines[0])
        return Layout(delimiter, _above(lines[1:], delimiter, is_header) or 0)
    found = {delimiter: _above(lines, delimiter, is_header) for delimiter in DELIMITERS}
    layouts = [Layout(delimiter, above) for delimiter, above in found.items() if above is not None]
    return min(layouts, key=lambda layout: layout.above, default=Layout(delimiter_of(lines[0])))


def _above(lines: Sequence[str], delimiter: str, is_header: Callable[[Sequence[str]], bool]) -> int | None:
    """Return how many rows are above the header, if read with this delimiter; None if there is no header."""
    rows = enumerate(csv_rows(lines, delimiter))
    return next((place for place, row in rows if row.mistake is None and is_header(row.cells)), None)


def delimiter_of(first_line: str) -> str:
    """Return the delimiter of a header, a comma if there is only one cell; Excel's own `sep=;` line states it."""
    if names_delimiter(first_line):
        return first_line[len(_SEPARATOR_LINE)]
    outside_quotes = "".join(first_line.split('"')[::2])
    return max(DELIMITERS, key=outside_quotes.count)


def names_delimiter(first_line: str) -> bool:
    """Return whether a line is not a header, but Excel's `sep=` line, which states the delimiter."""
    line = first_line.strip("\r\n")
    return len(line) == len(_SEPARATOR_LINE) + 1 and line.lower().startswith(_SEPARATOR_LINE) and line[-1] in DELIMITERS


def csv_rows(lines: Iterable[str], delimiter: str, *, first_line: int = 1) -> Iterator[CsvRow]:
    """Yield every row of some lines, which have their line ends, as from a file opened with `newline=""`.

    Blank rows are left out. After quotes that don't match, reading continues on the next line, so that one stray quote
    never hides the rest.
    """
    source = iter(lines)
    again: deque[str] = deque()
    consumed: list[str] = []

    def feed() -> Iterator[str]:
        while True:
            line = again.popleft() if again else next(source, None)
            if line is None:
                return
            consumed.append(line)
            yield line

    number = first_line
    while True:
        try:
            for cells in csv.reader(feed(), delimiter=delimiter, strict=True):
                if any(cells):
                    is_readable = _LOST not in "".join(cells)
                    whole = None if consumed[-1].endswith(("\n", "\r")) else _whole(consumed[-1], cells, delimiter)
                    yield CsvRow(number, cells, None if is_readable else UNREADABLE, whole)
                number += len(consumed)
                consumed.clear()
        except csv.Error:
            yield CsvRow(number, [consumed[0].rstrip("\r\n")], _QUOTES)
            number += 1
            again.extendleft(reversed(consumed[1:]))
            consumed.clear()
        else:
            return


def _whole(last_line: str, cells: Sequence[str], delimiter: str) -> int:
    """Return how many cells of the last row are certainly whole; its last cell is only if it is in quotes."""
    last = cells[-1]
    quoted = '"' + last.replace('"', '""') + '"'
    is_quoted = "\n" in last or "\r" in last or last_line == quoted or last_line.endswith(delimiter + quoted)
    return len(cells) if is_quoted else len(cells) - 1


_QUOTES: Final = "quotes: they don't match; expected a cell in quotes to end with one, and a quote inside to be doubled"
UNREADABLE: Final = f"encoding: a letter can't be read, shown as {_LOST}; expected the letter"


_BEGINS_A_FORMULA: Final = re.compile("'*(?:\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]|[\\t\\r\\n])")
"""This includes full-width and small forms, which some spreadsheets read in the same way, and cells with apostrophes in
front, so that `original_cell` always removes exactly what `safe_cell` has added."""

_GUARD: Final = "'"


def safe_cell(cell: str) -> str:
    """Return the cell in a form that is safe in a spreadsheet."""
    return _GUARD + cell if _BEGINS_A_FORMULA.match(cell) else cell


def original_cell(cell: str) -> str:
    """Return the cell as it was before `safe_cell`, such as a phone number with its +."""
    return cell[1:] if cell[:1] == _GUARD and _BEGINS_A_FORMULA.match(cell, 1) else cell
