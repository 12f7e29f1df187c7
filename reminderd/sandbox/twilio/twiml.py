"""Reads TwiML: the verbs that the sandbox plays, with every attribute that Twilio documents for key presses.

What Twilio would only warn of becomes a complaint, and the rest of the document is played all the same.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias
from xml.etree import ElementTree as ET

from attrs import frozen


@frozen
class Say:
    """Say a text, so many times."""

    text: str
    loop: int


@frozen
class Pause:
    """Keep silent for so many seconds."""

    length: int


@frozen(kw_only=True)
class Gather:
    """Wait for keys, speaking meanwhile."""

    prompts: tuple[Say | Pause, ...]
    action: str
    """Who is told of the keys; empty: whoever gave this document."""
    method: str
    only_one: bool
    """Whether the first key is told at once."""
    timeout: int
    """Seconds of silence after which no key is expected any more."""
    even_if_empty: bool
    """Whether silence is told, too, instead of going on with the next verb."""


@frozen
class Redirect:
    """Go on with another document."""

    url: str
    method: str


@frozen
class Hangup:
    """End the call."""


Verb: TypeAlias = Say | Pause | Gather | Redirect | Hangup


@frozen(kw_only=True)
class Document:
    """What to do, in this order, and what Twilio would complain of."""

    verbs: tuple[Verb, ...]
    complaints: tuple[str, ...]


class TwimlError(Exception):
    """There is nothing to play; `code` is Twilio's."""

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
    """The document that answered a webhook.

    Raises:
        TwimlError: it is none.
    """
    if content_type.partition(";")[0].strip().lower() not in _XML:
        raise TwimlError(12300, f"Invalid Content-Type: expected {' or '.join(_XML)}")
    if len(body) > _BYTES_LIMIT:
        raise TwimlError(11750, "TwiML response body too large")
    try:
        root = ET.fromstring(body)  # noqa: S314 - from whom we ring for, and expat bounds what entities unfold to
    except (ET.ParseError, LookupError, ValueError) as error:  # the latter two: an encoding of its own
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
            complaints.append(f"12200: {parent.tag}: {element.tag} is no verb here, or none that the sandbox plays")
            continue
        verb = _verb(element, complaints)
        if verb is not None:
            yield verb


def _verb(element: ET.Element, complaints: list[str]) -> Verb | None:
    given = _attributes(element, complaints)
    if element.tag == "Gather":
        return Gather(
            prompts=tuple(
                verb for verb in _verbs(element, ("Say", "Pause"), complaints) if isinstance(verb, Say | Pause)
            ),
            action=given.get("action", ""),
            method=given.get("method", "POST"),
            only_one=given.get("numDigits") == "1",
            timeout=int(given.get("timeout", "5")),
            even_if_empty=given.get("actionOnEmptyResult") == "true",
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
            return Say(text, int(given.get("loop", "1")))
        case "Pause":
            return Pause(int(given.get("length", "1")))
        case "Redirect":
            return Redirect(text, given.get("method", "POST"))
        case _:
            return Hangup()


def _attributes(element: ET.Element, complaints: list[str]) -> Mapping[str, str]:
    """Those that are documented and make sense."""
    known = _ATTRIBUTES[element.tag]
    sound = {name: value for name, value in element.items() if name in known and known[name].fullmatch(value)}
    complaints += [f"12200: {element.tag}: {name}={value!r}" for name, value in element.items() if name not in sound]
    return sound
