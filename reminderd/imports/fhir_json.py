"""Parse FHIR's JSON into the resources of a Bundle or of lines, and their elements; a wrong type is a mistake."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from attrs import frozen

from reminderd.core.imports import FileRefusedError
from reminderd.imports.table import MOST, check_size, decoded

Json = Mapping[str, Any]

EXPECTED: Final = "expected a FHIR Bundle of Appointment and Patient, or one resource on each line"

MOST_ELEMENTS: Final = 1_000
"""The longest list in a resource."""


@frozen
class Element:
    """A resource, or an element of one."""

    json: Json
    wrong: Callable[[str], None]
    """Called with each mistake."""

    def text(self, name: str) -> str:
        """Return a text in it; empty if it has none."""
        found = self.json.get(name, "")
        if isinstance(found, str):
            return found.strip()
        self.wrong(f"{name}: no text; expected one in quotes")
        return ""

    def truth(self, name: str) -> bool | None:
        """Return whether a value in it is true or false; None if neither."""
        found = self.json.get(name)
        if found is None or isinstance(found, bool):
            return found
        self.wrong(f"{name}: neither true nor false; expected one of them")
        return None

    def one(self, name: str) -> "Element":
        """Return an element inside it; an empty one if there is none."""
        found = self.json.get(name, {})
        if isinstance(found, dict):
            return Element(found, self._inside(name))
        self.wrong(f"{name}: no element; expected one in braces")
        return Element({}, self.wrong)

    def several(self, name: str, *, most: int = MOST_ELEMENTS) -> "Sequence[Element]":
        """Return a list of elements inside it; an empty one if there is none."""
        found = self.json.get(name, [])
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            self.wrong(f"{name}: no list of elements; expected them in brackets")
            return []
        if len(found) > most:
            self.wrong(f"{name}: more than {most:,} elements; expected at most that")
            return []
        return [Element(each, self._inside(name)) for each in found]

    def _inside(self, name: str) -> Callable[[str], None]:
        """Return a function that records a mistake in an element of this name, with its place."""
        return lambda mistake: self.wrong(f"{name}.{mistake}")


def resources(lines: Iterable[bytes], encoding: str | None) -> Iterator[tuple[Json | str, str]]:
    """Yield every resource of a file with its `fullUrl`, which may be empty; or a mistake instead.

    Each Bundle comes before its entries. See `decoded` for the encoding.

    Raises:
        FileRefusedError: The file can't be read as a whole.
    """
    source = iter(lines)
    first = next((line for line in source if line.strip()), b"")
    try:
        document = _parsed(decoded(first, encoding))
    except ValueError:
        document = _document(chain([first], source), encoding)
    yield from _unpacked(document)
    for number, line in enumerate(source, 2):
        if not line.strip():
            continue
        try:
            document = _parsed(decoded(line, encoding))
        except ValueError as error:
            yield f"JSON: line {number}: {error}; expected one resource", ""
        else:
            yield from _unpacked(document)


def _document(lines: Iterable[bytes], encoding: str | None) -> Any:  # noqa: ANN401 - any JSON
    """Return the JSON of a whole file."""
    content = bytearray()
    for line in lines:
        content += line
        check_size(len(content))
    if not content.strip():
        raise FileRefusedError(f"it is empty; {EXPECTED}")
    try:
        return _parsed(decoded(bytes(content), encoding))
    except ValueError as error:
        raise FileRefusedError(f"it is no JSON, or not all of it: {error}; {EXPECTED}") from error


def _parsed(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the value of a JSON text.

    Raises:
        ValueError: it is no JSON; the message has nothing of its contents.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _unique(pairs: Sequence[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _unpacked(document: Any) -> Iterator[tuple[Json | str, str]]:  # noqa: ANN401 - any JSON
    """Yield the resource that a document is, and the resources in it if it is a Bundle."""
    if not isinstance(document, dict) or not isinstance(document.get("resourceType"), str):
        raise FileRefusedError(f"it has something that is no FHIR resource; {EXPECTED}")
    if document["resourceType"] == "OperationOutcome":
        _check_outcome(document)
    yield document, ""
    entries = _entries(document) if document["resourceType"] == "Bundle" else []
    for number, entry in enumerate(entries, 1):
        resource, url = entry.get("resource"), entry.get("fullUrl", "")
        if not isinstance(resource, dict) or not isinstance(url, str):
            yield f"Bundle.entry: entry {number} has no resource; expected one", ""
            continue
        if resource.get("resourceType") == "Bundle":
            raise FileRefusedError("it has a Bundle inside a Bundle; expected one Bundle, or one on each line")
        if resource.get("resourceType") == "OperationOutcome":
            _check_outcome(resource)
        yield resource, url


def _entries(bundle: Json) -> Sequence[Json]:
    """Return the entries of a Bundle.

    Raises:
        FileRefusedError: Entries are missing.
    """
    mistakes: list[str] = []
    whole = Element(bundle, mistakes.append)
    entries, links = whole.several("entry", most=10 * MOST), whole.several("link")
    if mistakes:
        raise FileRefusedError(f"Bundle.{mistakes[0]}")
    if any(link.json.get("relation") == "next" for link in links):
        raise FileRefusedError("it is one page of several; expected all in one, by a larger _count or a bulk export")
    total = bundle.get("total")
    modes = [entry.one("search").json.get("mode", "match") for entry in entries]
    if type(total) is int and total > modes.count("match"):
        raise FileRefusedError("its total is larger than what it has, so a part may be missing; expected all")
    return [entry.json for entry in entries]


def _check_outcome(outcome: Json) -> None:
    """Check that a server does not report an error instead of results."""
    issues = outcome.get("issue")
    found = [issue.get("severity") for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []
    if "error" in found or "fatal" in found:
        raise FileRefusedError("the server reported an error instead of all results; expected an export without errors")


def concept_text(found: Any) -> str:  # noqa: ANN401 - any JSON
    """Return the text of a CodeableConcept, or of a list with just one; empty if there is no text, or more than one."""
    if isinstance(found, list):
        return concept_text(found[0]) if len(found) == 1 and isinstance(found[0], dict) else ""
    if not isinstance(found, dict):
        return ""
    listed = found.get("coding")
    codings = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    words = [found.get("text"), *(each.get("display") for each in codings), *(each.get("code") for each in codings)]
    return next((word.strip() for word in words if isinstance(word, str) and word.strip()), "")
