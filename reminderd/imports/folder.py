"""Import the files that other programs drop into a folder, one after the other, and move each out of it.

A file is imported only when it is whole: its size and time have not changed for a while, and nobody has it open for
writing, as far as the kernel shows. It is opened once, and only that file is read, whatever its name leads to
meanwhile. A file that was replaced meanwhile is put back, and imported again.
"""

import errno
import fcntl
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from enum import Enum
from fnmatch import fnmatch
from itertools import count
from math import inf
from pathlib import Path
from stat import S_IMODE, S_ISDIR, S_ISREG
from typing import Final

from attrs import define, evolve, field, frozen

from reminderd.clock import Clock
from reminderd.config import Config
from reminderd.core.imports import FOLDER, FileRefusedError, ImportStatus
from reminderd.core.masking import mask_numbers
from reminderd.core.tables.columns import ColumnsError
from reminderd.files import locked_folder, open_no_link, put_in_place, set_mode, temporary_file
from reminderd.imports.formats import format_of, profile_of
from reminderd.imports.one_file import FileImport, refusal_of
from reminderd.imports.snapshot import Coverage
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection

DONE: Final = "done"
"""The subfolder for files that were imported."""

REJECTED: Final = "rejected"
"""The subfolder for files that were refused."""

MOST_BYTES: Final = 128 * 1024 * 1024
"""The size of the largest file, which is more than any clinic's appointments need."""

_UNFINISHED: Final = ("*.part", "*.partial", "*.filepart", "*.tmp", "*.temp", "*.crdownload", "*.swp", "*~")
"""Names of files that are being written, in addition to names that begin with a dot or `~$`."""

_WARN_SECONDS: Final = 600.0
"""Seconds for which a file is open for writing without a change before the log warns about it."""

_NANOSECONDS: Final = 1_000_000_000
_READ_AND_WRITE: Final = 0o666
_OWN: Final = 0o600
_IN_A_PROFILE: Final = (
    "Correct the file, or the configuration, and put the file into the folder again. In [import.profiles], what is"
    " called --map here is columns, --encoding is encoding and --dates is dates; docs/import.md has examples."
)

Identity = tuple[int, int, int]
"""A file's inode, size and time: if they differ, it is another file, or has another content."""


class ChangedError(Exception):
    """The file is no longer the file that was complete: it was removed, or is being written again."""


class OpenBy(Enum):
    """Whether somebody has a file open for writing."""

    NOBODY = "nobody"
    SOMEBODY = "somebody"
    UNKNOWN = "unknown"


_QUIET: Final = {OpenBy.NOBODY: 10.0, OpenBy.UNKNOWN: 300.0, OpenBy.SOMEBODY: inf}
"""How many seconds a file must be unchanged. A program that writes is hardly silent for five minutes."""


@frozen
class Dropped:
    """A complete file in the folder."""

    path: Path
    identity: Identity

    def is_same(self) -> bool:
        """Return whether it is still the file that was complete."""
        return _identity(self.path) == self.identity


@define
class Folder:
    """The folder, and since when each file in it has not changed."""

    path: Path
    _seen: dict[Path, tuple[Identity, float]] = field(factory=dict, init=False)
    _kept_open: dict[Path, Identity] = field(factory=dict, init=False)
    """Files that have been open for writing for long."""
    _shows_writers: bool | None = field(default=None, init=False)
    """Whether the kernel shows here who has a file open; None if not tried yet."""

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Yield whether no other daemon takes files out of the folder now; make the folder if it is missing.

        Raises:
            OSError: This can't be determined.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with locked_folder(self.path) as is_alone:
            yield is_alone

    def complete_files(self, now: float, time: datetime) -> list[Dropped]:
        """Return the files that can be imported, the oldest first; make the folders inside if they are missing.

        Args:
            now: seconds of a monotonic clock.
            time: the time, by the clock of the files.

        Raises:
            OSError: The folder can't be read, or the folders inside it can't be made.
        """
        for name in (DONE, REJECTED):
            if not (self.path / name).is_dir():
                (self.path / name).mkdir()
                # The programs that bring files may see them there.
                set_mode(self.path / name, S_IMODE(self.path.stat().st_mode))
        seen, found = {}, []
        self._kept_open = {path: known for path, known in self._kept_open.items() if _identity(path) == known}
        for path in self.path.iterdir():
            identity = _identity(path)
            if identity is None or _is_unfinished(path.name):
                continue
            known, since = self._seen.get(path, (None, now))
            seen[path] = identity, now if known != identity else since
            writer, seen_for = self._writer(path), now - seen[path][1]
            # A file that was finished elsewhere and moved here need not wait.
            age = time.timestamp() - identity[2] / _NANOSECONDS if writer is OpenBy.NOBODY else 0.0
            if max(seen_for, age) >= _QUIET[writer]:
                found.append((identity[2], path.name, Dropped(path, identity)))
            elif writer is OpenBy.SOMEBODY and seen_for >= _WARN_SECONDS:
                self._kept_open.setdefault(path, identity)
        self._seen = seen
        return [dropped for _, _, dropped in sorted(found)]

    @property
    def kept_open(self) -> list[str]:
        """Return the names of files that wait, as a program has had them open for writing for long."""
        return sorted(path.name for path in self._kept_open)

    def _writer(self, path: Path) -> OpenBy:
        """Return whether somebody writes a file; on some file systems, every file seems to be open, even our own."""
        writer = _writer(path)
        if writer is not OpenBy.SOMEBODY:
            return writer
        if self._shows_writers is None:
            with temporary_file(self.path / "tried", mode=_OWN) as ours:
                self._shows_writers = _writer(ours) is OpenBy.NOBODY
        return OpenBy.SOMEBODY if self._shows_writers else OpenBy.UNKNOWN


@frozen(kw_only=True)
class Result:
    """The result for a file."""

    status: ImportStatus
    text: str
    """The text for the log; nothing in it is about a patient."""
    rejected: int = 0
    """How many rows were rejected."""


def import_dropped(dropped: Dropped, config: Config, clock: Clock, is_stopped: Callable[[], bool]) -> Result:
    """Import a file, and move it; if `is_stopped`, it stays where it is, after the chunk that was begun.

    Raises:
        ChangedError: It has changed since it was complete, while others were imported.
        OSError: It can't be read or moved now, or a file can't be written.
        StoreUnavailableError: The database can't be written now.
        StoreUnusableError: The database can't be opened.
    """
    name = dropped.path.name
    profile = profile_of(config, _profile_for(name, config))
    target = _free(dropped.path.parent / DONE, name)
    one = FileImport(
        file=dropped.path,
        name=name,
        profile=profile,
        coverage=Coverage(days=profile.snapshot_days) if profile.name is not None and profile.snapshot_days else None,
        dated_at=datetime.fromtimestamp(dropped.identity[2] / _NANOSECONDS, UTC),
        rejected=target.with_name(_lines_of(target.name)),
        actor=FOLDER,
        config=config,
        clock=clock,
    )
    with open_sync(config.database.target) as connection:
        try:
            with _opened(dropped) as file:
                form = profile.form or format_of(file, name)
                held = evolve(one, file=file, profile=evolve(profile, form=form))
                return _imported(dropped, held, target, connection, is_stopped)
        except (FileRefusedError, ColumnsError) as error:
            refusal = refusal_of(error)
        one.refused(connection, refusal)
    moved = reject(dropped, refusal.mistakes)
    what = mask_numbers(f"{name} was not imported: {refusal.reason}; moved to {REJECTED}/{moved.name}")
    return Result(status=ImportStatus.REFUSED, text=what)


def _imported(
    dropped: Dropped, one: FileImport, target: Path, connection: Connection, is_stopped: Callable[[], bool]
) -> Result:
    is_moved = False
    with ExitStack() as unless_moved:
        unless_moved.callback(one.rejected.unlink, missing_ok=True)
        with one.opened() as opened:
            missing = opened.missing(connection)
            result = opened.write(connection, missing, lambda _tally, _is_end: None, is_stopped, dropped.is_same)
        rejected = result.tally.rejected.lines
        if result.status is ImportStatus.DONE:
            is_moved = _moved(dropped, target)
        if is_moved:
            unless_moved.pop_all()
            if rejected:
                _open_like(one.rejected, target)
    profile = one.profile.name
    shown = mask_numbers(one.name if profile is None else f"{one.name} (profile {profile})")
    if result.status is ImportStatus.INTERRUPTED:
        what = f"import of {shown} interrupted: {result.tally}; it will be imported again"
    elif is_moved:
        what = f"imported {shown}: {result.tally}; moved to {DONE}/{mask_numbers(target.name)}"
    else:
        again = "it has changed meanwhile; if it is still there, it will be imported again"
        what = f"imported {shown}: {result.tally}; {again}"
    if result.why_nothing_cancelled is not None:
        what = f"{what}; {result.why_nothing_cancelled}"
    return Result(status=result.status, text=what, rejected=rejected)


def _profile_for(name: str, config: Config) -> str | None:
    """Return the first profile whose pattern matches the name of a file; None if none does."""
    profiles = config.import_.profiles.items()
    return next((known for known, one in profiles if fnmatch(name.casefold(), one.files.casefold())), None)


@contextmanager
def _opened(dropped: Dropped) -> Iterator[Path]:
    """Open the file that was complete, once; yield a path to this file itself, wherever its name leads from now on.

    Raises:
        ChangedError: It was removed, or is another file.
        FileRefusedError: It is no file that this user can read, or far too large.
    """
    try:
        descriptor = os.open(dropped.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ChangedError from None
    except PermissionError as error:
        expected = "expected a file that the daemon's user may read"
        raise FileRefusedError(f"it can't be read: permission denied; {expected}") from error
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        raise FileRefusedError(_NO_LINK) from error
    try:
        status = os.fstat(descriptor)
        if _identity_in(status) != dropped.identity:
            raise ChangedError
        if not S_ISREG(status.st_mode):
            raise FileRefusedError(_NO_LINK)
        if status.st_size > MOST_BYTES:
            raise FileRefusedError(
                f"it is larger than {MOST_BYTES // 1024**2} MiB; expected the appointments of some months"
            )
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


_NO_LINK: Final = "it is a link or a device; expected a file"
_NO_FILE: Final = frozenset({errno.ELOOP, errno.ENXIO, errno.ENODEV})
"""The errors with which the kernel refuses a link, a socket, and a missing device."""


def reject(dropped: Dropped, mistakes: Sequence[str]) -> Path:
    """Move a file to the rejected files, with a text next to it that has the reasons."""
    target = _free(dropped.path.parent / REJECTED, dropped.path.name)
    why = target.with_name(f"{target.name}.txt")
    text = "\n".join([f"{dropped.path.name} was not imported:", *(f"- {one}" for one in mistakes), "", _IN_A_PROFILE])
    with temporary_file(why, mode=_OWN) as unfinished:
        with open(unfinished, "w", encoding="utf-8", opener=open_no_link) as file:
            file.write(f"{text}\n")
        put_in_place(unfinished, why)
    if _moved(dropped, target):
        _open_like(why, target)
    else:
        why.unlink()
    return target


def _open_like(path: Path, file: Path) -> None:
    """Give a path the permissions of the file next to it, whatever our umask is."""
    mode = file.lstat().st_mode
    if S_ISREG(mode):
        set_mode(path, mode & _READ_AND_WRITE | _OWN)


def _free(folder: Path, name: str) -> Path:
    """Return a path in a folder that is free, as are the paths next to it; the name gets a counter if necessary."""
    path = Path(name)
    names = (name if number == 1 else f"{path.stem}.{number}{path.suffix}" for number in count(1))
    return next(
        folder / one
        for one in names
        if not any(os.path.lexists(folder / other) for other in (one, _lines_of(one), f"{one}.txt"))
    )


def _lines_of(name: str) -> str:
    """Return the name of the file of rejected lines for a file."""
    return f"{Path(name).stem}.rejected.csv"


def _moved(dropped: Dropped, target: Path) -> bool:
    """Move a file; return False if it was removed, or is not the file that was read: then it is put back."""
    try:
        dropped.path.rename(target)
    except FileNotFoundError:
        if os.path.lexists(dropped.path):  # the folder inside is missing
            raise
        return False
    if _identity(target) == dropped.identity:
        return True
    back = dropped.path if not os.path.lexists(dropped.path) else _free(dropped.path.parent, dropped.path.name)
    target.rename(back)
    return False


def _identity(path: Path) -> Identity | None:
    """Return what distinguishes a file from others; None if it was removed, or is a folder."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return None if S_ISDIR(status.st_mode) else _identity_in(status)


def _identity_in(status: os.stat_result) -> Identity:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _is_unfinished(name: str) -> bool:
    return name.startswith((".", "~$")) or any(fnmatch(name.casefold(), pattern) for pattern in _UNFINISHED)


def _writer(path: Path) -> OpenBy:
    """Ask the kernel whether somebody has a file open for writing: only if nobody has, it grants a read lease.

    It does so only for the file's owner, see fcntl(2).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # a link, or a file that we may not read: it is opened when its time has come
        return OpenBy.UNKNOWN
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # SIGIO, if somebody opens it just now, would end us
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return OpenBy.SOMEBODY
    except OSError:
        return OpenBy.UNKNOWN
    finally:
        os.close(descriptor)
    return OpenBy.NOBODY


def delete_moved_files(folder: Path, before: datetime) -> int:
    """Delete files that were moved to the folders inside the folder before a moment; return how many.

    Raises:
        OSError: A file can't be deleted.
    """
    return sum(_forget(folder / name, before) for name in (DONE, REJECTED))


def _forget(folder: Path, before: datetime) -> int:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):  # a link there would lead to files that are not ours
        return 0
    deleted = 0
    try:
        for name in os.listdir(descriptor):  # noqa: PTH208 - of the folder that was opened, whatever its name leads to
            with suppress(FileNotFoundError):  # another daemon was faster
                status = os.lstat(name, dir_fd=descriptor)
                if status.st_ctime < before.timestamp() and not S_ISDIR(status.st_mode):
                    os.unlink(name, dir_fd=descriptor)
                    deleted += 1
    finally:
        os.close(descriptor)
    return deleted
