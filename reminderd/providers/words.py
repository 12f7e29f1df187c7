"""What may be repeated of a provider's answer, to staff and in logs: little, and nothing of the patient's."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from reminderd.core.masking import replaced
from reminderd.core.model import MESSAGE_LIMIT
from reminderd.providers.base import InvalidPayloadError
from reminderd.providers.exchange import Heard
from reminderd.providers.payload import json_object

_LONGEST: Final = 200
_MASK: Final = "…"

_EXPLAINING: Final = ("error", "code", "title", "message", "detail", "details", "reason")
"""The fields in which providers say what is wrong."""

_SHINGLE: Final = 12
"""So many characters in a row that also stand in a private text are not there by chance."""

_TELLING: Final = 4
"""A shorter text, "Hi", stands in any answer and tells nothing."""

_GAPS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def reason(heard: Heard, *, private: tuple[str, ...]) -> str:
    """The answer's status and its own words: one line of at most 200 characters.

    Args:
        heard: the answer.
        private: texts of which nothing longer than a word may be repeated: keys, the message, the number.
    """
    said = _masked(_said(heard.body)[: 2 * MESSAGE_LIMIT], private)
    line = f"{heard.status} {_phrase(heard.status)}".strip()
    return (f"{line}: {said}" if said else line)[:_LONGEST]


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _said(body: bytes) -> str:
    try:
        answer = json_object(body)
    except InvalidPayloadError:
        text = body.decode(errors="replace").strip()
        return "" if text.startswith(("<", "{", "[")) else text  # a web page, or broken JSON: no words
    return "; ".join(_explanations(answer))


def _explanations(answer: dict[str, Any]) -> Iterator[str]:
    for name in _EXPLAINING:
        match answer.get(name):
            case str() as text if text:
                yield text
            case int() as code if name == "code":
                yield str(code)
            case {"message": str() as text}:
                yield text
            case [*items]:
                yield from (item for item in items if isinstance(item, str))


def _masked(text: str, private: tuple[str, ...]) -> str:
    line = _GAPS.sub(" ", text).strip()
    for secret in private:
        line = _without(line, _GAPS.sub(" ", secret).strip())
    return replaced(line, lambda _number: _MASK)


def _without(line: str, secret: str) -> str:
    """The line with every stretch masked that it shares with the secret, whole or cut short by the provider."""
    size = min(_SHINGLE, len(secret))
    if size < _TELLING:
        return line
    shingles = {secret[at : at + size].casefold() for at in range(len(secret) - size + 1)}
    shared = [False] * len(line)
    for at in range(len(line) - size + 1):
        if line[at : at + size].casefold() in shingles:
            shared[at : at + size] = [True] * size
    kept = [
        _MASK if hidden else letter
        for at, (letter, hidden) in enumerate(zip(line, shared, strict=True))
        if not (hidden and at > 0 and shared[at - 1])
    ]
    return "".join(kept)
