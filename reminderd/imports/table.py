"""What is imported: the file, opened so that it can be read more than once, and the table in it."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from stat import S_IMODE
from tempfile import TemporaryFile
from typing import IO, Final, Protocol

from reminderd.core.schedule.dates import DayOrder, day_orders
from reminderd.core.tables.columns import Columns
from reminderd.core.tables.csv_rows import CsvRow

SPREADSHEET_UNIT: Final = "line"

MESSAGE_UNIT: Final = "message"
"""Of a file that says what has changed, not what there is."""

UNITS: Final = (SPREADSHEET_UNIT, "entry", MESSAGE_UNIT)
"""What a row is called, by the format of its file."""


class UnreadableError(Exception):
    """The file can't be read as a whole; the message says why and what is expected."""


class Table(Protocol):
    """An open file, read as a header and rows below it."""

    @property
    def header(self) -> Sequence[str]:
        """Return the names of its columns; a format with names of its own uses those of `columns.FIELDS`."""

    @property
    def unit(self) -> str:
        """Return what a row is called in its file, one of `UNITS`; a row's `line` counts them from 1."""

    @property
    def delimiter(self) -> str:
        """Return what stands between the cells of its rejected lines."""

    @property
    def found(self) -> Sequence[str]:
        """Return what was found about the file, in words, for the person who imports it."""

    @property
    def size(self) -> int:
        """Return how big it is, in the units of `position`."""

    def rows(self) -> Iterator[CsvRow]:
        """Yield every row, from the first; one pass at a time. What can't be read is a row with a `mistake`."""

    def position(self) -> int:
        """Return how much of the file the pass has read."""


def day_order_of(table: Table, columns: Columns) -> DayOrder | None:
    """Return how the whole table writes dates with slashes; None: it has none, or they mean the same either way.

    Raises:
        UnreadableError: No row shows it, or two contradict each other.
    """
    proofs: dict[DayOrder, int] = {}
    unclear: int | None = None
    texts = [
        partial(columns.text, field)
        for field in ("scheduled_at", "expires_at", "appointment_at")
        if field in columns.places
    ]
    for row in table.rows():
        for text in texts:
            orders = day_orders(text(row.cells))
            if len(orders) == 1:
                [order] = orders
                proofs.setdefault(order, row.line)
            elif orders and unclear is None:
                unclear = row.line
    if len(proofs) == len(DayOrder):
        both = " and ".join(f"{table.unit} {line}" for line in sorted(proofs.values()))
        raise UnreadableError(f"some dates are day first and some month first ({both}); expected {_EITHER}")
    if not proofs and unclear is not None:
        raise UnreadableError(
            f"dates like that on {table.unit} {unclear} may be day first or month first; no {table.unit} decides;"
            f" expected {_EITHER}"
        )
    return next(iter(proofs), None)


_EITHER: Final = "--dates dmy or --dates mdy"


STDIN: Final = "-"

_MODES_OF_SECRETS: Final = (0o400, 0o440)
"""As systemd, and the command that is deployed, lay secrets out for the daemon's user."""


@contextmanager
def source(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, or standard input for `-`, so that it can be read more than once.

    What can be read only once is kept meanwhile in a file without a name.

    Raises:
        UnreadableError: It has a secret's mode.
        OSError: It can't be read.
    """
    is_piped = str(path) == STDIN
    with nullcontext(sys.stdin.buffer) if is_piped else path.open("rb") as file, TemporaryFile() as kept:
        # The import may run as the daemon's user, and must not show the daemon's secrets to the person who imports.
        # The mode is that of the open file: its name may be a link that leads elsewhere by now.
        if not is_piped and S_IMODE(os.fstat(file.fileno()).st_mode) in _MODES_OF_SECRETS:
            raise UnreadableError("its mode is that of a secret; expected a table that its owner may write")
        if is_piped or not file.seekable():
            shutil.copyfileobj(file, kept)
            kept.seek(0)
            yield kept
        else:
            yield file


def members(folder: Path, endings: frozenset[str]) -> list[Path]:
    """Return the files of a folder that have one of these endings, in the order of their names."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in endings and not file.name.startswith("."))
