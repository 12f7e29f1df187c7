"""Read what a request brings: an object or a list of them, with the fields of their noun; every mistake is listed."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from attrs import frozen

from reminderd.web.replies import ProblemError

MOST_AT_ONCE: Final = 1_000

FIELD_NAME: Final = re.compile(r"[A-Za-z][A-Za-z_]{0,39}")
"""Names that may be repeated in an answer. Others may be a patient's number or a message in the wrong place."""


class Named(Protocol):
    """What one entry asks for."""

    @property
    def ref(self) -> str | None:
        """Return the clinic's own name for it."""

    @property
    def own_id(self) -> str:
        """Return its id if it has no `ref`."""


T = TypeVar("T", bound=Named)


@frozen(kw_only=True)
class Fields:
    """The fields of one entry; all of them are texts."""

    noun: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    either: tuple[str, str] | None = None
    """Two of the optional ones of which one is needed; None: there are no such."""

    @property
    def all(self) -> tuple[str, ...]:
        """Return every field."""
        return (*self.required, *self.optional)


def read_entries(
    body: bytes, fields: Fields, read: Callable[[Mapping[str, str]], T | list[str]]
) -> tuple[list[T], bool]:
    """Return what a request asks for, and whether it came as a list.

    Args:
        body: the request's.
        fields: which there are.
        read: returns what the texts of one entry ask for, or what is wrong with them, each as `field: what`.

    Raises:
        ProblemError: something in it is wrong; every mistake is listed.
    """
    document = document_in(body, "an object or a list of objects")
    is_list = isinstance(document, list)
    entries = document if isinstance(document, list) else [document]
    if not 0 < len(entries) <= MOST_AT_ONCE:
        raise ProblemError(400, f"{len(entries)} {fields.noun}s; expected 1 to {MOST_AT_ONCE} at a time")
    found = [_read(one, f"/{place}" if is_list else "", fields, read) for place, one in enumerate(entries)]
    errors = [error for _, wrong in found for error in wrong]
    requests = [one for one, _ in found if one is not None]
    errors += _duplicates(requests, fields.noun)
    if errors:
        raise ProblemError(400, "nothing was stored; errors lists every mistake", errors)
    return requests, is_list


def document_in(body: bytes, expected: str) -> object:
    """Return the JSON document in a body.

    Raises:
        ProblemError: it is none; says what is expected.
    """
    try:
        return json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise ProblemError(400, f"the body is not JSON; expected {expected}") from None


def _read(
    one: object, place: str, fields: Fields, read: Callable[[Mapping[str, str]], T | list[str]]
) -> tuple[T | None, list[tuple[str, str]]]:
    """Return what an entry asks for, and what is wrong with it."""
    if not isinstance(one, dict):
        return None, [(place, f"not an object; expected {'an' if fields.noun[0] in 'aeiou' else 'a'} {fields.noun}")]
    errors = list(_shape_errors(one, place, fields))
    request = read({name: value for name, value in one.items() if isinstance(value, str) and name in fields.all})
    if not isinstance(request, list):
        return (None if errors else request), errors
    named = {pointer for pointer, _ in errors}
    if f"{place}/template" in named:  # then nobody knows what the message would have been
        named.add(f"{place}/message")
    for mistake in request:
        field, _, sentence = mistake.partition(": ")
        if f"{place}/{field}" not in named:
            errors.append((f"{place}/{field}", sentence))
    return None, errors


def _shape_errors(one: Mapping[str, object], place: str, fields: Fields) -> Iterator[tuple[str, str]]:
    """Yield unknown, missing and mistyped fields."""
    for name in one:
        if name not in fields.all:
            pointer = f"{place}/{name}" if FIELD_NAME.fullmatch(name) else place
            what = "unknown" if pointer != place else "unknown field"
            yield pointer, f"{what}; expected only {', '.join(fields.all)}"
    for name in fields.required:
        if not isinstance(one.get(name), str):
            yield f"{place}/{name}", "missing; expected text" if one.get(name) is None else "not text; expected text"
    if fields.either is not None and all(one.get(name) is None for name in fields.either):
        yield f"{place}/{fields.either[0]}", f"missing; expected text, or a {fields.either[1]}"
    for name in fields.optional:
        if not isinstance(one.get(name), str | None):
            yield f"{place}/{name}", "not text; expected text, or nothing"


def _duplicates(requests: Sequence[Named], noun: str) -> Iterator[tuple[str, str]]:
    """Yield the place of each entry that the same request has already."""
    seen: set[str] = set()
    for place, one in enumerate(requests):
        name = one.ref or one.own_id
        if name in seen:
            yield f"/{place}", f"twice in this request; expected each ref, and each {noun} without a ref, once"
        seen.add(name)
