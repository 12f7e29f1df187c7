"""Choose the reader for a file: one for each format."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from reminderd.core.tables.words import is_header, plain
from reminderd.imports import spreadsheet
from reminderd.imports.table import LARGEST, Table, UnreadableError, check_size, members, source

Reader = Callable[[Path, Mapping[str, str], str | None], AbstractContextManager[Table]]
"""Opens a file.

It takes the file, the header that is chosen for some fields (see `columns_of`), and the encoding that is named for it.
It raises UnreadableError if the file can't be read as a whole, and OSError if it can't be read at all.
"""

_ENDINGS: Final = {
    "ics": frozenset({".ics", ".ical", ".icalendar"}),
    "fhir": frozenset({".json", ".ndjson", ".fhir"}),
    "hl7": frozenset({".hl7"}),
}
"""The endings of files that are no spreadsheet, by their format, in small letters."""

_BEGINNINGS: Final = {
    "ics": re.compile(rb"BEGIN:VCALENDAR\s", re.IGNORECASE),
    "fhir": re.compile(rb"\{(?=.*\"resourceType\"\s*:)", re.DOTALL),
    "hl7": re.compile(rb"(?:MSH|FHS|BHS)[^\w\s]{5}"),
}
"""How they begin."""

_BEGINNING: Final = 4_096
_SPREADSHEETS: Final = frozenset({".csv", ".tsv"})


def _as_spreadsheet(file: Path, chosen: Mapping[str, str], encoding: str | None) -> AbstractContextManager[Table]:
    names = frozenset(plain(name) for name in chosen.values() if name)
    return spreadsheet.opened(file, partial(is_header, also=names), encoding)


@contextmanager
def _as_calendar(file: Path, chosen: Mapping[str, str], encoding: str | None) -> Iterator[Table]:
    from reminderd.imports import ics  # noqa: PLC0415 - slow to import, and needed only for this format

    yield ics.read(((name, _content(path)) for name, path in _files(file, "ics")), chosen, encoding)


@contextmanager
def _as_fhir(file: Path, _chosen: Mapping[str, str], encoding: str | None) -> Iterator[Table]:
    from reminderd.imports import fhir  # noqa: PLC0415 - needed only for this format

    yield fhir.read(((name, _lines(path)) for name, path in _files(file, "fhir")), encoding)


@contextmanager
def _as_hl7(file: Path, _chosen: Mapping[str, str], encoding: str | None) -> Iterator[Table]:
    from reminderd.imports import hl7v2  # noqa: PLC0415 - needed only for this format

    if file.is_dir():  # which of its messages is the last would be a guess
        raise UnreadableError("it is a folder; expected one file of HL7 messages, in their order")
    yield hl7v2.read(_content(file), encoding)


READERS: Final[Mapping[str, Reader]] = {
    "csv": _as_spreadsheet,
    "ics": _as_calendar,
    "fhir": _as_fhir,
    "hl7": _as_hl7,
}
"""The formats, each with its reader."""


def _files(path: Path, form: str) -> list[tuple[str, Path]]:
    """Return the file without a name, or those of a folder, each with its name."""
    if not path.is_dir():
        return [("", path)]
    found = members(path, _ENDINGS[form])
    if not found:
        endings = ", ".join(sorted(_ENDINGS["ics"] | _ENDINGS["fhir"]))
        expected = f"expected calendars or FHIR files in it ({endings}), or the name of a single file"
        raise UnreadableError(f"it is a folder, and has no files that are imported from one; {expected}")
    return [(file.name, file) for file in found]


def _content(path: Path) -> bytes:
    with source(path) as file:
        content = file.read(LARGEST + 1)
    check_size(len(content))
    return content


def _lines(path: Path) -> Iterator[bytes]:
    with source(path) as file:
        while line := file.readline(LARGEST + 1):
            check_size(len(line))
            yield line


def format_of(file: Path) -> str:
    """Return the format that a file shows, by the end of its name or else by its beginning; standard input shows none.

    A folder is a calendar, or resources of FHIR.
    """
    ending = file.suffix.lower()
    by_name = next((form for form, endings in _ENDINGS.items() if ending in endings), None)
    if file.is_dir():
        return next((form for form, endings in _ENDINGS.items() if members(file, endings)), "ics")
    if by_name is not None or ending in _SPREADSHEETS or not file.is_file():
        return by_name or "csv"
    with file.open("rb") as opened_:
        begin = opened_.read(_BEGINNING).removeprefix(b"\xef\xbb\xbf").lstrip(b"\x0b\r\n\t ")
    return next((form for form, pattern in _BEGINNINGS.items() if pattern.match(begin)), "csv")


def opened(
    file: Path, chosen: Mapping[str, str], encoding: str | None = None, *, form: str | None = None
) -> AbstractContextManager[Table]:
    """Open a file with the reader for its format: `form`, or else the one that it shows.

    Raises:
        UnreadableError: It can't be read as a whole.
        OSError: It can't be read at all.
    """
    return READERS[form or format_of(file)](file, chosen, encoding)
