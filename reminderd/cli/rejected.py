"""The lines of a file that were not taken: into a file of their own with the reason, and counted for the terminal."""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TextIO

from attrs import define, field, frozen

from reminderd.core.csv_records import Record
from reminderd.core.formulas import guarded

_PRIVATE: Final = 0o600
_READ_AND_WRITE: Final = 0o666

_DIGITS: Final = re.compile(r"\d+(?:[-:.]\d+)*")


@frozen
class Rejection:
    """A line that was not taken."""

    record: Record
    mistakes: Sequence[str]
    """Each as `what; what was expected`."""


@define
class Rejected:
    """The file for them, made with the first."""

    path: Path
    header: Sequence[str]
    delimiter: str
    mode: int
    lines: int = 0
    reasons: Counter[str] = field(factory=Counter)
    """How many lines have each mistake; numbers are left out, as they may be a patient's."""
    _open: ExitStack = field(kw_only=True)
    _file: TextIO | None = field(default=None, init=False)

    def write(self, rejections: Sequence[Rejection]) -> None:
        """Append them, and have them on the file."""
        if not rejections:
            return
        if self._file is None:
            self._file = self._open.enter_context(_made(self.path, self.mode))
            self._row(["line", "reason", *self.header])
        for one in rejections:
            self._row([str(one.record.line), "; ".join(one.mistakes), *one.record.cells])
        self._file.flush()
        self.lines += len(rejections)
        self.reasons.update(_kind(mistake) for one in rejections for mistake in one.mistakes)

    def _row(self, cells: Sequence[str]) -> None:
        """Append a row; the import reads it back as it was, and no spreadsheet takes a cell for a formula."""
        if self._file is not None:
            csv.writer(self._file, delimiter=self.delimiter).writerow([guarded(cell) for cell in cells])


@contextmanager
def rejected_lines(path: Path, header: Sequence[str], delimiter: str, *, like: Path | None) -> Iterator[Rejected]:
    """The file of an earlier run is gone; there is a new one if a line is rejected.

    Args:
        path: the file for them.
        header: the table's columns.
        delimiter: what stands between its cells.
        like: whoever may read this table may read its lines there, too, as the one who imports may be another than the
            one who corrects; None: nobody else may.

    Raises:
        OSError: It can't be written.
    """
    path.unlink(missing_ok=True)
    with ExitStack() as stack:
        mode = _PRIVATE if like is None else like.stat().st_mode & _READ_AND_WRITE
        yield Rejected(path, header, delimiter, mode, open=stack)


def _made(path: Path, mode: int) -> TextIO:
    """A new file, with the mark by which spreadsheets know UTF-8."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    return open(descriptor, "w", encoding="utf-8-sig", newline="")  # noqa: PTH123 - a descriptor has no path


def _kind(mistake: str) -> str:
    return _DIGITS.sub("…", mistake.partition(";")[0])
