"""Write the rejected lines of a table into a separate file, each with its reason, and count them."""

import csv
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TextIO

from attrs import define, field, frozen

from reminderd.core.tables.csv_rows import DELIMITERS, CsvRow, safe_cell
from reminderd.files import check_target, first_bytes, open_no_link, put_in_place, temporary_file
from reminderd.imports.table import UNITS, Table

_PRIVATE: Final = 0o600
_READ_AND_WRITE: Final = 0o666

_REASON: Final = "reason"
_BEGINNINGS: Final = tuple(
    BOM_UTF8 + f"{unit}{delimiter}{_REASON}".encode() for unit in UNITS for delimiter in DELIMITERS
)
"""How our own files begin: with the mark by which spreadsheets know UTF-8, and our columns before the table's."""

_DIGITS: Final = re.compile(r"\d+(?:[-:.]\d+)*")


@frozen
class Rejection:
    """A line that is rejected."""

    row: CsvRow
    mistakes: Sequence[str]
    """Each as `what; what was expected`."""


@define
class Rejected:
    """The file of rejected lines: begun with the first line under a temporary name, and renamed at the end."""

    path: Path
    table: Table
    mode: int
    never: Mapping[Path, str]
    lines: int = 0
    reasons: Counter[str] = field(factory=Counter)
    """How many lines have each mistake; numbers in a mistake are left out, as they may be a patient's."""
    _open: ExitStack = field(kw_only=True)
    _file: TextIO | None = field(default=None, init=False)

    def write(self, rejections: Sequence[Rejection]) -> None:
        """Append lines, and write them to the file."""
        if not rejections:
            return
        if self._file is None:
            unfinished = self._open.enter_context(temporary_file(self.path, mode=self.mode))
            self._file = open(unfinished, "w", encoding="utf-8-sig", newline="", opener=open_no_link)  # noqa: SIM115
            self._open.enter_context(self._file)
            self._row([self.table.unit, _REASON, *self.table.header])
        for one in rejections:
            self._row([str(one.row.line), "; ".join(one.mistakes), *one.row.cells])
        self._file.flush()
        self.lines += len(rejections)
        mistakes = (mistake.partition(";")[0] for one in rejections for mistake in one.mistakes)
        self.reasons.update(_DIGITS.sub("…", mistake) for mistake in mistakes)

    def finish(self) -> None:
        """Replace the file of an earlier run; delete it if no line was rejected."""
        is_there = may_be_rejected(self.path, self.never)
        if self._file is not None:
            self._file.flush()
            put_in_place(Path(self._file.name), self.path)
        elif is_there:
            self.path.unlink()

    def _row(self, cells: Sequence[str]) -> None:
        """Append a row, so that an import reads it unchanged, and no cell is a formula to a spreadsheet."""
        if self._file is not None:
            csv.writer(self._file, delimiter=self.table.delimiter).writerow([safe_cell(cell) for cell in cells])


def may_be_rejected(path: Path, never: Mapping[Path, str]) -> bool:
    """Check that rejected lines may be written to this file; return whether it is the file of an earlier run.

    Raises:
        PathRefusedError: It is another file, or is in use.
    """

    def ours(file: Path) -> bool:
        return first_bytes(file, max(map(len, _BEGINNINGS))).startswith(_BEGINNINGS)

    return check_target(path, ours=ours, what="a file of rejected lines", never=never)


@contextmanager
def rejected_lines(path: Path, table: Table, *, like: Path | None, never: Mapping[Path, str]) -> Iterator[Rejected]:
    """Replace the file of an earlier run at the end, even if the import fails or is interrupted; replace no other file.

    Args:
        path: the file for the lines.
        table: the table that has them.
        like: a file whose readers may read the rejected lines, too, as one person may import and another correct;
            None if only the user who imports may.
        never: files that are in use, each with a description.

    Raises:
        OSError: It can't or must not be written.
    """
    with ExitStack() as stack:
        mode = _PRIVATE if like is None else like.stat().st_mode & _READ_AND_WRITE
        rejected = Rejected(path, table, mode, never, open=stack)
        try:
            yield rejected
        except OSError:  # perhaps this file can't be written: the old file stays
            raise
        except BaseException:
            if rejected.lines:
                rejected.finish()
            raise
        rejected.finish()
