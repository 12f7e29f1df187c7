"""Open what is imported: a file, standard input, or the files of a folder."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from stat import S_IMODE
from tempfile import TemporaryFile
from typing import IO, Final

from reminderd.imports.table import UnreadableError

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
