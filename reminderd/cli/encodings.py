"""Which encoding a table is in: told by its bytes where they can mean nothing else, else by `--encoding`."""

import codecs
import re
from collections.abc import Callable
from typing import IO, Any, Final

import click

_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_NAMES: Final = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with byte order mark",
    "utf-16": "UTF-16",
    "cp1252": "Windows-1252",
}
"""What spreadsheets write, by Python's name, and what it is called."""
_TOLD: Final = frozenset(
    {"utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp850", "cp852", "mac-roman", "mac-latin2"}
    | {f"cp125{number}" for number in range(9)}
    | {f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17))}
)
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


class NotTextError(Exception):
    """The bytes are no text in any encoding; the message says what is expected."""


class EncodingError(Exception):
    """The bytes don't tell the encoding; the message says why and what is expected."""


def called(codec: str) -> str:
    """Return the name that people know an encoding by."""
    return _NAMES.get(codec, codec.replace("cp125", "Windows-125"))


def encoding_of(file: IO[bytes], told: str | None) -> str:
    """Return the encoding of a file, by Python's name; lines with bytes that break its rules are for its reader.

    Args:
        file: from which everything can be read again.
        told: what `--encoding` says.

    Raises:
        NotTextError: it is no text.
        EncodingError: its bytes can be read in more than one way, or they contradict `told`.
    """
    file.seek(0)
    begin = file.read(_BLOCK)
    marked = next((codec for mark, codec in _MARKS if begin.startswith(mark)), None)
    if marked is not None:
        if told is not None and not marked.startswith(told[:6]):
            raise EncodingError(f"it begins with the mark of {called(marked)}; expected no --encoding")
        return marked
    if told is not None:
        return told
    if b"\0" in begin:
        raise NotTextError("it contains NUL bytes, so it is not text; expected CSV, saved as UTF-8")
    letters, bad = _counted(file)
    if letters >= bad:  # no other encoding makes sense of that many letters by chance
        return "utf-8"
    if letters:
        raise EncodingError(f"a part of it is UTF-8, and a part is not; {_EXPECTED}")
    _refuse_unclear(file)
    return "cp1252"


def encoding_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option `--encoding`."""
    return click.option(
        "--encoding",
        callback=_known,
        metavar="NAME",
        help="The encoding of FILE, like windows-1250, where its bytes don't tell.",
    )(command)


def _known(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    if name is None:
        return None
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        codec = ""
    if codec not in _TOLD:
        raise click.BadParameter(f'"{name}" is unknown; expected a name like utf-8, windows-1252 or iso-8859-2')
    return codec


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
