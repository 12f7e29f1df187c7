"""Make text safe for a terminal: what others have written can't drive it, and a line stays a line."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO, cast

_OWN: Final = ("buffer", "detach")
"""Ways around `write`, which must not be found."""


def in_json(text: str) -> str:
    """Return a JSON document with every character that could fool a terminal written as JSON's own escape."""
    return "".join(one if one == "\n" or one.isprintable() else json.dumps(one)[1:-1] for one in text)


def on_one_line(text: str) -> str:
    """Return the text with newlines, control characters and whatever else could fool a terminal as escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


class _SafeStream:  # not by attrs: every command has one, and `--help` starts faster without it
    """A stream to which control and bidirectional characters are written as escapes; lines stay lines."""

    def __init__(self, stream: TextIO, *, escapes: bool = True) -> None:
        self.stream = stream
        self.escapes = escapes
        """False: the writer has escaped them itself, and colors the lines."""

    def write(self, text: str) -> int:
        self.stream.write("\n".join(map(on_one_line, text.split("\n"))) if self.escapes else text)
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
    """Escape what the code inside writes to standard output and standard error."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _safe(sys.stdout), _safe(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def unguarded(stream: TextIO) -> TextIO:
    """Return the stream for a writer that colors its lines and escapes by itself what others have written in them."""
    return cast("TextIO", _SafeStream(stream.stream, escapes=False)) if isinstance(stream, _SafeStream) else stream


def _safe(stream: TextIO | None) -> TextIO:
    # None: the process was started with the stream closed.
    return cast("TextIO", stream if stream is None or isinstance(stream, _SafeStream) else _SafeStream(stream))
