"""Standard output and standard error for a terminal: what others have written can't drive it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO, cast

from attrs import frozen

from reminderd.logs.cleaning import on_one_line

_OWN: Final = ("buffer", "detach")
"""Ways around `write`, which must not be found."""


@frozen(eq=False)
class _Guarded:
    """A stream to which control and bidirectional characters are written as escapes; lines stay lines."""

    stream: TextIO
    cleans: bool = True
    """False: whoever writes has done that, and colors the lines."""

    def write(self, text: str) -> int:
        self.stream.write("\n".join(map(on_one_line, text.split("\n"))) if self.cleans else text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        if name in _OWN:
            raise AttributeError(name)
        return getattr(self.stream, name)


@contextmanager
def cleaned_streams() -> Iterator[None]:
    """Clean what whatever runs inside writes to standard output and standard error."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def unguarded(stream: TextIO) -> TextIO:
    """Return the stream for what colors its lines, and itself cleans what others have written in them."""
    return cast("TextIO", _Guarded(stream.stream, cleans=False)) if isinstance(stream, _Guarded) else stream


def _guarded(stream: TextIO | None) -> TextIO:
    # None: the process was started with the stream closed.
    return cast("TextIO", stream if stream is None or isinstance(stream, _Guarded) else _Guarded(stream))
