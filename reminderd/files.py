"""Decide whether a file at a path from a person may be replaced, and replace it completely or not at all."""

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Final

COMPANIONS: Final = ("-wal", "-shm", "-journal")
"""The endings that SQLite adds to the name of a database for its own files next to it."""

_UNFINISHED: Final = ".reminderd-partial"
"""The ending of the name of a file that is not finished."""

_FORGOTTEN_SECONDS: Final = 86_400
"""The age from which an unfinished file must be from a killed process."""

_PRIVATE: Final = 0o600
_READ_AND_WRITE: Final = 0o666

_LOCK: Final = ".reminderd.lock"
_OF_THE_LOCK: Final = b"One reminderd at a time works in this folder.\n"
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
"""The errors of a file system that has no locks."""

_NO_FILES: Final[Mapping[Path, str]] = {}

_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class PathRefusedError(OSError):
    """No file may be written at this path; `strerror` states why, and what to do."""

    def __init__(self, target: Path, reason: str) -> None:
        super().__init__(errno.EEXIST, reason, str(target))


def check_target(
    target: Path, *, ours: Callable[[Path], bool], what: str, never: Mapping[Path, str] = _NO_FILES
) -> bool:
    """Check that a file may be written at `target`, and return whether it replaces an existing file.

    Only a regular file that is ours may be replaced. A name that SQLite gives to the files next to a database is
    refused even if there is no such file: SQLite would use it as its own.

    Args:
        target: the path from a person.
        ours: decides by the content of an existing regular file whether it may be replaced.
        what: what such a file is, for people: "a backup of this database".
        never: files that are in use, each with a description; they are refused even if they are missing.

    Raises:
        PathRefusedError: No file may be written there.
        OSError: The path can't be checked.
    """
    if not target.parent.is_dir():
        raise PathRefusedError(target, f"there is no folder {target.parent}")
    used = next((use for file, use in never.items() if _is_same(target, file)), None)
    if used is not None:
        raise PathRefusedError(target, f"is {used}; expected another file")
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        mode = None
    kind = None if mode is None else next((words for is_kind, words in _KINDS if is_kind(mode)), None)
    if kind is not None:
        raise PathRefusedError(target, f"is {kind}; expected the name of a file")
    if target.name.endswith(COMPANIONS):
        raise PathRefusedError(
            target, "has the name of a file that SQLite keeps next to a database; expected another name"
        )
    if mode is None:
        return False
    try:
        is_ours = ours(target)
    except OSError as error:
        raise PathRefusedError(target, f"exists, and can't be read: {error.strerror}; expected another name") from error
    if not is_ours:
        raise PathRefusedError(target, f"exists, and is not {what}; expected another name, or move it away")
    return True


def companions(database: Path, use: str) -> dict[Path, str]:
    """Return a database and SQLite's files next to it, or next to the file that a link points to, for `never`."""
    real = Path(os.path.realpath(database))
    return {database: use} | {real.with_name(real.name + ending): use for ending in ("", *COMPANIONS)}


@contextmanager
def temporary_file(target: Path, *, mode: int = _PRIVATE, family: str | None = None) -> Iterator[Path]:
    """Create an empty file in the folder of `target`; remove it at the end, unless it was renamed to `target`.

    Args:
        target: the final name of the file: see `put_in_place`.
        mode: who may read and write the file.
        family: the prefix of target names whose unfinished files, left by killed processes, are also deleted; by
            default, the name of this target.

    Raises:
        OSError: The file can't be created.
    """
    file = target.parent / f".{target.name}.{secrets.token_hex(4)}{_UNFINISHED}"
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        _sweep(file, target.name if family is None else family)
        yield file
    finally:
        for ending in ("", *COMPANIONS):
            file.with_name(file.name + ending).unlink(missing_ok=True)


@contextmanager
def locked_folder(folder: Path) -> Iterator[bool]:
    """Lock a folder, and yield whether that succeeded, as no other process has the lock; release it at the end.

    The lock is on a file in the folder, so that other machines see it in a shared folder. On a file system without
    locks, every process counts as alone.

    Raises:
        OSError: There is no such folder, or the file can't be written.
    """
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
    try:
        status = os.fstat(descriptor)
        if not status.st_size:  # it is new: let everybody who may write into the folder take the lock
            os.fchmod(descriptor, stat.S_IMODE(folder.stat().st_mode) & _READ_AND_WRITE | _PRIVATE)
            os.write(descriptor, _OF_THE_LOCK)
        yield _is_locked(descriptor)
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    """Lock an open file, and return whether we have the lock; True if the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def open_no_link(path: str, flags: int) -> int:
    """Open a file, as an opener for `open`, but refuse a link.

    In a folder that others may write into, somebody could have replaced the file by a link to a file of ours.
    """
    return os.open(path, flags | os.O_NOFOLLOW)


def set_mode(path: Path, mode: int) -> None:
    """Set who may read and write a file or a folder of ours; refuse a link, see `open_no_link`.

    Raises:
        OSError: The path is a link, or can't be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def put_in_place(file: Path, target: Path) -> None:
    """Rename a finished file to its target once its content is on the disk. Call `check_target` right before.

    Raises:
        OSError: The file can't be renamed, or it is unknown whether it would survive a power cut.
    """
    force_to_disk(file)
    file.replace(target)
    force_to_disk(target.parent)


def force_to_disk(path: Path) -> None:
    """Force a file's content, or the names in a folder, to the disk, so that they survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def first_bytes(file: Path, length: int) -> bytes:
    """Return the first bytes of a file; don't wait if it is a pipe."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    with open(descriptor, "rb") as content:  # noqa: PTH123 - a descriptor has no path
        return content.read(length)


def _is_same(one: Path, other: Path) -> bool:
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    with suppress(OSError):  # one of them is missing
        return one.samefile(other)
    return False


def _sweep(file: Path, family: str) -> None:
    """Remove files that killed processes left more than a day ago, by the clock of the disk."""
    now = file.stat().st_mtime
    for other in file.parent.glob(f".{escape(family)}*{_UNFINISHED}*"):
        with suppress(OSError):  # its own process was faster, or it is another user's
            if now - other.stat().st_mtime > _FORGOTTEN_SECONDS:
                other.unlink()
