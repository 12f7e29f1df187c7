"""Decide how a file is read: with the reader for its format, and as a profile of the configuration defines, if any."""

import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from reminderd.config import Config, codec_of, numbering_of, planning_of, templates_of
from reminderd.config.installation import ProfileConfig
from reminderd.core.imports import FileRefusedError
from reminderd.core.phone import patient_number
from reminderd.core.requests import Reading
from reminderd.core.schedule.dates import DayOrder
from reminderd.core.tables.columns import Columns, columns_of
from reminderd.core.tables.row_reader import check_status, of_one_table, read_row
from reminderd.core.tables.words import RowStatus, is_header, normal_header
from reminderd.imports import spreadsheet
from reminderd.imports.loop import ReadRow
from reminderd.imports.table import (
    LARGEST,
    Table,
    check_size,
    day_order_of,
    files_in_folder,
    open_source,
    with_one_clock,
)

_ENDINGS: Final = {
    "ics": frozenset({".ics", ".ical", ".icalendar"}),
    "fhir": frozenset({".json", ".ndjson", ".fhir"}),
    "hl7": frozenset({".hl7"}),
}
"""The file name endings of formats that are no spreadsheets, in lower case."""

_BEGINNINGS: Final = {
    "ics": re.compile(rb"BEGIN:VCALENDAR\s", re.IGNORECASE),
    "fhir": re.compile(rb"\{(?=.*\"resourceType\"\s*:)", re.DOTALL),
    "hl7": re.compile(rb"(?:MSH|FHS|BHS)[^\w\s]{5}"),
}
"""How files of these formats begin."""

_BEGINNING: Final = 4_096
_SPREADSHEETS: Final = frozenset({".csv", ".tsv"})


def _files(path: Path, form: str) -> list[tuple[str, Path]]:
    """Return the file with an empty name, or the files of a folder, each with its name."""
    if not path.is_dir():
        return [("", path)]
    found = files_in_folder(path, _ENDINGS[form])
    if not found:
        endings = ", ".join(sorted(_ENDINGS["ics"] | _ENDINGS["fhir"]))
        expected = f"expected calendars or FHIR files in it ({endings}), or the name of a single file"
        raise FileRefusedError(f"it is a folder, and has no files that are imported from one; {expected}")
    return [(file.name, file) for file in found]


def _content(path: Path) -> bytes:
    with open_source(path) as file:
        content = file.read(LARGEST + 1)
    check_size(len(content))
    return content


def _lines(path: Path) -> Iterator[bytes]:
    with open_source(path) as file:
        while line := file.readline(LARGEST + 1):
            check_size(len(line))
            yield line


def format_of(file: Path, name: str = "") -> str:
    """Return the format that a file shows, by its name's ending, or by its beginning; standard input shows none.

    A folder is a calendar, or resources of FHIR. `name` is the file's own name, if `file` does not end with it.
    """
    ending = Path(name or file.name).suffix.lower()
    by_name = next((form for form, endings in _ENDINGS.items() if ending in endings), None)
    if file.is_dir():
        return next((form for form, endings in _ENDINGS.items() if files_in_folder(file, endings)), "ics")
    if by_name is not None or ending in _SPREADSHEETS or not file.is_file():
        return by_name or "csv"
    with file.open("rb") as opened_:
        begin = opened_.read(_BEGINNING).removeprefix(b"\xef\xbb\xbf").lstrip(b"\x0b\r\n\t ")
    return next((form for form, pattern in _BEGINNINGS.items() if pattern.match(begin)), "csv")


def ending_of(name: str) -> str:
    """Return the ending of a file's name in lower case if it shows a format, otherwise an empty text."""
    ending = Path(name).suffix.lower()
    return ending if ending in _SPREADSHEETS.union(*_ENDINGS.values()) else ""


@contextmanager
def open_table(
    file: Path, chosen: Mapping[str, str], encoding: str | None = None, *, form: str | None = None
) -> Iterator[Table]:
    """Open a file, or a folder, with the reader for its format: `form`, or the format that it shows.

    See `columns_of` for the headers that are chosen for some fields.

    Raises:
        FileRefusedError: It can't be read as a whole.
        OSError: It can't be read at all.
    """
    form = form or format_of(file)
    if form == "ics":
        from reminderd.imports import ics  # noqa: PLC0415 - slow to import, and needed only for this format

        yield ics.read([(name, partial(_content, path)) for name, path in _files(file, form)], chosen, encoding)
    elif form == "fhir":
        from reminderd.imports import fhir  # noqa: PLC0415 - needed only for this format

        yield fhir.read([(name, _lines(path)) for name, path in _files(file, form)], encoding)
    elif form == "hl7":
        from reminderd.imports import hl7v2  # noqa: PLC0415 - needed only for this format

        if file.is_dir():  # which of its messages is the last would be a guess
            raise FileRefusedError("it is a folder; expected one file of HL7 messages, in their order")
        yield hl7v2.read(_content(file), encoding)
    else:
        with spreadsheet.open_sheet(file, partial(is_header, also=_chosen(chosen)), encoding) as sheet:
            yield sheet


def _chosen(headers: Mapping[str, str]) -> frozenset[str]:
    """Return the headers that are chosen for some fields, as `normal_header` returns them."""
    return frozenset(normal_header(name) for name in headers.values() if name)


_NUMBERS_REMEMBERED: Final = 50_000
"""How many numbers are remembered, as the same patients occur again."""


@frozen(kw_only=True)
class Profile:
    """How a file is read."""

    name: str | None
    """Its name in the configuration; None if no profile was named."""
    form: str | None
    """The file's format; None for the format that it shows."""
    headers: Mapping[str, str]
    """The headers that are chosen for some fields, see `columns_of`."""
    encoding: str | None
    """The encoding by Python's name; None if the bytes must show it."""
    order: DayOrder | None
    """How dates with slashes are written; None if the file as a whole must show it."""
    template: str | None
    """The template of rows without a message."""
    words: Mapping[str, RowStatus]
    """The meaning of words for the status of an appointment, see `Columns`."""
    last_line_end: bool
    """Whether a file that has no line end after its last line may be cut off there."""
    snapshot_days: int
    """For how many days, from the first on, its files have all appointments; 0 if they are no snapshots."""
    reading: Reading
    """The clinic's settings for reading, with the country for numbers."""

    def columns_of(self, table: Table) -> Columns:
        """Find the fields of a table.

        Raises:
            ColumnsError: a field is missing, has several columns that match, or a column that may be something else.
        """
        plans_calls = self.reading.planning.is_used
        return columns_of(table.header, self.headers, template=self.template, words=self.words, plans_calls=plans_calls)

    def reader_of(self, table: Table, columns: Columns) -> ReadRow:
        """Return the function that reads a row of a table, after a look at all rows.

        Raises:
            ColumnsError: a column of statuses may be about something else.
            FileRefusedError: it is not clear how the dates are written, or another table follows.
        """
        check_status(table.header, columns, table.rows(), table.unit)
        rows = of_one_table(table.header, columns, table.rows(), table.unit, also=_chosen(self.headers))
        rows = with_one_clock(rows, columns, table.unit)
        order = day_order_of(rows, columns, table.unit) if self.order is None else self.order
        deque(rows, maxlen=0)  # the order may be known
        reading = evolve(self.reading, order=order)
        return partial(read_row, columns=columns, width=len(table.header), reading=reading)


def profile_of(config: Config, name: str | None) -> Profile:
    """Return the profile of this name, which the configuration has; for None, a profile that detects everything."""
    known = ProfileConfig() if name is None else config.import_.profiles[name]
    numbering = numbering_of(config)
    if known.country:
        numbering = evolve(numbering, country=known.country, allowed=numbering.countries)
    return Profile(
        name=name,
        form=known.format or None,
        headers=MappingProxyType({field: header.strip() for field, header in known.columns.items()}),
        encoding=codec_of(known.encoding) if known.encoding else None,
        order=DayOrder(known.dates) if known.dates else None,
        template=known.template or None,
        words=MappingProxyType({normal_header(word): RowStatus(meaning) for word, meaning in known.status.items()}),
        last_line_end=known.last_line_end,
        snapshot_days=known.snapshot_days,
        reading=Reading(
            zone=config.calling.local_zone,
            templates=templates_of(config),
            planning=planning_of(config),
            normalize=lru_cache(_NUMBERS_REMEMBERED)(partial(patient_number, numbering=numbering)),
        ),
    )
