"""Reads the reminders in a request to the API: every mistake is listed, with its place in the JSON."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from reminderd.core.requests import Reading, ReminderRequest, RequestText, read_request
from reminderd.core.script.templates import Templates
from reminderd.web.replies import ProblemError

MOST_AT_ONCE: Final = 1_000

_REQUIRED: Final = ("phone_number", "scheduled_at")
_OPTIONAL: Final = ("message", "template", "appointment_at", "expires_at", "timezone", "ref")
_FIELD_NAME: Final = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
"""Names that may be repeated in an answer. Others may be a patient's number or a message in the wrong place."""


def read_requests(
    body: bytes, zone: ZoneInfo | None, templates: Templates, normalize: Callable[[str], str]
) -> tuple[list[ReminderRequest], bool]:
    """Return the reminders in a request, and whether they came as a list.

    Args:
        body: the request's.
        zone: the clinic's, for times without an offset; None: they are refused.
        templates: the clinic's.
        normalize: returns a phone number in its stored form, or raises ValueError.

    Raises:
        ProblemError: something in it is wrong; every mistake is listed.
    """
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise ProblemError(400, "the body is not JSON; expected an object or a list of objects") from None
    is_list = isinstance(document, list)
    entries = document if isinstance(document, list) else [document]
    if not 0 < len(entries) <= MOST_AT_ONCE:
        raise ProblemError(400, f"{len(entries)} reminders; expected 1 to {MOST_AT_ONCE} at a time")
    read = [_read(one, f"/{place}" if is_list else "", zone, templates, normalize) for place, one in enumerate(entries)]
    errors = [error for found in read if isinstance(found, list) for error in found]
    requests = [found for found in read if isinstance(found, ReminderRequest)]
    errors += _duplicates(requests)
    if errors:
        raise ProblemError(400, "nothing was stored; errors lists every mistake", errors)
    return requests, is_list


def _read(
    one: object, place: str, zone: ZoneInfo | None, templates: Templates, normalize: Callable[[str], str]
) -> ReminderRequest | list[tuple[str, str]]:
    if not isinstance(one, dict):
        return [(place, "not an object; expected a reminder")]
    errors = list(_shape_errors(one, place))
    texts = {name: value for name, value in one.items() if isinstance(value, str)}
    text = RequestText(
        phone_number=texts.get("phone_number", ""),
        message=texts.get("message"),
        scheduled_at=texts.get("scheduled_at", ""),
        expires_at=texts.get("expires_at"),
        timezone=texts.get("timezone"),
        ref=texts.get("ref"),
        template=texts.get("template"),
        appointment_at=texts.get("appointment_at"),
    )
    read = read_request(text, Reading(zone=zone, normalize=normalize, templates=templates))
    if isinstance(read, ReminderRequest):
        return errors or read
    named = {pointer for pointer, _ in errors}
    if f"{place}/template" in named:  # then nobody knows what the message would have been
        named.add(f"{place}/message")
    for mistake in read:
        field, _, sentence = mistake.partition(": ")
        if f"{place}/{field}" not in named:
            errors.append((f"{place}/{field}", sentence))
    return errors


def _shape_errors(one: Mapping[str, object], place: str) -> Iterator[tuple[str, str]]:
    """Yield unknown, missing and mistyped fields."""
    for name in one:
        if name not in (*_REQUIRED, *_OPTIONAL):
            pointer = f"{place}/{name}" if _FIELD_NAME.fullmatch(name) else place
            what = "unknown" if pointer != place else "unknown field"
            yield pointer, f"{what}; expected only {', '.join((*_REQUIRED, *_OPTIONAL))}"
    for name in _REQUIRED:
        if not isinstance(one.get(name), str):
            yield f"{place}/{name}", "missing; expected text" if one.get(name) is None else "not text; expected text"
    if one.get("message") is None and one.get("template") is None:
        yield f"{place}/message", "missing; expected text, or a template"
    for name in _OPTIONAL:
        if not isinstance(one.get(name), str | None):
            yield f"{place}/{name}", "not text; expected text, or nothing"


def _duplicates(requests: list[ReminderRequest]) -> Iterator[tuple[str, str]]:
    """Yield the place of each reminder that the same request has already."""
    seen: set[str] = set()
    for place, one in enumerate(requests):
        name = one.ref or one.own_id
        if name in seen:
            yield f"/{place}", "twice in this request; expected each ref, and each reminder without a ref, once"
        seen.add(name)
