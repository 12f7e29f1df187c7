"""A table as a spreadsheet saved it: its encoding and delimiter found, its rows read as often as they are needed."""

import codecs
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from stat import S_IMODE
from tempfile import TemporaryFile
from typing import IO, Final, TextIO

import click
from attrs import evolve, frozen

from reminderd.core.csv_columns import Columns
from reminderd.core.csv_records import Record, delimiter_of, names_delimiter, records
from reminderd.core.formulas import unguarded
from reminderd.core.spoken_times import DayOrder, day_orders

_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_ENCODINGS: Final = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with byte order mark",
    "utf-16": "UTF-16",
    "cp1252": "Windows-1252",
}
"""What spreadsheets write, by Python's name."""
_BLOCK: Final = 1 << 16
_MODES_OF_SECRETS: Final = (0o400, 0o440)
"""As systemd, and the command that is deployed, lay secrets out for the daemon's user."""


class UnreadableError(Exception):
    """The table can't be read as a whole; the message says why and what is expected."""


@frozen
class Sheet:
    """An open table."""

    file: IO[bytes]
    codec: str
    delimiter: str
    header: Sequence[str]
    size: int
    """In bytes."""

    @property
    def encoding(self) -> str:
        """What its encoding is called."""
        return _ENCODINGS[self.codec]

    def rows(self) -> Iterator[Record]:
        """Every row below the header, from the first; one pass at a time."""
        rows = self.all_rows()
        next(rows)
        yield from rows

    def all_rows(self) -> Iterator[Record]:
        """The header, and every row below it, where that is what it is; one pass at a time."""
        with _text(self.file, self.codec) as lines:
            yield from _all_records(lines, self.delimiter)

    def position(self) -> int:
        """How many bytes the pass has read, the buffer included."""
        return os.lseek(self.file.fileno(), 0, os.SEEK_CUR)


@contextmanager
def opened(path: Path) -> Iterator[Sheet]:
    """The table in a file, or on standard input for `-`.

    What can be read only once is kept meanwhile in a file without a name, as it takes more than one pass.

    Raises:
        UnreadableError: It has an encoding that spreadsheets don't write, or no header, or a secret's mode.
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
        codec = _codec_of(file)
        with _text(file, codec) as lines:
            first_line = next(lines, "")
        delimiter = delimiter_of(first_line)
        with _text(file, codec) as lines:
            header = next(_all_records(lines, delimiter), None)
        if header is None:
            raise UnreadableError("it is empty; expected a header and rows below it")
        if header.mistake is not None:
            raise UnreadableError(f"the header: {header.mistake}")
        yield Sheet(file, codec, delimiter, header.cells, os.fstat(file.fileno()).st_size)


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
    """Its text from the beginning, line ends as they are."""
    file.seek(0)
    with open(os.dup(file.fileno()), encoding=codec, newline="") as text:  # noqa: PTH123 - a descriptor has no path
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


def _codec_of(file: IO[bytes]) -> str:
    """The encoding that all of it is valid in."""
    file.seek(0)
    begin = file.read(_BLOCK)
    marked = next((codec for mark, codec in _MARKS if begin.startswith(mark)), None)
    if marked is None and b"\0" in begin:
        raise UnreadableError("it contains NUL bytes, so it is not text; expected CSV, saved as UTF-8")
    flaw = _first_flaw(file, marked or "utf-8")
    if flaw is None:
        return marked or "utf-8"
    if marked is not None or not flaw.plain_before:
        # Once there was a letter beyond ASCII that was right, another encoding would make garbage of it.
        raise UnreadableError(f"line {flaw.line} is not {_ENCODINGS[marked or 'utf-8']} like what is above it")
    flaw = _first_flaw(file, "cp1252")
    if flaw is not None:
        raise UnreadableError(f"line {flaw.line} is neither UTF-8 nor Windows-1252; expected CSV, saved as UTF-8")
    return "cp1252"


@frozen
class _Flaw:
    line: int
    plain_before: bool
    """Whether all before it is ASCII."""


def _first_flaw(file: IO[bytes], codec: str) -> _Flaw | None:
    """Where the bytes first break the encoding's rules; None: nowhere."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(codec)()
    line, plain = 1, True
    while True:
        block = file.read(_BLOCK)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            return _Flaw(line + before.count(b"\n"), plain and before.isascii())
        if not block:
            return None
        line += text.count("\n")
        plain = plain and text.isascii()
