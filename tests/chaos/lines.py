"""Watches which of our lines run, and crashes before one of them, as a process does that is killed there."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeAlias, TypeVar

from attrs import define, field

import reminderd
from reminderd.store.sqlite.driver import SqliteConnection

T = TypeVar("T")

_ROOT: Final = Path(reminderd.__file__).parent
_CUT: Final = tuple(str(_ROOT / name) for name in ("core/lifecycle", "engine/dialer.py"))
_CUT_AT_SQLITE: Final = str(_ROOT / "store")
_WHOLE: Final = str(_ROOT / "store/sqlite/trio_sqlite.py")
"""Knows no rows; half of its closing would only leak."""


Line: TypeAlias = tuple[str, int]
"""A file and a number in it."""


class Crash(BaseException):
    """The process has crashed."""


@define
class Lines:
    """Counts the lines that run, and crashes before one of them."""

    crash_before: int | None = None
    """Its number, from 1."""
    ran: list[Line] = field(factory=list)
    effects: list[int] = field(factory=list)
    """The number of the last line before each commit and each request."""
    _connections: list[SqliteConnection] = field(factory=list)
    _is_at_sqlite: bool = False

    @property
    def crashed(self) -> bool:
        return len(self.ran) == self.crash_before

    @contextmanager
    def watched(self) -> Iterator[None]:
        former = sys.gettrace()
        sys.settrace(self._entered)
        try:
            yield
        finally:
            sys.settrace(former)

    def _entered(self, frame: FrameType, _event: str, _arg: object) -> Callable[..., Any] | None:
        file = frame.f_code.co_filename
        is_cut = file.startswith(_CUT) or (self._is_at_sqlite and file.startswith(_CUT_AT_SQLITE) and file != _WHOLE)
        return self._line if is_cut else None

    def _line(self, frame: FrameType, event: str, _arg: object) -> Callable[..., Any]:
        if event == "line":
            self.ran.append((frame.f_code.co_filename, frame.f_lineno))
            if self.crashed:
                for connection in self._connections:
                    connection.close()  # as the system does; whatever cleans up now can write nothing
                raise Crash
        return self._line

    def has_effect(self) -> None:
        """Something is about to be done that a crash does not undo."""
        self.effects.append(len(self.ran))

    async def run(self, call: Callable[[], T], /) -> T:
        """A runner for the store: on the thread whose lines are watched, and its own are only here."""
        self._is_at_sqlite = True
        try:
            result = call()
        finally:
            self._is_at_sqlite = False
        if isinstance(result, SqliteConnection):
            self._connections.append(result)
            result.set_trace_callback(lambda sql: self.has_effect() if sql == "COMMIT" else None)
        return result
