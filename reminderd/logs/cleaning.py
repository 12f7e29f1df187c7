"""Makes text safe for a log and a terminal: query strings cut off, no control characters."""

import json
import re
from typing import Final

_QUERY: Final = re.compile(r"(/[^\s?\"'<>]*)\?[^\s\"'<>]*")


def without_queries(text: str) -> str:
    """The text with the query strings of its URLs and paths cut off."""
    return _QUERY.sub(r"\1", text)


def in_json(text: str) -> str:
    """A JSON document with all that could fool a terminal written as JSON's own escapes."""
    return "".join(one if one == "\n" or one.isprintable() else json.dumps(one)[1:-1] for one in text)


def on_one_line(text: str) -> str:
    """The text with newlines, control characters and all else that could fool a terminal written as escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
