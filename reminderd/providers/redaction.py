"""Redacts what a provider's answer repeats of keys, messages and phone numbers, before people or logs see it."""

import re
from typing import Final

from reminderd.core.masking import replaced

_MASK: Final = "…"

_SHINGLE: Final = 12
"""So many characters in a row that also stand in a private text are not there by chance."""

_SHORTEST: Final = 4
"""A shorter text, "Hi", is part of any answer and reveals nothing."""

_GAPS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def redacted(text: str, private: tuple[str, ...]) -> str:
    """Return a text as one line, without phone numbers and without what it shares with the private texts."""
    line = _GAPS.sub(" ", text).strip()
    for secret in private:
        line = _without(line, _GAPS.sub(" ", secret).strip())
    return replaced(line, lambda _number: _MASK)


def _without(line: str, secret: str) -> str:
    """Mask every stretch of the line that is also in the secret, whole or cut short by the provider."""
    size = min(_SHINGLE, len(secret))
    if size < _SHORTEST:
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
