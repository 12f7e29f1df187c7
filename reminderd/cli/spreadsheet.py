"""A table as a spreadsheet saved it: encoding, delimiter and header found, rows read as often as they are needed."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from stat import S_IMODE
from tempfile import TemporaryFile
from typing import IO, Final, TextIO

import click
from attrs import evolve, frozen

from reminderd.cli.encodings import EncodingError, NotTextError, encoding_of
from reminderd.core.schedule.dates import DayOrder, day_orders
from reminderd.core.tables.columns import Columns
from reminderd.core.tables.records import (
    LINES_TO_HEADER,
    Layout,
    Record,
    layout_of,
    names_delimiter,
    records,
    unguarded,
)

_MODES_OF_SECRETS: Final = (0o400, 0o440)
"""As systemd, and the command that is deployed, lay secrets out for the daemon's user."""


class UnreadableError(Exception):
    """The table can't be read as a whole; the message says why and what is expected."""


@frozen
class Sheet:
    """An open table."""

    file: IO[bytes]
    codec: str
    layout: Layout
    header: Sequence[str]
    size: int
    """In bytes."""

    def rows(self) -> Iterator[Record]:
        """Every row below the header, from the first; one pass at a time."""
        yield from islice(self.all_rows(), self.layout.above + 1, None)

    def all_rows(self) -> Iterator[Record]:
        """Every row, from the first of the file; one pass at a time."""
        with _text(self.file, self.codec) as lines:
            yield from _all_records(lines, self.layout.delimiter)

    def position(self) -> int:
        """How many bytes the pass has read, the buffer included."""
        return os.lseek(self.file.fileno(), 0, os.SEEK_CUR)


@contextmanager
def opened(
    path: Path,
    is_header: Callable[[Sequence[str]], bool],
    encoding: str | None = None,
    *,
    only_numbers: bool = False,
) -> Iterator[Sheet]:
    """The table in a file, or on standard input for `-`.

    What can be read only once is kept meanwhile in a file without a name, as it takes more than one pass.

    Args:
        path: the file.
        is_header: whether a row names columns; the first row is the header if no other of the first is one.
        encoding: its encoding, where somebody knows it.
        only_numbers: whether its letters don't matter: digits are the same in every encoding.

    Raises:
        UnreadableError: Its bytes don't tell its encoding, or it has no header, or a secret's mode.
        OSError: The file can't be read.
    """
    with click.open_file(str(path), "rb") as given, TemporaryFile() as kept:
        # Who may import may not thereby read the secrets of the daemon, as whose user this runs. The open file is
        # asked: its name may be a link that leads elsewhere by now.
        if str(path) != "-" and S_IMODE(os.fstat(given.fileno()).st_mode) in _MODES_OF_SECRETS:
            raise UnreadableError("its mode is that of a secret; expected a table that its owner may write")
        file: IO[bytes] = given
        if str(path) == "-" or not given.seekable():
            shutil.copyfileobj(given, kept)
            file = kept
        try:
            codec = encoding_of(file, encoding)
        except NotTextError as error:
            raise UnreadableError(f"{error}") from error
        except EncodingError as error:
            if not only_numbers:
                raise UnreadableError(f"{error}") from error
            codec = "cp1252"
        with _text(file, codec) as lines:
            first = list(islice(lines, LINES_TO_HEADER))
        layout = layout_of(first or [""], lambda cells: is_header([unguarded(cell) for cell in cells]))
        with _text(file, codec) as lines:
            header = next(islice(_all_records(lines, layout.delimiter), layout.above, None), None)
        if header is None:
            raise UnreadableError("it is empty; expected a header and rows below it")
        if header.mistake is not None:
            raise UnreadableError(f"the header: {header.mistake}")
        yield Sheet(file, codec, layout, header.cells, os.fstat(file.fileno()).st_size)


def day_order_of(sheet: Sheet, columns: Columns) -> DayOrder | None:
    """How the whole table writes dates with slashes; None: it has none, or they mean the same either way.

    Raises:
        UnreadableError: No row tells, or two contradict each other.
    """
    proofs: dict[DayOrder, int] = {}
    unclear: int | None = None
    texts = [
        partial(columns.text, field)
        for field in ("scheduled_at", "expires_at", "appointment_at")
        if field in columns.places
    ]
    for row in sheet.rows():
        for text in texts:
            orders = day_orders(text(row.cells))
            if len(orders) == 1:
                [order] = orders
                proofs.setdefault(order, row.line)
            elif orders and unclear is None:
                unclear = row.line
    if len(proofs) == len(DayOrder):
        lines = " and ".join(map(str, sorted(proofs.values())))
        raise UnreadableError(f"some dates are day first and some month first (lines {lines}); expected {_EITHER}")
    if not proofs and unclear is not None:
        raise UnreadableError(
            f"dates like that on line {unclear} may be day first or month first; no line decides; expected {_EITHER}"
        )
    return next(iter(proofs), None)


_EITHER: Final = "--dates dmy or --dates mdy"


@contextmanager
def _text(file: IO[bytes], codec: str) -> Iterator[TextIO]:
    """Its text from the beginning, line ends as they are, what breaks its encoding replaced."""
    file.seek(0)
    descriptor = os.dup(file.fileno())
    with open(descriptor, encoding=codec, errors="replace", newline="") as text:  # noqa: PTH123 - it has no path
        yield text


def _all_records(lines: TextIO, delimiter: str) -> Iterator[Record]:
    """The header and every row, without what guards their cells from spreadsheets."""
    first_line = next(lines, "")
    if names_delimiter(first_line):
        found = records(lines, delimiter, first_line=2)
    else:
        found = records(_chained(first_line, lines), delimiter)
    for record in found:
        yield evolve(record, cells=[unguarded(cell) for cell in record.cells])


def _chained(first_line: str, lines: TextIO) -> Iterator[str]:
    yield first_line
    yield from lines
