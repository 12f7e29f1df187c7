"""Open a table that a spreadsheet saved: find its encoding, delimiter and header, and read its rows.

The bytes show the encoding if they can mean nothing else; otherwise `--encoding` names it.
"""

import codecs
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import IO, Final, TextIO
from zipfile import BadZipFile, ZipFile

from attrs import evolve, frozen

from reminderd.core.imports import FileRefusedError
from reminderd.core.tables.csv_rows import (
    DELIMITERS,
    LINES_TO_HEADER,
    CsvRow,
    csv_rows,
    layout_of,
    names_delimiter,
    original_cell,
)
from reminderd.imports.table import SPREADSHEET_UNIT, Table, open_source

_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_NAMES: Final = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with byte order mark",
    "utf-16": "UTF-16",
    "cp1252": "Windows-1252",
    "cp850": "cp850 of MS-DOS",
    "mac-roman": "mac-roman",
}
"""The encodings that spreadsheets write: Python's name, and the name for people."""
_OLE: Final = bytes.fromhex("d0cf11e0a1b11ae1")
"""The beginning of workbooks of old versions of Excel, and of workbooks with a password."""
_ZIP: Final = b"PK\x03\x04"
"""The beginning of other workbooks."""
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
"""The bytes with the same meaning in western and in central Europe: ä and é, but not è or ñ."""
_BAD_BYTE: Final = re.compile("[\udc80-\udcff]")
_LETTER: Final = re.compile("[^\0-\x7f\udc80-\udcff]")
_FOREIGN_WORD: Final = re.compile(b"[\xc0-\xd6\xd8-\xf6\xf8-\xff]{3}")
"""Three letters beyond ASCII in a row, which are Cyrillic or Greek rather than a western European language."""
_EXPECTED: Final = "expected --encoding with its name, like windows-1252 or windows-1250, or a file saved as UTF-8"

_LETTERS: Final = {
    b"any": rb"[A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\xff]",
    b"small": rb"[a-z\xdf-\xf6\xf8-\xff]",
    b"capital": rb"[A-Z\xc0-\xd6\xd8-\xde]",
}
"""The bytes that are letters in Windows-1252, and no signs in the encodings of MS-DOS and of the old Mac OS."""
_STRANGE: Final = re.compile(
    rb"""
      (?<=%(any)b) [\x80-\x84\x86-\x90\x93-\x97\x99\x9b-\x9d\xa4\xa7] (?=%(small)b)   # a low quote in J.ger
    | (?<=%(small)b) [\x8a\x8e] | (?<=%(any)b) [\x82\x84]     # a capital letter or a low quote at the end of Andr.
    | [\x80\x86\x87\x99] (?=%(small)b)                       # a cross before .zdemir
    | (?<=%(capital)b) [\x80-\x84\x86\x8f\x90\x99\x9d\xa5] (?=%(capital)b)     # a trademark in K.NIG
    """
    % _LETTERS,
    re.VERBOSE,
)
"""Bytes that no text in Windows-1252 contains: a sign inside a word, or a capital letter after a small one.

In the encodings of MS-DOS and of the old Mac OS, in which Excel also saves CSV, these bytes are letters.
"""
_CARON: Final = re.compile(rb"(?<=%(any)b)\x9a | (?<=%(capital)b)\x8e(?=%(capital)b)" % _LETTERS, re.VERBOSE)
"""The bytes that are š and Ž in Windows-1252, and Ü and Ä in the encoding of MS-DOS, where they occur in a word."""
_WESTERN: Final = re.compile(
    rb"""
      %(any)b [\xe0\xe2-\xf6\xf8-\xfc] | [\xc0-\xd6\xd8-\xdc] %(small)b
    | %(small)b \xe1                     # not after a capital letter, as in STRA.E in the encoding of MS-DOS
    | [A-Z] [\xc4\xdc] [A-Z]             # in a word without small letters
    """
    % _LETTERS,
    re.VERBOSE,
)
"""Bytes that are letters beyond ASCII in a word, and mostly signs in the other encodings."""


class EncodingError(FileRefusedError):
    """The bytes don't show the encoding."""


@frozen(kw_only=True)
class Sheet(Table):
    """An open spreadsheet."""

    all_rows: Callable[[], Iterator[CsvRow]]
    """Does as `rows`, but also yields the header and the rows above it."""


@contextmanager
def open_sheet(
    path: Path,
    is_header: Callable[[Sequence[str]], bool],
    encoding: str | None = None,
    *,
    only_numbers: bool = False,
) -> Iterator[Sheet]:
    """Open the table in a file, or on standard input for `-`.

    Input that can be read only once is meanwhile kept in a file without a name, as it is read more than once.

    Args:
        path: the file.
        is_header: whether a row names columns; if none of the first rows does, the first row is the header.
        encoding: its encoding, if `--encoding` names it.
        only_numbers: whether only digits matter, which are the same in every encoding.

    Raises:
        FileRefusedError: Its bytes don't show its encoding, or it has no header, or a secret's mode.
        OSError: The file can't be read.
    """
    with open_source(path) as file:
        try:
            codec = encoding_of(file, encoding)
        except EncodingError:
            if not only_numbers:
                raise
            codec = "cp1252"
        with _text(file, codec) as lines:
            first = list(islice(lines, LINES_TO_HEADER))
        layout = layout_of(first or [""], lambda cells: is_header([original_cell(cell) for cell in cells]))
        all_rows = partial(_rows, file, codec, layout.delimiter)
        header = next(islice(all_rows(), layout.above, None), None)
        if header is None:
            raise FileRefusedError("it is empty; expected a header and rows below it")
        if header.mistake is not None:
            raise FileRefusedError(f"the header: {header.mistake}")
        above = layout.above
        found = [f"{encoding_name(codec)}, {DELIMITERS[layout.delimiter]} between cells"]
        if above:
            found.append("above the header: 1 row skipped" if above == 1 else f"above the header: {above} rows skipped")
        yield Sheet(
            header=header.cells,
            unit=SPREADSHEET_UNIT,
            found=found,
            rows=lambda: islice(all_rows(), above + 1, None),
            all_rows=all_rows,
            size=os.fstat(file.fileno()).st_size,
            position=lambda: os.lseek(file.fileno(), 0, os.SEEK_CUR),  # in bytes, the buffer included
            delimiter=layout.delimiter,
        )


@contextmanager
def _text(file: IO[bytes], codec: str) -> Iterator[TextIO]:
    """Open a file's text from the beginning, with its own line ends; bytes that break the encoding are replaced."""
    file.seek(0)
    descriptor = os.dup(file.fileno())
    with open(descriptor, encoding=codec, errors="replace", newline="") as text:  # noqa: PTH123 - it has no path
        yield text


def _rows(file: IO[bytes], codec: str, delimiter: str) -> Iterator[CsvRow]:
    """Yield every row, without the characters that guard its cells from spreadsheets."""
    with _text(file, codec) as lines:
        first_line = next(lines, "")
        is_named = names_delimiter(first_line)
        found = csv_rows(lines if is_named else chain([first_line], lines), delimiter, first_line=1 + is_named)
        for row in found:
            cells = [original_cell(cell) for cell in row.cells]
            yield row if cells == row.cells else evolve(row, cells=cells)


def encoding_name(codec: str) -> str:
    """Return the name of an encoding for people."""
    return _NAMES.get(codec, codec.replace("cp125", "Windows-125"))


def encoding_of(file: IO[bytes], named: str | None) -> str:
    """Return the encoding of a file, by Python's name; its reader handles lines that break its rules.

    Args:
        file: from which everything can be read again.
        named: the encoding that `--encoding` names, if any.

    Raises:
        FileRefusedError: it is no text.
        EncodingError: its bytes can be read in more than one way, or they contradict `named`.
    """
    file.seek(0)
    begin = file.read(_BLOCK)
    marked = next((codec for mark, codec in _MARKS if begin.startswith(mark)), None)
    if marked is not None:
        if named is not None and not marked.startswith(named[:6]):
            raise EncodingError(f"it begins with the mark of {encoding_name(marked)}; expected no --encoding")
        _refuse_nul(begin.decode(marked, "ignore"))
        return marked
    _refuse_workbook(file, begin)
    if named == "utf-16":
        raise EncodingError("it does not begin with the mark of UTF-16; expected --encoding utf-16-le or utf-16-be")
    if named is not None:
        return named
    _refuse_nul(begin.decode("latin-1"))
    letters, bad = _counted(file)
    if letters >= bad:  # no other encoding makes sense of that many letters by chance
        return "utf-8"
    if letters:
        raise EncodingError(f"a part of it is UTF-8, and a part is not; {_EXPECTED}")
    _refuse_unclear(file)
    return "cp1252"


def _refuse_workbook(file: IO[bytes], begin: bytes) -> None:
    """Raise FileRefusedError, with the way to a CSV file, for a spreadsheet program's own files."""
    if begin.startswith(_OLE):
        raise FileRefusedError(_EXCEL)
    if not begin.startswith(_ZIP):
        return
    try:
        with ZipFile(file) as archive:
            names = set(archive.namelist())
    except BadZipFile:
        names = set()
    if "mimetype" in names:
        raise FileRefusedError(
            "it is an OpenDocument spreadsheet; expected CSV: in LibreOffice, save it as Text CSV in UTF-8"
        )
    if "[Content_Types].xml" in names:
        raise FileRefusedError(_EXCEL)
    raise FileRefusedError("it is a ZIP archive; expected the CSV file in it")


def _refuse_nul(begin: str) -> None:
    """Raise FileRefusedError if a text has NUL, as UTF-32 and UTF-16 without its mark have in another encoding."""
    if "\0" in begin:
        raise FileRefusedError("it contains NUL bytes, so it is not text; expected CSV, saved as UTF-8")


def _counted(file: IO[bytes]) -> tuple[int, int]:
    """Return how many letters beyond ASCII a file has if it is UTF-8, and how many invalid bytes."""
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
    caron: EncodingError | None = None
    is_western = False
    for number, line in enumerate(file, 1):
        unclear = next((byte for byte in line if byte >= 0x80 and byte not in _ALIKE), None)
        if unclear is not None:
            raise _unclear(number, unclear, "cp1252", "cp1250")
        strange = _STRANGE.search(line)
        if strange is not None:
            raise _unclear(number, strange[0][0], "cp1252", "cp850", "mac-roman")
        found = None if caron is not None else _CARON.search(line)
        if found is not None:
            caron = _unclear(number, found[0][0], "cp1252", "cp850", "mac-roman")
        is_western = is_western or _WESTERN.search(line) is not None
        if _FOREIGN_WORD.search(line):
            raise EncodingError(f"line {number} has letters that may be of more than one alphabet; {_EXPECTED}")
    if caron is not None and not is_western:
        raise caron


def _unclear(line: int, byte: int, *codecs_: str) -> EncodingError:
    """Return the error for a byte that has another meaning in each of these encodings."""
    readings = [f"{bytes([byte]).decode(name, 'replace')} ({encoding_name(name)})" for name in codecs_]
    return EncodingError(f"line {line} has a letter that may be {' or '.join(readings)}; {_EXPECTED}")
