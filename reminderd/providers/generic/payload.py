"""Reads the generic contract's JSON: every mistake is a sentence, and none repeats what was sent."""

import re
from collections.abc import Mapping
from typing import Any, Final

from reminderd.core.answers import Report, spelled
from reminderd.providers.base import (
    DURATION_LIMIT,
    ID_LIMIT,
    STATUS_LIMIT,
    UNFIT_IN_IDS,
    InvalidPayloadError,
    json_type,
    usable,
)

SIP_CODES: Final = range(100, 700)
"""RFC 3261, 7.2."""

_UNFIT_IN_TEXT: Final = re.compile("[\x00\ud800-\udfff]")


def read_report(answer: Mapping[str, Any], *, looked_up: bool = False) -> Report:
    """Return the report in a webhook's object, or in the answer to a look-up, which need not repeat the reminder's id.

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
    """Reads fields one by one and collects the mistakes. A field that is null counts as missing."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def inner(self, holder: Mapping[str, Any], field: str) -> Mapping[str, Any]:
        value = holder.get(field)
        if isinstance(value, dict):
            return value
        if value is not None:
            self._mistake(field, json_type(value), "an object")
        return {}

    def name(
        self, holder: Mapping[str, Any], field: str, *, limit: int = ID_LIMIT, required: bool = True
    ) -> str | None:
        value = holder.get(field.rpartition(".")[2])
        if value is None and not required:
            return None
        if isinstance(value, str) and usable(value, limit=limit):
            return value
        self._mistake(field, _fault(value, limit, UNFIT_IN_IDS), f"text of 1 to {limit} characters")
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
        """Return a text; None if it is missing or empty."""
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
            self._mistake(field, json_type(value), expected)
        elif not 0 <= value <= DURATION_LIMIT:  # infinity is out of range, too
            self._mistake(field, "out of range", expected)
        else:
            return round(value)
        return None

    def sip_code(self, holder: Mapping[str, Any], field: str) -> int | None:
        value = holder.get(field)
        if value is None or (type(value) is int and value in SIP_CODES):
            return value
        found = "out of range" if type(value) is int else json_type(value)
        self._mistake(field, found, f"a whole number from {SIP_CODES[0]} to {SIP_CODES[-1]}")
        return None

    def _mistake(self, field: str, found: str, expected: str) -> None:
        self.mistakes.append(f"{field}: {found}; expected {expected}")


def _fault(value: object, limit: int | None, unfit: re.Pattern[str]) -> str:
    if not isinstance(value, str):
        return json_type(value)
    if not value:
        return "empty"
    if limit is not None and len(value) > limit:
        return "too long"
    return "holds characters that are not text" if unfit.search(value) else "not text"
