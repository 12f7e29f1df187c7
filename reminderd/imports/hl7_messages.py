"""Take HL7 v2 apart: a file into messages, and a message into fields.

The library `hl7` splits a message. Framing of MLLP and headers of batches may be around messages.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import hl7
from attrs import define, field, frozen
from hl7.util import unescape

from reminderd.imports.records import check_count, quoted
from reminderd.imports.table import UnreadableError

_ENCODINGS: Final[Mapping[str, str]] = {
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "8859/1": "cp1252",  # a superset in which what is called Latin 1 is nearly always written
    "8859/2": "iso8859-2",
    "8859/5": "iso8859-5",
    "8859/7": "iso8859-7",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
}
"""The character sets of MSH-18 (table 0211) that are read."""

_BEGIN_FRAME, _END_FRAME = b"\x0b", b"\x1c"
"""Framing of MLLP."""
_TRAILERS: Final = {b"FHS": b"FTS", b"BHS": b"BTS"}
"""The headers of files and batches, each with what ends it."""
_AROUND: Final = frozenset({*_TRAILERS, *_TRAILERS.values()})
_FRAME: Final = (_BEGIN_FRAME, _END_FRAME)
_LINE_ENDS: Final = re.compile(rb"\r\n|\r|\n")
_NEEDED: Final = (b"MSH", b"SCH", b"TQ1", b"PID", b"AIL", b"AIP")
_LONGEST: Final = 1 << 16
"""Bytes of the segments that are needed of one message; what comes with them, like a document, may be longer."""

_MSH: Final = re.compile(r"MSH([^\w\s])([^\w\s]{4,5})\1", re.ASCII)
_SEGMENT: Final = re.compile(rb"[A-Z][A-Z0-9]{2}(?=[^\w\s]|$)")
_ESCAPE: Final = re.compile(r"[FSTREHN]|\.br|X(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e])+", re.ASCII)
_COUNT: Final = re.compile(rb"\d{1,9}")


@define
class RawMessage:
    """A message as it is in its file."""

    segments: list[bytes]
    is_cut: bool = False
    """Whether its frame has no end."""


@frozen
class Hl7Message:
    """A message in segments and fields."""

    parsed: hl7.Message
    component: str
    repetition: str
    subcomponent: str
    escape: str

    def count(self, segment: str) -> int:
        """Return how often a segment is there."""
        return len(self._segments(segment))

    def field(self, segment: str, number: int, place: int = 0) -> str:
        """Return a field as it is written; empty: it is not there, or says that it has no value."""
        segments = self._segments(segment)
        if place >= len(segments) or number >= len(segments[place]):
            return ""
        text = str(segments[place][number]).strip()
        return "" if text == '""' else text

    def repetitions(self, segment: str, number: int) -> Sequence[str]:
        """Return the repetitions of a field that have anything in them."""
        return [each for each in self.field(segment, number).split(self.repetition) if each.strip()]

    def part(self, text: str, number: int) -> str:
        """Return a component of a field's repetition, from 1: its first part, without escapes.

        Raises:
            ValueError: it has an escape that can't be read.
        """
        parts = text.split(self.component)
        part = parts[number - 1].split(self.subcomponent)[0].strip() if number <= len(parts) else ""
        escapes = part.split(self.escape)[1::2]
        if part.count(self.escape) % 2 or not all(_ESCAPE.fullmatch(each) for each in escapes):
            raise ValueError("an escape in it can't be read; expected one like \\T\\")
        return "" if part == '""' else str(unescape(self.parsed, part, {"H": "", "N": ""})).strip()

    def _segments(self, name: str) -> Sequence[hl7.Segment]:
        return [segment for segment in self.parsed if str(segment[0]) == name]


def messages_of(content: bytes) -> Sequence[RawMessage]:
    """Return the messages of a file.

    Raises:
        UnreadableError: It has something else, or is not whole.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise UnreadableError("it is empty; expected HL7 messages")
    for frame in (_BEGIN_FRAME, _END_FRAME):
        content = content.replace(frame, b"\r" + frame + b"\r")
    file = _MessageFile()
    for line in _LINE_ENDS.split(content):
        if line.strip(b" \t"):
            file.add(line)
    file.end()
    return file.messages


@define
class _MessageFile:
    """A file that is being read, line by line."""

    messages: list[RawMessage] = field(factory=list)
    _trailers: list[tuple[bytes, int]] = field(factory=list)
    """What has to come, and how many messages were before its header."""
    _is_framed: bool = False
    _is_open: bool = False
    """Whether a segment belongs to the last message."""

    def add(self, line: bytes) -> None:
        """Read a line that is not empty."""
        name = line[:3]
        is_segment = name == b"MSH" or (self._is_open and name not in _AROUND and line not in _FRAME)
        if name == b"MSH":
            check_count(len(self.messages) + 1)
            self.messages.append(RawMessage([]))
        if is_segment:
            self.messages[-1].segments.append(line)
        elif name in _TRAILERS:
            self._trailers.append((_TRAILERS[name], len(self.messages)))
        elif name in _AROUND:
            self._check_trailer(line)
        elif line in _FRAME:
            self._note_cut(is_cut=self._is_framed and line == _BEGIN_FRAME)
            self._is_framed = line == _BEGIN_FRAME
        else:
            where = f"after message {len(self.messages)}" if self.messages else "at its beginning"
            raise UnreadableError(f"it has something {where} that is no HL7 message; expected MSH")
        self._is_open = is_segment

    def end(self) -> None:
        """Check that it is whole."""
        if self._trailers:
            missing = self._trailers[-1][0].decode()
            raise UnreadableError(f"it ends before {missing}, so a part may be missing; expected all of it")
        self._note_cut(is_cut=self._is_framed)

    def _note_cut(self, *, is_cut: bool) -> None:
        if is_cut and self.messages:
            self.messages[-1].is_cut = True

    def _check_trailer(self, line: bytes) -> None:
        """Check that a trailer ends what was begun, and counts its messages right."""
        name, before = self._trailers.pop() if self._trailers else (b"", 0)
        if line[:3] != name:
            raise UnreadableError(f"{line[:3].decode()} ends what did not begin; expected a whole file")
        count, found = line[4:].split(line[3:4] or b"|")[0].strip(), len(self.messages) - before
        if name == b"BTS" and _COUNT.fullmatch(count) and int(count) != found:
            raise UnreadableError(f"BTS counts {int(count)} messages, and its batch has {found}; expected all of them")


def parsed(raw: RawMessage, encoding: str | None) -> Hl7Message:
    """Return a message in segments and fields, without those segments that are not needed.

    Raises:
        ValueError: it can't be read.
    """
    if any(_SEGMENT.match(segment) is None for segment in raw.segments):
        raise ValueError("message: a line of it is no segment; expected lines like PID|1|")
    needed = b"\r".join(segment for segment in raw.segments if segment.startswith(_NEEDED))
    if len(needed) > _LONGEST:
        raise ValueError(f"message: longer than {_LONGEST >> 10} KiB; expected less")
    text = needed.decode(_encoding(raw.segments[0], needed, encoding), "replace")
    found = _MSH.match(text)
    if found is None or len(set(found[2])) < len(found[2]) or found[1] in found[2]:
        raise ValueError("MSH: its separators can't be read; expected it to begin like MSH|^~\\&|")
    try:
        message = hl7.parse(text)
    except (hl7.exceptions.HL7Exception, ValueError, LookupError) as error:
        raise ValueError("message: it can't be read; expected segments and fields of HL7 v2") from error
    component, repetition, escape, subcomponent = tuple(found[2])[:4]
    return Hl7Message(message, component, repetition, subcomponent, escape)


def _encoding(header: bytes, content: bytes, named: str | None) -> str:
    """Return the encoding of a message.

    Raises:
        ValueError: it is not known.
    """
    if named is not None:
        return named
    fields = header.split(header[3:4] or b"|")
    character_sets = fields[17].decode("ascii", "replace").strip() if len(fields) > 17 else ""
    repetition = fields[1][1:2].decode("ascii", "replace") if len(fields) > 1 else ""
    name = character_sets.split(repetition)[0] if repetition else character_sets
    if name:
        if name.upper() not in _ENCODINGS:
            raise ValueError(f"MSH-18: the character set {quoted(name)} is not read; expected one like UNICODE UTF-8")
        return _ENCODINGS[name.upper()]
    try:
        content.decode()
    except ValueError as error:
        raise ValueError(
            "MSH-18: no character set, and letters that are not UTF-8; expected it there, or --encoding with its name"
        ) from error
    return "utf-8"
