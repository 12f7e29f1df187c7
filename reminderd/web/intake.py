"""The reminders that a request asks for: JSON read with suspicion, every mistake with its place."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from zoneinfo import ZoneInfo

from reminderd.core.requests import Reading, ReminderRequest, RequestText, read_request
from reminderd.core.script.templates import Templates
from reminderd.web.problems import ProblemError

MOST_AT_ONCE: Final = 1_000

_REQUIRED: Final = ("phone_number", "scheduled_at")
_OPTIONAL: Final = ("message", "template", "appointment_at", "expires_at", "timezone", "ref")
_FIELD_NAME: Final = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
"""What may be named in an answer. Anything else may be a patient's number or a message in the wrong place."""


def read_requests(
    body: bytes, zone: ZoneInfo | None, templates: Templates, normalise: Callable[[str], str]
) -> tuple[list[ReminderRequest], bool]:
    """What is asked for, and whether it came as a list.

    Args:
        body: of the request.
        zone: the clinic's, for times without an offset; None: they are refused.
        templates: the clinic's.
        normalise: returns a phone number in its stored form, or raises ValueError.

    Raises:
        ProblemError: it can't be taken; every mistake is listed.
    """
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise ProblemError(400, "the body is not JSON; expected an object or a list of objects") from None
    is_list = isinstance(document, list)
    asked = document if isinstance(document, list) else [document]
    if not 0 < len(asked) <= MOST_AT_ONCE:
        raise ProblemError(400, f"{len(asked)} reminders; expected 1 to {MOST_AT_ONCE} at a time")
    read = [_read(one, f"/{place}" if is_list else "", zone, templates, normalise) for place, one in enumerate(asked)]
    errors = [error for found in read if isinstance(found, list) for error in found]
    requests = [found for found in read if isinstance(found, ReminderRequest)]
    errors += _doubled(requests)
    if errors:
        raise ProblemError(400, "nothing was stored; errors lists every mistake", errors)
    return requests, is_list


def _read(
    one: object, place: str, zone: ZoneInfo | None, templates: Templates, normalise: Callable[[str], str]
) -> ReminderRequest | list[tuple[str, str]]:
    if not isinstance(one, dict):
        return [(place, "not an object; expected a reminder")]
    found = [*_of_the_wrong_type(one, place)]
    if found:
        return found
    text = RequestText(
        phone_number=one["phone_number"],
        message=one.get("message"),
        scheduled_at=one["scheduled_at"],
        expires_at=one.get("expires_at"),
        timezone=one.get("timezone"),
        ref=one.get("ref"),
        template=one.get("template"),
        appointment_at=one.get("appointment_at"),
    )
    wanted = read_request(text, Reading(zone=zone, normalize=normalise, templates=templates))
    if isinstance(wanted, ReminderRequest):
        return wanted
    split = (mistake.partition(": ") for mistake in wanted)
    return [(f"{place}/{field}", sentence) for field, _, sentence in split]


def _of_the_wrong_type(one: Mapping[str, object], place: str) -> Iterator[tuple[str, str]]:
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


def _doubled(requests: list[ReminderRequest]) -> Iterator[tuple[str, str]]:
    """Reminders of one request that are one and the same, or would be."""
    seen: set[str] = set()
    for place, one in enumerate(requests):
        name = one.ref or one.own_id
        if name in seen:
            yield f"/{place}", "twice in this request; expected each ref, and each reminder without a ref, once"
        seen.add(name)
