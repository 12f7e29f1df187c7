"""A file system for SQLite (by apsw) that records every write and every sync, to cut the power at any point.

After a cut, what SQLite wrote and did not sync may be on the disk, or not, or in part, in any order; what it synced is
there. The model is that of SQLite's own tests: https://sqlite.org/testing.html#crash_testing
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import apsw
from attrs import define, field, frozen

from reminderd.store.sqlite.driver import SqliteConnection
from reminderd.store.sqlite.opening import BUSY_TIMEOUT, _prepare

_SECTOR: Final = 512
"""The largest unit that a disk writes completely or not at all."""


@frozen
class Write:
    file: str
    offset: int
    content: bytes


@frozen
class Truncate:
    file: str
    size: int


@frozen
class Sync:
    file: str


@frozen
class Delete:
    """A deleted file. It counts as synced, as SQLite waits for the folder."""

    file: str


Act = Write | Truncate | Sync | Delete


@define
class Recording:
    """Everything that happened, in order. A file is named by the end of its name: `db`, `db-wal`."""

    acts: list[Act] = field(factory=list)

    def cut(self, at: int, folder: Path, draw: Random) -> None:
        """Write to `folder` what a disk may contain if the power fails after the first `at` acts."""
        files: dict[str, bytearray] = {}
        unsynced: dict[str, list[Write | Truncate]] = {}
        for act in self.acts[:at]:
            match act:
                case Sync(file):
                    for earlier in unsynced.pop(file, []):
                        _apply(earlier, files)
                case Delete(file):
                    unsynced.pop(file, None)
                    files.pop(file, None)
                case _:
                    unsynced.setdefault(act.file, []).append(act)
        for acts in unsynced.values():
            survival = draw.choice((0.0, 0.5, 0.9, 1.0))
            for act in acts:
                if draw.random() < survival:
                    _apply(_torn(act, draw), files)
        for name, content in files.items():
            (folder / name).write_bytes(content)


def _torn(act: Write | Truncate, draw: Random) -> Write | Truncate:
    """Return an act of which only a part reaches the disk: whole sectors, from the first one on."""
    if isinstance(act, Truncate) or len(act.content) <= _SECTOR or draw.random() < 0.5:
        return act
    sectors = draw.randint(0, len(act.content) // _SECTOR)
    return Write(act.file, act.offset, act.content[: sectors * _SECTOR])


def _apply(act: Write | Truncate, files: dict[str, bytearray]) -> None:
    content = files.setdefault(act.file, bytearray())
    if isinstance(act, Truncate):
        del content[act.size :]
        return
    content.extend(bytes(max(0, act.offset - len(content))))
    content[act.offset : act.offset + len(act.content)] = act.content


class RecordingVFS(apsw.VFS):
    """The machine's own file system, with a recording of what is done to it."""

    def __init__(self, name: str, recording: Recording) -> None:
        self.recording = recording
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> "_RecordingFile":  # noqa: N802 - SQLite's name
        return _RecordingFile(name, flags, self.recording)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        self.recording.acts.append(Delete(Path(filename).name))
        super().xDelete(filename, syncdir)


class _RecordingFile(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], recording: Recording) -> None:
        super().__init__("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._acts = recording.acts
        self._name = Path(path).name

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._acts.append(Write(self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        self._acts.append(Truncate(self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        super().xSync(flags)
        self._acts.append(Sync(self._name))


class _Row(tuple[Any, ...]):
    """A row of apsw that can also be indexed by column name, like the store's rows."""

    __slots__ = ()
    names: tuple[str, ...]

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(self.names.index(key) if isinstance(key, str) else key)


class _Cursor(apsw.Cursor):
    @property
    def rowcount(self) -> int:
        return self.connection.changes()


def _named(cursor: apsw.Cursor, row: tuple[Any, ...]) -> Any:
    kind = type("Row", (_Row,), {"names": tuple(column[0] for column in cursor.description), "__slots__": ()})
    return kind(row)


class _Connection(apsw.Connection):
    """apsw's connection, with the additions of our own connection class."""

    own_patience, is_optimistic, has_skipped_savepoint = None, False, False
    identity, server_time = SqliteConnection.identity, SqliteConnection.server_time
    for_update, skip_locked = SqliteConnection.for_update, SqliteConnection.skip_locked
    leaves_traces = SqliteConnection.leaves_traces
    begin, begin_snapshot = SqliteConnection.begin, SqliteConnection.begin_snapshot
    commit, roll_back = SqliteConnection.commit, SqliteConnection.roll_back
    store_error, spoils_all = SqliteConnection.store_error, SqliteConnection.spoils_all
    is_passing = SqliteConnection.is_passing


@contextmanager
def recorded(path: Path, recording: Recording) -> Iterator[SqliteConnection]:
    """Yield the store's connection to a file, with all writes recorded by apsw, which can use another file system."""
    vfs = RecordingVFS("recording", recording)
    connection = _Connection(str(path), vfs="recording")
    connection.cursor_factory = _Cursor
    connection.row_trace = _named
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # apsw's files have no shared memory
    with closing(cast("SqliteConnection", connection)) as prepared:
        _prepare(prepared, path, BUSY_TIMEOUT)
        yield prepared
    vfs.unregister()
