"""Record which of our lines run, and crash before one of them, as when a process is killed there."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import pytest
from attrs import define, field

import reminderd
from reminderd.store.sqlite.driver import SqliteConnection

if find_spec("psycopg"):
    import psycopg
else:
    psycopg = None  # type: ignore[assignment]  # then nothing runs on PostgreSQL

T = TypeVar("T")

_ROOT: Final = Path(reminderd.__file__).parent
_CUT: Final = tuple(str(_ROOT / name) for name in ("core/lifecycle", "engine/dialer.py"))
_CUT_IN_STORE: Final = str(_ROOT / "store")
_COMMIT: Final = (str(_ROOT / "store/postgres/driver.py"), "commit")
_WHOLE: Final = str(_ROOT / "store/sqlite/on_trio.py")
"""This module handles no rows; a close that is cut off would only leak a connection."""


Line: TypeAlias = tuple[str, int]
"""A file and a line number in it."""


class Closable(Protocol):
    def close(self) -> object: ...


class Crash(BaseException):
    """The process has crashed."""


@define
class Lines:
    """Counts the lines that run, and crashes before one of them."""

    crash_before: int | None = None
    """The number of the line before which it crashes, from 1; None for no crash."""
    ran: list[Line] = field(factory=list)
    effects: list[int] = field(factory=list)
    """The number of the last line before each commit and each request."""
    _connections: list[Closable] = field(factory=list)
    _is_in_store: bool = False

    @property
    def crashed(self) -> bool:
        return len(self.ran) == self.crash_before

    @contextmanager
    def watched(self) -> Iterator[None]:
        former = sys.gettrace()
        with pytest.MonkeyPatch.context() as patch:
            if psycopg is not None:
                patch.setattr(psycopg, "connect", partial(self._connected, psycopg.connect))
            sys.settrace(self._entered)
            try:
                yield
            finally:
                sys.settrace(former)

    def _connected(self, connect: Callable[..., Closable], *arguments: Any, **settings: Any) -> Closable:
        """Connect to a server, unless the process has crashed."""
        if self.crashed:
            raise Crash
        connection = connect(*arguments, **settings)
        self._connections.append(connection)
        return connection

    def _entered(self, frame: FrameType, _event: str, _arg: object) -> Callable[..., Any] | None:
        file = frame.f_code.co_filename
        if (file, frame.f_code.co_name) == _COMMIT:
            self.has_effect()
        is_cut = file.startswith(_CUT) or (self._is_in_store and file.startswith(_CUT_IN_STORE) and file != _WHOLE)
        return self._line if is_cut else None

    def _line(self, frame: FrameType, event: str, _arg: object) -> Callable[..., Any]:
        if event == "line":
            self.ran.append((frame.f_code.co_filename, frame.f_lineno))
            if self.crashed:
                for connection in self._connections:
                    connection.close()  # as the system does: code that cleans up now can write nothing
                raise Crash
        return self._line

    def has_effect(self) -> None:
        """Note that the next step can't be undone by a crash."""
        self.effects.append(len(self.ran))

    async def run(self, call: Callable[[], T], /) -> T:
        """Run a call of the store on the thread whose lines are recorded; it runs nowhere else."""
        self._is_in_store = True
        try:
            result = call()
        finally:
            self._is_in_store = False
        if isinstance(result, SqliteConnection):
            self._connections.append(result)
            result.set_trace_callback(lambda sql: self.has_effect() if sql == "COMMIT" else None)
        return result
