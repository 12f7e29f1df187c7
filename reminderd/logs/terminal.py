"""Make text safe for a terminal: text from outside can't control the terminal, and one line stays one line."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO, cast

_OWN: Final = ("buffer", "detach")
"""Attributes of a stream that would bypass `write`, and so must not be available."""


def in_json(text: str) -> str:
    """Return a JSON document in which every character that could mislead a terminal is a JSON escape."""
    return "".join(one if one == "\n" or one.isprintable() else json.dumps(one)[1:-1] for one in text)


def on_one_line(text: str) -> str:
    """Return the text with newlines, control characters and others that could mislead a terminal as escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


class _SafeStream:  # not by attrs: every command has one, and `--help` starts faster without it
    """A stream that writes control and bidirectional characters as escapes, except line ends."""

    def __init__(self, stream: TextIO, *, escapes: bool = True) -> None:
        self.stream = stream
        self.escapes = escapes
        """Whether this stream escapes; False if the writer does that itself, and colors the lines."""

    def write(self, text: str) -> int:
        self.stream.write("\n".join(map(on_one_line, text.split("\n"))) if self.escapes else text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the stream
        if name in _OWN:
            raise AttributeError(name)
        return getattr(self.stream, name)


@contextmanager
def cleaned_streams() -> Iterator[None]:
    """Escape the text that the code in the context writes to standard output and standard error."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _safe(sys.stdout), _safe(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def raw_stream(stream: TextIO) -> TextIO:
    """Return the stream for a writer that colors its lines, and itself escapes text from outside."""
    return cast("TextIO", _SafeStream(stream.stream, escapes=False)) if isinstance(stream, _SafeStream) else stream


def _safe(stream: TextIO | None) -> TextIO:
    # The stream is None if the process was started with it closed.
    return cast("TextIO", stream if stream is None or isinstance(stream, _SafeStream) else _SafeStream(stream))
