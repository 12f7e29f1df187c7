"""A spreadsheet's text as records: the delimiter from its first line, quotes, cells with line breaks, and bad lines."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from attrs import frozen

DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""What may stand between two cells, and its name."""

_SEPARATOR_LINE: Final = "sep="


@frozen
class Record:
    """One row of the table."""

    line: int
    """The line of the file, from 1, on which it begins."""
    cells: list[str]
    mistake: str | None = None
    """Why it can't be read; `cells` then holds its first line as it is."""


def delimiter_of(first_line: str) -> str:
    """What stands between the cells of a header; a comma if nothing does. Excel's own `sep=;` line names it."""
    if names_delimiter(first_line):
        return first_line[len(_SEPARATOR_LINE)]
    outside_quotes = "".join(first_line.split('"')[::2])
    return max(DELIMITERS, key=outside_quotes.count)


def names_delimiter(first_line: str) -> bool:
    """Whether the line is no header but Excel's way to name the delimiter."""
    line = first_line.strip("\r\n")
    return len(line) == len(_SEPARATOR_LINE) + 1 and line.lower().startswith(_SEPARATOR_LINE) and line[-1] in DELIMITERS


def records(lines: Iterable[str], delimiter: str, *, first_line: int = 1) -> Iterator[Record]:
    """Every row, blank ones left out.

    After quotes that don't match, reading goes on with the next line: one stray quote never swallows the rest.

    Args:
        lines: with their line ends, as from a file opened with `newline=""`.
        delimiter: one of `DELIMITERS`.
        first_line: the number of the first of them.
    """
    source = iter(lines)
    again: deque[str] = deque()
    taken: list[str] = []

    def feed() -> Iterator[str]:
        while True:
            line = again.popleft() if again else next(source, None)
            if line is None:
                return
            taken.append(line)
            yield line

    number = first_line
    while True:
        try:
            for cells in csv.reader(feed(), delimiter=delimiter, strict=True):
                if any(cells):
                    yield Record(number, cells)
                number += len(taken)
                taken.clear()
        except csv.Error:
            yield Record(number, [taken[0].rstrip("\r\n")], _QUOTES)
            number += 1
            again.extendleft(reversed(taken[1:]))
            taken.clear()
        else:
            return


_QUOTES: Final = "quotes: they don't match; expected a cell in quotes to end with one, and a quote inside to be doubled"
