"""The generic contract's JSON, read with suspicion: every mistake is a sentence, and none repeats what was sent."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from reminderd.core.answers import Report, spelled
from reminderd.providers.base import InvalidPayloadError

ID_LIMIT: Final = 200
STATUS_LIMIT: Final = 50
DURATION_LIMIT: Final = 7 * 24 * 3600
"""Seconds; no call lasts a week, and a number beyond is a unit gone wrong."""

SIP_CODES: Final = range(100, 700)
"""RFC 3261, 7.2."""

_UNFIT_IN_IDS: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNFIT_IN_TEXT: Final = re.compile("[\x00\ud800-\udfff]")


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; a byte order mark is skipped, and of a repeated name the last counts.

    Raises:
        InvalidPayloadError: it is none.
    """
    try:
        found = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse)
    except (ValueError, RecursionError):  # also: not UTF-8, NaN, a number too long to be one, a thousand brackets
        raise InvalidPayloadError(["body: not JSON; expected a JSON object in UTF-8"]) from None
    if not isinstance(found, dict):
        raise InvalidPayloadError([f"body: {_kind(found)}; expected a JSON object"])
    return found


def usable(value: object, *, limit: int = ID_LIMIT) -> bool:
    """Whether a value can be an id or a status: text of 1 to `limit` characters, no controls, no lone surrogates."""
    return isinstance(value, str) and 0 < len(value) <= limit and not _UNFIT_IN_IDS.search(value)


def read_report(answer: Mapping[str, Any], *, looked_up: bool = False) -> Report:
    """The report in a webhook's object, or in an answer to a look-up, which need not repeat the reminder's id.

    Raises:
        InvalidPayloadError: every mistake is listed.
    """
    reader = _Reader()
    metadata = reader.inner(answer, "metadata")
    report = Report(
        external_call_id=reader.name(answer, "call_id") or "",
        status=reader.status(answer),
        reminder_id=reader.name(metadata, "metadata.reminder_id", required=not looked_up),
        attempt_id=reader.name(metadata, "metadata.attempt_id", required=False),
        transcript=reader.text(answer, "transcript"),
        duration_seconds=reader.seconds(answer, "duration"),
        answered_by=reader.text(answer, "answered_by", limit=ID_LIMIT),
        sip_response_code=reader.sip_code(answer, "sip_response_code"),
    )
    if reader.mistakes:
        raise InvalidPayloadError(reader.mistakes)
    return report


class _Reader:
    """Reads fields one by one and keeps the mistakes. A field that is null counts as missing."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def inner(self, holder: Mapping[str, Any], field: str) -> Mapping[str, Any]:
        value = holder.get(field)
        if isinstance(value, dict):
            return value
        if value is not None:
            self._mistake(field, _kind(value), "an object")
        return {}

    def name(
        self, holder: Mapping[str, Any], field: str, *, limit: int = ID_LIMIT, required: bool = True
    ) -> str | None:
        value = holder.get(field.rpartition(".")[2])
        if value is None and not required:
            return None
        if isinstance(value, str) and usable(value, limit=limit):
            return value
        self._mistake(field, _fault(value, limit, _UNFIT_IN_IDS), f"text of 1 to {limit} characters")
        return None

    def status(self, holder: Mapping[str, Any]) -> str:
        value = self.name(holder, "status", limit=STATUS_LIMIT)
        if value is None:
            return ""
        word = spelled(value)
        if not usable(word, limit=STATUS_LIMIT):  # blank, or longer in lower case
            self._mistake("status", "not a word", f"text of 1 to {STATUS_LIMIT} characters")
        return word

    def text(self, holder: Mapping[str, Any], field: str, *, limit: int | None = None) -> str | None:
        """A text, None if there is none; an empty one says nothing and is none."""
        value = holder.get(field)
        if value is None or value == "":
            return None
        if isinstance(value, str) and (limit is None or len(value) <= limit) and not _UNFIT_IN_TEXT.search(value):
            return value
        self._mistake(field, _fault(value, limit, _UNFIT_IN_TEXT), "text" if limit is None else f"text up to {limit}")
        return None

    def seconds(self, holder: Mapping[str, Any], field: str) -> int | None:
        value = holder.get(field)
        if value is None:
            return None
        expected = f"a number of seconds from 0 to {DURATION_LIMIT}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._mistake(field, _kind(value), expected)
        elif not 0 <= value <= DURATION_LIMIT:  # infinity is out of range, too
            self._mistake(field, "out of range", expected)
        else:
            return round(value)
        return None

    def sip_code(self, holder: Mapping[str, Any], field: str) -> int | None:
        value = holder.get(field)
        if value is None or (type(value) is int and value in SIP_CODES):
            return value
        found = "out of range" if type(value) is int else _kind(value)
        self._mistake(field, found, f"a whole number from {SIP_CODES[0]} to {SIP_CODES[-1]}")
        return None

    def _mistake(self, field: str, found: str, expected: str) -> None:
        self.mistakes.append(f"{field}: {found}; expected {expected}")


def _fault(value: object, limit: int | None, unfit: re.Pattern[str]) -> str:
    if not isinstance(value, str):
        return _kind(value)
    if not value:
        return "empty"
    if limit is not None and len(value) > limit:
        return "too long"
    return "holds characters that are not text" if unfit.search(value) else "not text"


def _kind(value: object) -> str:
    match value:
        case None:
            return "missing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
