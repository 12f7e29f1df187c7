"""Choose the reader for a file: one for each format."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final

from reminderd.core.tables.headers import is_header, plain
from reminderd.imports import spreadsheet
from reminderd.imports.table import Table

Reader = Callable[[Path, Mapping[str, str], str | None], AbstractContextManager[Table]]
"""Opens a file.

It takes the file, the header that is chosen for some fields (see `columns_of`), and the encoding that is named for it.
It raises UnreadableError if the file can't be read as a whole, and OSError if it can't be read at all.
"""


def _as_spreadsheet(file: Path, chosen: Mapping[str, str], encoding: str | None) -> AbstractContextManager[Table]:
    names = frozenset(plain(name) for name in chosen.values() if name)
    return spreadsheet.opened(file, partial(is_header, also=names), encoding)


READERS: Final[Mapping[str, Reader]] = {"csv": _as_spreadsheet}
"""The formats, each with its reader."""

_BY_ENDING: Final[Mapping[str, str]] = {}
"""The endings of files that are no spreadsheet, in lower case, each with its format."""


def format_of(file: Path) -> str:
    """Return the format that a file's name shows: a spreadsheet if nothing else."""
    return _BY_ENDING.get(file.suffix.lower(), "csv")


def opened(
    file: Path, chosen: Mapping[str, str], encoding: str | None = None, *, form: str | None = None
) -> AbstractContextManager[Table]:
    """Open a file with the reader for its format: `form`, or else the one that its name shows.

    Raises:
        UnreadableError: It can't be read as a whole.
        OSError: It can't be read at all.
    """
    return READERS[form or format_of(file)](file, chosen, encoding)
