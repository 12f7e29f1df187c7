"""Keep uploaded files in a folder that only the daemon's user can enter, and leave no file behind."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PRIVATE: Final = 0o700


@contextmanager
def private_folder(common: Path) -> Iterator[Path]:
    """Make a folder for uploaded files inside a common folder; at the end, remove it with everything in it.

    Folders that killed processes left are removed, too: each process locks its folder as long as it runs.

    Raises:
        OSError: it can't be made, or something else has its name.
    """
    with suppress(FileExistsError):
        common.mkdir(_PRIVATE)
    with _locked(common):  # so that a folder is not taken for a remainder before its owner has locked it
        common.chmod(_PRIVATE)
        own = common / secrets.token_hex(8)
        own.mkdir(_PRIVATE)
        held = _opened(own)
        fcntl.flock(held, fcntl.LOCK_EX)
        for other in common.iterdir():
            _remove_if_left(other)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        os.close(held)


def remove_left_behind(common: Path) -> None:
    """Remove the folders, with files about patients, that killed processes left, if no pages are served to do so."""
    with suppress(OSError), _locked(common):  # it does not exist, or is no folder of ours
        for other in common.iterdir():
            _remove_if_left(other)


def _remove_if_left(folder: Path) -> None:
    with suppress(OSError):  # a process uses it, or it is no folder of ours
        found = _opened(folder)
        try:
            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(found)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    held = _opened(folder)
    try:
        if os.fstat(held).st_uid != os.geteuid():
            raise PermissionError(1, "belongs to another user", str(folder))
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _opened(folder: Path) -> int:
    """Open a folder; refuse a link to a folder."""
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
