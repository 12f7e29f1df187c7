"""Handle signals during the start and errors of the output; load the other modules quickly.

No signal ends the daemon during its start, and none is lost. If the output of a command can't be written, the command
ends with an error and never with a traceback. This module imports only the standard library, as it runs before all
others are loaded.
"""

import errno
import gc
import io
import os
import select
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)

_ARE_ECHOED: Final = bool(getattr(sys, "frozen", False))
"""The single file's first process forwards every signal, and a terminal sends it to this second process, too."""

_arrived: list[int] = []

_FAILED: Final = 1

_STDIN, _STDOUT, _STDERR = 0, 1, 2

_STRICT: Final = frozenset({None, "strict", "surrogateescape"})
"""The error handlers of streams that raise an error for a character which their encoding lacks."""


def keep_signals() -> None:
    """Keep SIGHUP, SIGTERM and SIGINT until the daemon receives them; a second stop ends the process at once."""
    for number in (signal.SIGHUP, *_STOPS):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _note)


def load_module(name: str) -> ModuleType:
    """Import a module, with all that it imports.

    Meanwhile, no garbage is collected: there is little, and looking for it takes a tenth of the start. Loaded objects
    stay until the end, so no later collection looks at them, not even the last one when Python ends.
    """
    if name in sys.modules or not gc.isenabled():
        return import_module(name)
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def collect_what_loading_left() -> None:
    """Collect the garbage of `load_module`, once; for example, attrs makes each class twice. This takes 50 ms."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def early_signal(*numbers: int) -> int | None:
    """Return one of these signals if it has arrived early, and forget it."""
    found = next((number for number in numbers if number in _arrived), None)
    if found is not None:
        _arrived[:] = [number for number in _arrived if number != found]
    return found


def _note(number: int, _frame: FrameType | None) -> None:
    if number in _STOPS and _arrived.count(number) > _ARE_ECHOED:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    _arrived.append(number)


class OutputError(SystemExit):
    """Standard output can't be written. This is no OSError, so that no handler for OSError catches it."""

    def __init__(self, reason: str, *, is_broken_pipe: bool = False) -> None:
        super().__init__(_FAILED)
        self.reason, self.is_broken_pipe = reason, is_broken_pipe


class _Stream(io.FileIO):
    """Writes to a descriptor, which stays open; if another program has set it not to block, waits."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)

    def write(self, content: "ReadableBuffer", /) -> int:
        """Write some of the content, and return how many bytes."""
        while True:
            # FileIO returns None if it would have to wait, although its type does not show that.
            written: int | None = super().write(content)
            if written is not None:
                return written
            select.select([], [self], [])


class _Output(_Stream):
    """Standard output: the first failure is raised, and the rest of the buffer is dropped."""

    def __init__(self, *, is_closed: bool) -> None:
        super().__init__(_STDOUT)
        self._is_closed, self._has_failed = is_closed, False

    def write(self, content: "ReadableBuffer", /) -> int:
        """Write some of the content, and return how many bytes.

        Raises:
            OutputError: The content can't be written.
        """
        if self._has_failed:
            return memoryview(content).nbytes
        try:
            if not self._is_closed:
                return super().write(content)
        except OSError as error:
            self._has_failed = True
            raise OutputError(error.strerror or f"{error}", is_broken_pipe=error.errno == errno.EPIPE) from error
        self._has_failed = True
        raise OutputError("it is closed")


class _Errors(_Stream):
    """Standard error: text that can't be written is dropped, as no error can be reported; the exit code stays."""

    def write(self, content: "ReadableBuffer", /) -> int:
        """Write some of the content, and return how many bytes."""
        try:
            return super().write(content)
        except OSError:
            return memoryview(content).nbytes


@contextmanager
def guarded_streams() -> Iterator[None]:
    """End the process in order if its output can't be written, whatever part of it was running.

    If the reader has closed the pipe, like `| head`, the process ends silently by SIGPIPE, as other programs do. Any
    other error (a full disk, a closed descriptor) is reported by one line on stderr and exit code 1.
    """
    closed = _closed_descriptors()
    sys.stdin = sys.stdin or os.fdopen(_STDIN, closefd=False)
    sys.stdout = _as_text(_Output(is_closed=_STDOUT in closed), sys.stdout)
    sys.stderr = _as_text(_Errors(_STDERR), sys.stderr, line_buffering=True)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OutputError as error:
        _end(error)
    except BaseExceptionGroup as group:  # it came from a task
        _, rest = group.split(OutputError)
        found = next(iter(single_errors(group)))
        if rest is not None or not isinstance(found, OutputError):
            raise
        _end(found)


def _closed_descriptors() -> set[int]:
    """Return which of the three standard descriptors are closed, and keep later files from taking their place."""
    closed = set()
    for descriptor in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number
            closed.add(descriptor)
    return closed


def _as_text(raw: _Stream, before: TextIO | None, *, line_buffering: bool = False) -> TextIO:
    """Return a text stream like `before`; a character that its encoding lacks is written as an escape."""
    errors = before.errors if before is not None and before.errors not in _STRICT else "backslashreplace"
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if before is None else before.encoding,
        errors=errors,
        line_buffering=line_buffering or raw.isatty(),
    )


def single_errors(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the errors in a group, however deeply groups are nested in it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from single_errors(error)
        else:
            yield error


def _end(error: OutputError) -> None:
    """End the process as the error of its output requires."""
    if error.is_broken_pipe:
        sys.stderr.flush()
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    done = "what the command has changed until then stays changed"
    sys.stderr.write(f"standard output can't be written: {error.reason}; {done}\n")
    sys.exit(_FAILED)
