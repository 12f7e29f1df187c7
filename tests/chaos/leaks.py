"""Find what a log must never contain: phone numbers, messages, transcripts, secrets."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import unquote_plus

from attrs import frozen

from reminderd.store.connection import Connection
from tests.chaos.record import Record

_BETWEEN_DIGITS: Final = re.compile(r"(?<=\d)[ ().-]+(?=\d)")
_UUID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_DIGITS: Final = re.compile(r"\d+")
_WORD: Final = re.compile(r"\w+(?:'\w+)?")
_SHOWN_OF_A_NUMBER: Final = 7
"""The number of last digits, in their order, that identify a number, however its country code is written."""
_WORDS_IN_A_ROW: Final = 3
"""The number of words of a text, in their order, that identify it; a shorter text is identified by all its words."""


@frozen
class Private:
    """What a log must not contain, in the pieces in which it could appear."""

    number_ends: frozenset[str]
    pieces: frozenset[tuple[str, ...]]
    secrets: tuple[str, ...]


def kept(numbers: Iterable[str], texts: Iterable[str], secrets: Iterable[str]) -> Private:
    """Return all pieces that a log must not contain."""
    return Private(
        frozenset(number[-_SHOWN_OF_A_NUMBER:] for number in numbers),
        frozenset(piece for text in texts for piece in _in_a_row(_words(text), _WORDS_IN_A_ROW)),
        tuple(secrets),
    )


def private(connection: Connection, record: Record, *, secrets: Iterable[str], sender: str) -> Private:
    """Return all data of patients in the database and the provider's own record, and all secrets."""
    numbers = {sender, *(order.phone_number for order in record.orders)}
    for table in ("reminders", "opt_outs"):
        numbers |= set(_column(connection, table, "phone_number"))
    texts = {*_column(connection, "reminders", "message"), *_column(connection, "call_logs", "transcript")}
    texts |= {order.message for order in record.orders if order.message is not None}
    texts |= {ring.transcript for ring in record.rings if ring.transcript is not None}
    return kept(numbers, texts, secrets)


def leaks(lines: Iterable[str], of: Private) -> Iterator[str]:
    """Yield a sentence for each line that contains a secret piece."""
    for line in lines:
        leak = next((found for reading in _readings(line) if (found := _leak_in(reading, of)) is not None), None)
        if leak is not None:
            yield f"the log contains {leak}: {line}"


def _leak_in(reading: str, of: Private) -> str | None:
    for run in _DIGITS.findall(_BETWEEN_DIGITS.sub("", reading)):
        for end in range(_SHOWN_OF_A_NUMBER, len(run) + 1):
            if run[end - _SHOWN_OF_A_NUMBER : end] in of.number_ends:
                return "a phone number"
    words = _words(reading)
    if any(piece in of.pieces for size in range(1, _WORDS_IN_A_ROW + 1) for piece in _in_a_row(words, size)):
        return "what was said"
    return "a secret" if any(secret in reading for secret in of.secrets) else None


def _readings(line: str) -> Iterator[str]:
    """Return the line as it is, without JSON's escapes, and without URL escapes.

    An id may contain the digits of a number by chance, so ids are removed.
    """
    line = _UUID.sub("an id", line)
    yield line
    with suppress(ValueError):  # also an id of a line that a kill has cut off
        yield " ".join(f"{key} {value}" for key, value in json.loads(line).items())
    if "%" in line:
        yield unquote_plus(line)


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _in_a_row(words: list[str], size: int) -> list[tuple[str, ...]]:
    """Return all pieces of this many words; a shorter text is one piece."""
    return [tuple(words[first : first + size]) for first in range(max(1, len(words) - size + 1))]


def _column(connection: Connection, table: str, column: str) -> list[str]:
    rows = connection.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL").fetchall()
    return [str(row[0]) for row in rows]
