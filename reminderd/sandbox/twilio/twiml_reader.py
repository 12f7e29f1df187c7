"""Read TwiML: the verbs that the sandbox simulates, with every attribute that Twilio documents for key presses.

Where Twilio would only warn, there is a complaint, and the rest of the document is played.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias
from xml.etree import ElementTree as ET

from attrs import frozen


@frozen
class Say:
    """Speaks a text, `loop` times."""

    text: str
    loop: int


@frozen
class Pause:
    """Is silent for some seconds."""

    length: int


@frozen(kw_only=True)
class Gather:
    """Waits for keys, speaking the prompts meanwhile."""

    prompts: tuple[Say | Pause, ...]
    action: str
    """The URL that receives the keys; empty for the URL of this document."""
    method: str
    only_one: bool
    """Whether the first key is sent at once."""
    timeout: int
    """Seconds without a key after which the wait ends."""
    even_if_empty: bool
    """Whether the URL is also requested without a key, instead of continuing with the next verb."""


@frozen
class Redirect:
    """Continues with another document."""

    url: str
    method: str


@frozen
class Hangup:
    """Ends the call."""


Verb: TypeAlias = Say | Pause | Gather | Redirect | Hangup


@frozen(kw_only=True)
class Document:
    """The verbs, in their order, and what Twilio would complain about."""

    verbs: tuple[Verb, ...]
    complaints: tuple[str, ...]


class TwimlError(Exception):
    """The document can't be played; `code` is Twilio's."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code


_BYTES_LIMIT: Final = 64 * 1024
_SAY_LIMIT: Final = 4_096
_XML: Final = ("text/xml", "application/xml")

_ANY: Final = re.compile(r".+", re.DOTALL)
_METHOD: Final = re.compile("GET|POST")
_NUMBER: Final = re.compile("[1-9][0-9]{0,3}")

_ATTRIBUTES: Final[Mapping[str, Mapping[str, re.Pattern[str]]]] = {
    "Say": {"voice": _ANY, "language": re.compile("[a-z]{2,3}(-[A-Za-z0-9]{2,4}){1,2}"), "loop": _NUMBER},
    "Pause": {"length": _NUMBER},
    "Gather": {
        "action": _ANY,
        "method": _METHOD,
        "numDigits": _NUMBER,
        "timeout": _NUMBER,
        "finishOnKey": re.compile("[*#]?"),
        "input": re.compile("dtmf"),
        "actionOnEmptyResult": re.compile("true|false"),
    },
    "Redirect": {"method": _METHOD},
    "Hangup": {},
}


def read_twiml(content_type: str, body: bytes) -> Document:
    """Return the document that answered a webhook.

    Raises:
        TwimlError: it is not one.
    """
    if content_type.partition(";")[0].strip().lower() not in _XML:
        raise TwimlError(12300, f"Invalid Content-Type: expected {' or '.join(_XML)}")
    if len(body) > _BYTES_LIMIT:
        raise TwimlError(11750, "TwiML response body too large")
    try:
        root = ET.fromstring(body)  # noqa: S314 - from our client, and expat limits the expansion of entities
    except (ET.ParseError, LookupError, ValueError) as error:  # the last two: from its encoding declaration
        raise TwimlError(12100, f"Document parse failure: {error}") from error
    if root.tag != "Response":
        raise TwimlError(12102, "The root element is not Response")
    complaints: list[str] = []
    verbs = tuple(_verbs(root, tuple(_ATTRIBUTES), complaints))
    return Document(verbs=verbs, complaints=tuple(complaints))


def _verbs(parent: ET.Element, allowed: tuple[str, ...], complaints: list[str]) -> Iterator[Verb]:
    if any(text and text.strip() for text in (parent.text, *(child.tail for child in parent))):
        complaints.append(f"12200: {parent.tag}: text between its verbs")
    for element in parent:
        if element.tag not in allowed:
            complaints.append(
                f"12200: {parent.tag}: {element.tag} is not a verb here, or the sandbox does not simulate it"
            )
            continue
        verb = _verb(element, complaints)
        if verb is not None:
            yield verb


def _verb(element: ET.Element, complaints: list[str]) -> Verb | None:
    attributes = _attributes(element, complaints)
    if element.tag == "Gather":
        return Gather(
            prompts=tuple(
                verb for verb in _verbs(element, ("Say", "Pause"), complaints) if isinstance(verb, Say | Pause)
            ),
            action=attributes.get("action", ""),
            method=attributes.get("method", "POST"),
            only_one=attributes.get("numDigits") == "1",
            timeout=int(attributes.get("timeout", "5")),
            even_if_empty=attributes.get("actionOnEmptyResult") == "true",
        )
    if len(element):
        complaints.append(f"12200: {element.tag}: an element inside it")
    text = (element.text or "").strip()
    if element.tag in {"Say", "Redirect"} and not text:
        complaints.append(f"12200: {element.tag}: no text")
        return None
    if element.tag in {"Pause", "Hangup"} and text:
        complaints.append(f"12200: {element.tag}: text inside it")
    match element.tag:
        case "Say":
            if len(text) > _SAY_LIMIT:
                complaints.append(f"13520: Say: longer than {_SAY_LIMIT} characters")
            return Say(text, int(attributes.get("loop", "1")))
        case "Pause":
            return Pause(int(attributes.get("length", "1")))
        case "Redirect":
            return Redirect(text, attributes.get("method", "POST"))
        case _:
            return Hangup()


def _attributes(element: ET.Element, complaints: list[str]) -> Mapping[str, str]:
    """Return the attributes that are documented and have a valid value."""
    known = _ATTRIBUTES[element.tag]
    valid = {name: value for name, value in element.items() if name in known and known[name].fullmatch(value)}
    complaints += [f"12200: {element.tag}: {name}={value!r}" for name, value in element.items() if name not in valid]
    return valid
