"""Open a table as a spreadsheet saved it: find its encoding, delimiter and header, and read its rows.

The encoding is found by the bytes where they can mean nothing else; else `--encoding` names it.
"""

import codecs
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Final, TextIO
from zipfile import BadZipFile, ZipFile

from attrs import evolve, frozen

from reminderd.core.tables.csv_rows import (
    DELIMITERS,
    LINES_TO_HEADER,
    CsvRow,
    Layout,
    csv_rows,
    layout_of,
    names_delimiter,
    unguarded,
)
from reminderd.imports.table import SPREADSHEET_UNIT, UnreadableError, source

_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_NAMES: Final = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with byte order mark",
    "utf-16": "UTF-16",
    "cp1252": "Windows-1252",
}
"""What spreadsheets write, by Python's name, and what it is called."""
_OLE: Final = bytes.fromhex("d0cf11e0a1b11ae1")
"""How the workbooks of old versions of Excel begin, and those with a password."""
_ZIP: Final = b"PK\x03\x04"
"""How other workbooks begin."""
_EXCEL: Final = "it is an Excel workbook; expected CSV: in Excel, save it as CSV UTF-8"
_BLOCK: Final = 1 << 16
_ALIKE: Final = frozenset(
    byte
    for byte in range(0x80, 0x100)
    if bytes([byte]).decode("cp1252", "replace")
    == bytes([byte]).decode("cp1250", "ignore")
    == bytes([byte]).decode("cp1250", "replace")
    != "\N{REPLACEMENT CHARACTER}"
)
"""The bytes that are the same in western and in central Europe: ä and é, but not è or ñ."""
_BAD_BYTE: Final = re.compile("[\udc80-\udcff]")
_LETTER: Final = re.compile("[^\0-\x7f\udc80-\udcff]")
_FOREIGN_WORD: Final = re.compile(b"[\xc0-\xd6\xd8-\xf6\xf8-\xff]{3}")
"""Three letters beyond ASCII in a row: Cyrillic or Greek rather than a language of western Europe."""
_EXPECTED: Final = "expected --encoding with its name, like windows-1252 or windows-1250, or a file saved as UTF-8"


class EncodingError(UnreadableError):
    """The bytes don't show the encoding."""


@frozen
class Sheet:
    """An open table."""

    file: IO[bytes]
    codec: str
    layout: Layout
    header: Sequence[str]
    size: int
    """In bytes."""
    unit: str = SPREADSHEET_UNIT
    made_at: None = None

    @property
    def delimiter(self) -> str:
        """Return what stands between its cells."""
        return self.layout.delimiter

    @property
    def found(self) -> Sequence[str]:
        """Return its encoding, what stands between its cells, and how much is above its header."""
        above = self.layout.above
        skipped = [f"above the header: {above} row{'' if above == 1 else 's'} skipped"] if above else []
        return [f"{called(self.codec)}, {DELIMITERS[self.delimiter]} between cells", *skipped]

    def rows(self) -> Iterator[CsvRow]:
        """Yield every row below the header, from the first; one pass at a time."""
        yield from islice(self.all_rows(), self.layout.above + 1, None)

    def all_rows(self) -> Iterator[CsvRow]:
        """Yield every row, from the first of the file; one pass at a time."""
        with _text(self.file, self.codec) as lines:
            yield from _unguarded_rows(lines, self.layout.delimiter)

    def position(self) -> int:
        """Return how many bytes the pass has read, the buffer included."""
        return os.lseek(self.file.fileno(), 0, os.SEEK_CUR)


@contextmanager
def opened(
    path: Path,
    is_header: Callable[[Sequence[str]], bool],
    encoding: str | None = None,
    *,
    only_numbers: bool = False,
) -> Iterator[Sheet]:
    """Open the table in a file, or on standard input for `-`.

    What can be read only once is kept meanwhile in a file without a name, as it is read more than once.

    Args:
        path: the file.
        is_header: whether a row names columns; the first row is the header if no other of the first is one.
        encoding: its encoding, if `--encoding` names it.
        only_numbers: whether its letters don't matter: digits are the same in every encoding.

    Raises:
        UnreadableError: Its bytes don't show its encoding, or it has no header, or a secret's mode.
        OSError: The file can't be read.
    """
    with source(path) as file:
        try:
            codec = encoding_of(file, encoding)
        except EncodingError:
            if not only_numbers:
                raise
            codec = "cp1252"
        with _text(file, codec) as lines:
            first = list(islice(lines, LINES_TO_HEADER))
        layout = layout_of(first or [""], lambda cells: is_header([unguarded(cell) for cell in cells]))
        with _text(file, codec) as lines:
            header = next(islice(_unguarded_rows(lines, layout.delimiter), layout.above, None), None)
        if header is None:
            raise UnreadableError("it is empty; expected a header and rows below it")
        if header.mistake is not None:
            raise UnreadableError(f"the header: {header.mistake}")
        yield Sheet(file, codec, layout, header.cells, os.fstat(file.fileno()).st_size)


@contextmanager
def _text(file: IO[bytes], codec: str) -> Iterator[TextIO]:
    """Open its text from the beginning, line ends as they are; what breaks its encoding is replaced."""
    file.seek(0)
    descriptor = os.dup(file.fileno())
    with open(descriptor, encoding=codec, errors="replace", newline="") as text:  # noqa: PTH123 - it has no path
        yield text


def _unguarded_rows(lines: TextIO, delimiter: str) -> Iterator[CsvRow]:
    """Yield the header and every row, without what guards their cells from spreadsheets."""
    first_line = next(lines, "")
    if names_delimiter(first_line):
        found = csv_rows(lines, delimiter, first_line=2)
    else:
        found = csv_rows(_chained(first_line, lines), delimiter)
    for row in found:
        cells = [unguarded(cell) for cell in row.cells]
        yield row if cells == row.cells else evolve(row, cells=cells)


def _chained(first_line: str, lines: TextIO) -> Iterator[str]:
    yield first_line
    yield from lines


def called(codec: str) -> str:
    """Return the name that people know an encoding by."""
    return _NAMES.get(codec, codec.replace("cp125", "Windows-125"))


def encoding_of(file: IO[bytes], named: str | None) -> str:
    """Return the encoding of a file, by Python's name; lines with bytes that break its rules are for its reader.

    Args:
        file: from which everything can be read again.
        named: the one that `--encoding` names; None: none.

    Raises:
        UnreadableError: it is no text.
        EncodingError: its bytes can be read in more than one way, or they contradict `named`.
    """
    file.seek(0)
    begin = file.read(_BLOCK)
    marked = next((codec for mark, codec in _MARKS if begin.startswith(mark)), None)
    if marked is not None:
        if named is not None and not marked.startswith(named[:6]):
            raise EncodingError(f"it begins with the mark of {called(marked)}; expected no --encoding")
        return marked
    _refuse_workbook(file, begin)
    if named is not None:
        return named
    if b"\0" in begin:
        raise UnreadableError("it contains NUL bytes, so it is not text; expected CSV, saved as UTF-8")
    letters, bad = _counted(file)
    if letters >= bad:  # no other encoding makes sense of that many letters by chance
        return "utf-8"
    if letters:
        raise EncodingError(f"a part of it is UTF-8, and a part is not; {_EXPECTED}")
    _refuse_unclear(file)
    return "cp1252"


def _refuse_workbook(file: IO[bytes], begin: bytes) -> None:
    """Raise UnreadableError, with the way to a CSV file, for a spreadsheet program's own files."""
    if begin.startswith(_OLE):
        raise UnreadableError(_EXCEL)
    if not begin.startswith(_ZIP):
        return
    try:
        with ZipFile(file) as archive:
            names = set(archive.namelist())
    except BadZipFile:
        names = set()
    if "mimetype" in names:
        raise UnreadableError(
            "it is an OpenDocument spreadsheet; expected CSV: in LibreOffice, save it as Text CSV in UTF-8"
        )
    if "[Content_Types].xml" in names:
        raise UnreadableError(_EXCEL)
    raise UnreadableError("it is a ZIP archive; expected the CSV file in it")


def _counted(file: IO[bytes]) -> tuple[int, int]:
    """Return how many letters beyond ASCII it has if it is UTF-8, and how many bytes that are none."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    letters = bad = 0
    while block := file.read(_BLOCK):
        text = decoder.decode(block)
        if not text.isascii():
            letters += len(_LETTER.findall(text))
            bad += len(_BAD_BYTE.findall(text))
    return letters, bad + len(decoder.decode(b"", final=True))


def _refuse_unclear(file: IO[bytes]) -> None:
    """Raise EncodingError if a byte has more than one meaning in the encodings that spreadsheets write."""
    file.seek(0)
    for number, line in enumerate(file, 1):
        unclear = next((byte for byte in line if byte >= 0x80 and byte not in _ALIKE), None)
        if unclear is not None:
            readings = ((bytes([unclear]).decode(name, "replace"), called(name)) for name in ("cp1252", "cp1250"))
            either = " or ".join(f"{letter} ({name})" for letter, name in readings)
            raise EncodingError(f"line {number} has a letter that may be {either}; {_EXPECTED}")
        if _FOREIGN_WORD.search(line):
            raise EncodingError(f"line {number} has letters that may be of more than one alphabet; {_EXPECTED}")
