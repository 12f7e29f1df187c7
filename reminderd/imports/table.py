"""Open files to import, so that they can be read more than once, and define the table in them.

A format without columns becomes a table of its records: each is a row under our own names, or a mistake.
"""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from stat import S_IMODE
from tempfile import TemporaryFile
from typing import IO, Any, Final

from attrs import define, field, frozen

from reminderd.core.imports import FileRefusedError
from reminderd.core.schedule.dates import DayOrder, day_orders, has_half
from reminderd.core.script.languages import read_language
from reminderd.core.tables.columns import Columns
from reminderd.core.tables.csv_rows import UNREADABLE, CsvRow
from reminderd.core.tables.words import PHONES, RowStatus, row_status_of

SPREADSHEET_UNIT: Final = "line"

MESSAGE_UNIT: Final = "message"
"""The unit of a file that contains changes, not everything that there is."""

UNITS: Final = (SPREADSHEET_UNIT, "entry", MESSAGE_UNIT)
"""The words for a row, by the format of its file."""


@frozen(kw_only=True)
class Table:
    """An open file, read as a header and rows below it."""

    header: Sequence[str]
    """The names of its columns; a format without columns uses the names of `columns.FIELDS`."""
    unit: str
    """The word for a row, one of `UNITS`; a row's `line` counts them from 1."""
    found: Sequence[str]
    """What the reader found out about the file, in words, for the person who imports it."""
    rows: Callable[[], Iterator[CsvRow]]
    """Yields every row, from the first; one pass at a time. An unreadable row has a `mistake`."""
    size: int
    """Its size, in the units of `position`."""
    position: Callable[[], int]
    """Returns how much of the file the pass has read."""
    delimiter: str = ","
    """The delimiter of its rejected lines."""
    made_at: datetime | None = None
    """When it was made; None if it does not contain this."""


_TIMES: Final = ("scheduled_at", "expires_at", "appointment_at")


def with_one_clock(rows: Iterable[CsvRow], columns: Columns, unit: str) -> Iterator[CsvRow]:
    """Yield every row, and check that no column has times with AM or PM and others without, like 1:30.

    Raises:
        FileRefusedError: A column has both.
    """
    names = [name for name in _TIMES if name in columns.places]
    seen: dict[str, dict[bool, int]] = {name: {} for name in names}
    for row in rows:
        for name in names:
            half = has_half(columns.text(name, row.cells))
            if half is not None and seen[name].setdefault(half, row.line) == row.line and len(seen[name]) > 1:
                with_half, without = (f"{unit} {seen[name][one]}" for one in (True, False))
                what = f"some times have AM or PM ({with_half}) and some have neither ({without})"
                raise FileRefusedError(f"{what}; expected all of them in one form")
        yield row


def day_order_of(rows: Iterable[CsvRow], columns: Columns, unit: str) -> DayOrder | None:
    """Return how the whole table writes dates with slashes; None if it has none, or they mean the same either way.

    Raises:
        FileRefusedError: No row shows it, or two contradict each other.
    """
    proofs: dict[DayOrder, int] = {}
    unclear: int | None = None
    names = [name for name in _TIMES if name in columns.places]
    for row in rows:
        for orders in (day_orders(columns.text(name, row.cells)) for name in names):
            if len(orders) == 1:
                [order] = orders
                proofs.setdefault(order, row.line)
            elif orders and unclear is None:
                unclear = row.line
    if len(proofs) == len(DayOrder):
        both = " and ".join(f"{unit} {line}" for line in sorted(proofs.values()))
        raise FileRefusedError(f"some dates are day first and some month first ({both}); expected {_EITHER}")
    if not proofs and unclear is not None:
        raise FileRefusedError(
            f"dates like that on {unit} {unclear} may be day first or month first; no {unit} decides;"
            f" expected {_EITHER}"
        )
    return next(iter(proofs), None)


_EITHER: Final = "--dates dmy or --dates mdy"


STDIN: Final = "-"

_MODES_OF_SECRETS: Final = (0o400, 0o440)
"""The modes with which systemd, and our deployed command, store secrets for the daemon's user."""


@contextmanager
def open_source(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, or standard input for `-`, so that it can be read more than once.

    Input that can be read only once is meanwhile kept in a file without a name.

    Raises:
        FileRefusedError: It has a secret's mode.
        OSError: It can't be read.
    """
    is_piped = str(path) == STDIN
    with nullcontext(sys.stdin.buffer) if is_piped else path.open("rb") as file, TemporaryFile() as kept:
        # The import may run as the daemon's user, and must not show the daemon's secrets to the person who imports.
        # The mode is that of the open file: its name may be a link that leads elsewhere by now.
        if not is_piped and S_IMODE(os.fstat(file.fileno()).st_mode) in _MODES_OF_SECRETS:
            raise FileRefusedError("its mode is that of a secret; expected a table that its owner may write")
        if is_piped or not file.seekable():
            shutil.copyfileobj(file, kept)
            kept.seek(0)
            yield kept
        else:
            yield file


def files_in_folder(folder: Path, endings: frozenset[str]) -> list[Path]:
    """Return the files of a folder that have one of these endings, in the order of their names."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in endings and not file.name.startswith("."))


LARGEST: Final = 16 << 20
"""The most bytes of a file, or of a line of NDJSON, that is read as a whole."""

MOST: Final = 200_000
"""The most records of a file."""

LONGEST: Final = 5_000
"""The most characters of a field."""

_OTHERS: Final = ("ref", "appointment_at", "appointment_type", "name", "language", "provider", "place", "patient_ref")
RECORD_FIELDS: Final = {name: name for name in (*_OTHERS, *PHONES)} | {"status": "appointment_status"}
"""The fields of a format that has a fixed place for each field, and the names of their columns."""

_LOST: Final = "\N{REPLACEMENT CHARACTER}"
_UNWRITABLE: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")


_UNITS: Final = {"entry": "entries", "message": "messages"}


@define
class Record:
    """One appointment, as it is being read."""

    number: int
    """Its position in its file, from 1."""
    cells: dict[str, str] = field(factory=dict)
    version: tuple[Any, ...] | None = None
    """Of the records with the same `ref`, the greatest version counts; None if nothing shows which is newer."""
    _mistakes: list[str] = field(factory=list)
    _always: list[str] = field(factory=list)

    def __getitem__(self, name: str) -> str:
        """Return a field; empty if it has none."""
        return self.cells.get(name, "")

    @property
    def content(self) -> Mapping[str, str]:
        """Return its fields, without its place in a file."""
        return {name: text for name, text in self.cells.items() if name != "file"}

    def put(self, name: str, text: str) -> None:
        """Set a field to a text, on one line."""
        clean = _UNWRITABLE.sub(_LOST, text[: LONGEST + 1])
        if len(clean) > LONGEST:
            self.add_mistake(f"{name}: longer than {LONGEST:,} characters; expected at most that", always=name == "ref")
            clean = ""
        if _LOST in clean:
            self.add_mistake(UNREADABLE, always=name == "ref")
            clean = "" if name == "ref" else clean  # it would be another record's name
        self.cells[name] = " ".join(clean.split())

    def add_mistake(self, mistake: str, *, always: bool = False) -> None:
        """Add a mistake, `place: what; what was expected`; `always`: even in a record that cancels something."""
        found = self._always if always else self._mistakes
        if mistake not in found:
            found.append(mistake)

    def row(self, header: Mapping[str, str]) -> CsvRow:
        """Return the record as a row of a table whose columns are these fields."""
        if not self["ref"]:
            self.add_mistake(
                "ref: none; expected the record's own name, by which a later file can change it", always=True
            )
        # A cancelled record causes no call; its `ref` is enough.
        is_over = row_status_of(self["status"]) is RowStatus.OVER
        mistakes = self._always if is_over else [*self._always, *self._mistakes]
        return CsvRow(self.number, [self[name] for name in header], "; ".join(mistakes) or None)


def table_of(
    records: Sequence[Record], fields: Mapping[str, str], unit: str, found: str, made_at: datetime | None = None
) -> Table:
    """Return a table of records, in the order of their file; of several with the same `ref`, only the newest.

    `fields` has the name of the column of each field; `found` is what was found about the file, see `Table`.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record["ref"], []).append(record)
    left_out: set[int] = set()
    for ref, group in groups.items():
        if ref and len(group) > 1:
            left_out |= _superseded(group)
    kept = [record.row(fields) for record in records if record.number not in left_out]
    older = f", {len(left_out)} older than another one about the same appointment" if left_out else ""
    counted = f"{found}, {len(records):,} {unit if len(records) == 1 else _UNITS[unit]}{older}"
    done = 0

    def rows() -> Iterator[CsvRow]:
        nonlocal done
        for done, row in enumerate(kept, 1):  # noqa: B007 - `position` returns it
            yield row

    return Table(
        header=tuple(fields.values()),
        unit=unit,
        found=[counted],
        rows=rows,
        size=len(kept),
        position=lambda: done,
        made_at=made_at,
    )


def _superseded(group: Sequence[Record]) -> set[int]:
    """Return the numbers of the records to leave out; if it is not clear which is the newest, each gets a mistake."""
    versions = [record.version for record in group if record.version is not None]
    newest = max(versions, default=None)
    is_clear = len(versions) == len(group)
    counting = last = [record for record in group if record.version == newest or not is_clear]
    if all(record.content == last[0].content for record in last):
        counting = last[:1]
    else:
        mistake = f"ref: {len(last)} records have it, and nothing says which is the newest; expected one"
        for record in last:
            record.add_mistake(mistake, always=True)
    return {record.number for record in group} - {record.number for record in counting}


_NO_LANGUAGE: Final = frozenset(
    {"u", "unk", "unknown", "oth", "other", "asku", "nask", "declined", "und", "mis", "zxx"}
)
"""Codes for an unknown language."""


def language_of(written: Iterable[str]) -> str:
    """Return the first understood code or name of a language, otherwise the first of all; empty if unknown."""
    texts = [text.strip() for text in written if text.strip().casefold() not in _NO_LANGUAGE]
    for text in texts:
        with suppress(ValueError):
            read_language(text)
            return text
    return texts[0] if texts else ""


def titled(title: str, files: Sequence[tuple[str, object]]) -> str:
    """Return a title for what is imported, with the number of files if they are from a folder and so have names."""
    return f"{title}, files: {len(files)}" if files[0][0] else title


@contextmanager
def naming_file(name: str) -> Iterator[None]:
    """Name the file in an error, if it is from a folder; a single file has an empty name."""
    try:
        yield
    except FileRefusedError as error:
        raise FileRefusedError(f"{name}: {error}" if name else f"{error}") from error


def check_size(size: int) -> None:
    """Check the size of a file that is read as a whole.

    Raises:
        FileRefusedError: It is too big.
    """
    if size > LARGEST:
        raise FileRefusedError(f"it is larger than {LARGEST >> 20} MiB; expected it in several files")


def check_count(records: int) -> None:
    """Check the number of records of a file.

    Raises:
        FileRefusedError: There are too many.
    """
    if records > MOST:
        raise FileRefusedError(f"it has more than {MOST:,} records; expected them in several files")


def quoted(code: str) -> str:
    """Return a code of a file as a mistake may show it: short, and without unprintable characters."""
    plain = "".join(character if character.isprintable() else " " for character in code[:40])
    return f'"{plain}"'


def decoded(content: bytes, encoding: str | None) -> str:
    """Return the text in the named encoding, or the one that its mark shows, or UTF-8; invalid bytes are lost."""
    if encoding is None and content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    return content.decode(encoding or "utf-8-sig", "replace")
