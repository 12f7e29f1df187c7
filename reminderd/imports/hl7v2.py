"""Read HL7 v2 scheduling messages (SIU): each has the new state of one appointment, and the last message counts."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import hl7
from attrs import define, field, frozen
from hl7.util import unescape

from reminderd.core.imports import FileRefusedError
from reminderd.core.tables.words import PHONES, row_status_of
from reminderd.imports.table import (
    MESSAGE_UNIT,
    RECORD_FIELDS,
    Record,
    Table,
    check_count,
    check_size,
    language_of,
    quoted,
    table_of,
)

_ENCODINGS: Final[Mapping[str, str]] = {
    "ASCII": "ascii",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "8859/1": "cp1252",  # a superset that most texts labeled Latin 1 really use
    "8859/2": "iso8859-2",
    "8859/5": "iso8859-5",
    "8859/7": "iso8859-7",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
}
"""The character sets of MSH-18 (table 0211) that are read."""

_BEGIN_FRAME, _END_FRAME = b"\x0b", b"\x1c"
"""The bytes of MLLP's frames."""
_TRAILERS: Final = {b"FHS": b"FTS", b"BHS": b"BTS"}
"""The headers of files and batches, each with its trailer."""
_AROUND: Final = frozenset({*_TRAILERS, *_TRAILERS.values()})
_FRAME: Final = (_BEGIN_FRAME, _END_FRAME)
_LINE_ENDS: Final = re.compile(rb"\r\n|\r|\n")
_NEEDED: Final = (b"MSH", b"SCH", b"TQ1", b"PID", b"AIL", b"AIP")
_LONGEST: Final = 1 << 16
"""The most bytes of the needed segments of one message; other segments, such as a document, may be longer."""

_MSH: Final = re.compile(r"MSH([^\w\s])([^\w\s]{4,5})\1", re.ASCII)
_SEGMENT: Final = re.compile(rb"[A-Z][A-Z0-9]{2}(?=[^\w\s]|$)")
_ESCAPE: Final = re.compile(r"[FSTREHN]|\.br|X(?:[2-6][0-9A-Fa-f]|7[0-9A-Ea-e])+", re.ASCII)
_COUNT: Final = re.compile(rb"\d{1,9}")


@define
class RawMessage:
    """A message as it is in its file."""

    segments: list[bytes]
    is_cut: bool = False
    """Whether the end of its frame, or of its last segment, is missing."""


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
        """Return a field as it is written; empty if it is missing, or states that it has no value."""
        segments = self._segments(segment)
        if place >= len(segments) or number >= len(segments[place]):
            return ""
        text = str(segments[place][number]).strip()
        return "" if text == '""' else text

    def first(self, segment: str, number: int, *parts: int, place: int = 0) -> str:
        """Return the first of these parts of a field that is not empty, see `part`; empty if all are."""
        text = self.field(segment, number, place)
        return next(filter(None, (self.part(text, part) for part in parts)), "")

    def repetitions(self, segment: str, number: int) -> Sequence[str]:
        """Return the repetitions of a field that are not empty."""
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
        FileRefusedError: It has other contents, or is cut off.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise FileRefusedError("it is empty; expected HL7 messages")
    for frame in (_BEGIN_FRAME, _END_FRAME):
        content = content.replace(frame, b"\r" + frame + b"\r")
    file = _MessageFile()
    for line in _LINE_ENDS.split(content):
        if line.strip(b" \t"):
            file.add(line)
    file.end(has_line_end=content.endswith((b"\r", b"\n")))
    return file.messages


_ENDED: Final = (b"MSH", b"SCH", b"TQ1", b"PID")
"""Segments that identify the appointment and the number. In a whole message, other segments follow them."""
_NAMES: Final = (b"AIL", b"AIP")
"""Segments with a name that is spoken, in their third field. They may be the last segments."""


@define
class _MessageFile:
    """A file that is being read, line by line."""

    messages: list[RawMessage] = field(factory=list)
    _trailers: list[tuple[bytes, int]] = field(factory=list)
    """Each expected trailer, and how many messages came before its header."""
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
            raise FileRefusedError(f"it has something {where} that is no HL7 message; expected MSH")
        self._is_open = is_segment

    def end(self, *, has_line_end: bool) -> None:
        """Check that the file is not cut off."""
        if self._trailers:
            missing = self._trailers[-1][0].decode()
            raise FileRefusedError(f"it ends before {missing}, so a part may be missing; expected all of it")
        # A part of a ref or a number may be another patient's. Some programs leave out the last line end, though.
        last = self.messages[-1].segments[-1] if self._is_open and not has_line_end else b""
        self._note_cut(is_cut=self._is_framed or last.startswith(_ENDED))
        if last.startswith(_NAMES) and last.count(last[3:4]) <= 3:
            self.messages[-1].segments[-1] = last[:3]  # nobody should hear a part of a name

    def _note_cut(self, *, is_cut: bool) -> None:
        if is_cut and self.messages:
            self.messages[-1].is_cut = True

    def _check_trailer(self, line: bytes) -> None:
        """Check that a trailer belongs to the last header, and has the right number of messages."""
        name, before = self._trailers.pop() if self._trailers else (b"", 0)
        if line[:3] != name:
            raise FileRefusedError(f"{line[:3].decode()} ends what did not begin; expected a whole file")
        count, found = line[4:].split(line[3:4] or b"|")[0].strip(), len(self.messages) - before
        if name == b"BTS" and _COUNT.fullmatch(count) and int(count) != found:
            raise FileRefusedError(f"BTS counts {int(count)} messages, and its batch has {found}; expected all of them")


def parsed(raw: RawMessage, encoding: str | None) -> Hl7Message:
    """Return a message in segments and fields, without segments that are not needed.

    Raises:
        ValueError: it can't be read.
    """
    if any(_SEGMENT.match(segment) is None for segment in raw.segments):
        raise ValueError("message: a line of it is no segment; expected lines like PID|1|")
    needed = b"\r".join(segment for segment in raw.segments if segment.startswith(_NEEDED))
    if len(needed) > _LONGEST:
        raise ValueError(f"message: longer than {_LONGEST >> 10} KiB; expected at most that")
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


_TRIGGERS: Final[Mapping[str, str]] = {
    "S12": "",
    "S13": "",
    "S14": "",
    "S15": "cancelled",
    "S17": "deleted",
    "S26": "no show",
}
"""The events that are read, each with the status that it means; empty if SCH-25 has the status."""

_TIME: Final = re.compile(r"(?P<day>\d{8})(?:(?P<clock>\d{4}(?:\d\d(?:\.\d{1,4})?)?)(?P<offset>[+-]\d{4})?)?", re.ASCII)
_COUNTRY_CODE: Final = re.compile(r"\+?[1-9]\d{0,2}", re.ASCII)
_NO_PHONE: Final = frozenset({"NET", "BPN", "EMR", "ASN", "VHN", "FX", "FAX", "MD", "BP", "TDD", "TTY"} | {"INTERNET"})
"""Uses (table 0201) and equipment (0202) that are no phone, or not the patient's: mail, a pager, an emergency contact,
an answering service, a vacation home, a fax, a modem, a teletype."""
_MOBILE: Final = frozenset({"CP", "CELL", "MOBILE", "SAT", "PRS", "M"})
_USES: Final = {"PRN": "home_phone", "H": "home_phone", "HOME": "home_phone", "ORN": "phone"} | {
    "WPN": "work_phone",
    "W": "work_phone",
    "WORK": "work_phone",
}
_PLAIN_EQUIPMENT: Final = frozenset({"", "PH", "PHONE"})
_PHONE_FIELDS: Final = {13: "home_phone", 14: "work_phone", 40: "phone"}
"""Fields of PID, each with our field for a number without a known use."""


def read(content: bytes, encoding: str | None) -> Table:
    """Return the table of a file. Without an encoding, its messages have that of MSH-18, or ASCII or UTF-8.

    Raises:
        FileRefusedError: It can't be read as a whole.
    """
    check_size(len(content))
    records = []
    for number, raw in enumerate(messages_of(content), 1):
        record = Record(number, version=(number,))
        _fill(record, raw, encoding)
        records.append(record)
    return table_of(records, RECORD_FIELDS, MESSAGE_UNIT, "HL7 v2")


def _fill(record: Record, raw: RawMessage, encoding: str | None) -> None:
    """Fill the fields of a record from a message."""
    if raw.is_cut:
        record.add_mistake("message: it has no end, so a part may be missing; expected a whole message", always=True)
    try:
        message = parsed(raw, encoding)
        record.put("ref", _ref(message))
        trigger = _trigger(message)
    except ValueError as error:
        record.add_mistake(f"{error}", always=True)
        return
    for name, value in (
        ("status", _status),
        ("appointment_at", _start),
        ("appointment_type", _type),
        ("place", _place),
        ("provider", _provider),
    ):
        try:
            record.put(name, value(message))
        except ValueError as error:
            record.add_mistake(f"{name}: {error}")
    if _TRIGGERS[trigger]:
        record.put("status", _TRIGGERS[trigger])
    _fill_patient(record, message)


def _trigger(message: Hl7Message) -> str:
    """Return what happened to the appointment, like S12.

    Raises:
        ValueError: messages of this type are not read.
    """
    kind, trigger = message.first("MSH", 9, 1), message.first("MSH", 9, 2)
    if kind != "SIU" or trigger not in _TRIGGERS:
        shown = quoted(f"{kind}^{trigger}")
        raise ValueError(f"MSH-9: {shown} is not read; expected SIU with one of {', '.join(_TRIGGERS)}")
    if message.first("MSH", 11, 1) not in {"P", ""}:
        raise ValueError("MSH-11: not a message of production, but for training or tests; expected P")
    if message.count("SCH") != 1:
        raise ValueError(f"SCH: {message.count('SCH') or 'no'} segments; expected one")
    return trigger


def _ref(message: Hl7Message) -> str:
    """Return the name of the appointment, with the number of its occurrence if it has one."""
    name = message.first("SCH", 2, 1) or message.first("SCH", 1, 1)
    occurrence = message.first("SCH", 3, 1)
    return f"{name}/{occurrence}" if name and occurrence else name


def _status(message: Hl7Message) -> str:
    """Return the first known word of SCH-25, or its first word."""
    words = [word for word in (message.first("SCH", 25, 1), message.first("SCH", 25, 2)) if word]
    known = {row_status_of(word): word for word in reversed(words) if row_status_of(word) is not None}
    if len(known) > 1:
        raise ValueError("SCH-25: its code and its text contradict each other; expected one of them")
    return next(iter(known.values()), words[0] if words else "")


def _start(message: Hl7Message) -> str:
    """Return when the appointment begins, in ISO 8601; local to the clinic if it has no offset."""
    times = [message.part(each, 4) for each in message.repetitions("SCH", 11)]
    if not any(times):
        times = [message.first("TQ1", 7, 1, place=place) for place in range(message.count("TQ1"))]
    starts = {time for time in times if time}
    if len(starts) != 1:
        raise ValueError(f"{len(starts) or 'no'} times in SCH-11.4 or TQ1-7; expected one")
    found = _TIME.fullmatch(starts.pop())
    if found is None:
        raise ValueError("SCH-11.4 is not a time; expected one like 202703011600")
    day, clock, offset = found["day"], found["clock"], found["offset"]
    if clock is None:
        raise ValueError("a day without a time of day; expected a time like 202703011600")
    local = f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:6] or '00'}"
    return f"{local}{offset[:3]}:{offset[3:]}" if offset else local


def _type(message: Hl7Message) -> str:
    """Return the type of SCH-8: its text, or its code, in the clinic's own catalog or in another one."""
    return message.first("SCH", 8, 2, 1, 5, 4)


def _place(message: Hl7Message) -> str:
    """Return the place of AIL: its description, facility or point of care; empty if there are several."""
    names = {message.first("AIL", 3, 9, 4, 1, place=place) for place in range(message.count("AIL"))}
    return names.pop() if len(names) == 1 else ""


def _provider(message: Hl7Message) -> str:
    """Return the person of AIP; empty if there are several."""
    fields = [message.field("AIP", 3, place) for place in range(message.count("AIP"))]
    names = {" ".join(filter(None, (message.part(field, number) for number in (6, 3, 2)))) for field in fields}
    return names.pop() if len(names) == 1 else ""


def _fill_patient(record: Record, message: Hl7Message) -> None:
    """Fill the patient's fields of a record from a message."""
    if message.count("PID") != 1:
        record.add_mistake(f"PID: {message.count('PID') or 'no'} patients; expected one")
        return
    for name, number, parts in (("patient_ref", 3, (1,)), ("name", 5, (2, 1)), ("language", 15, (1, 2))):
        first = next(iter(message.repetitions("PID", number)), "")
        try:
            texts = [message.part(first, part) for part in parts]
        except ValueError as error:
            record.add_mistake(f"PID-{number}: {error}")
        else:
            record.put(name, language_of(texts) if name == "language" else " ".join(filter(None, texts)))
    if message.field("PID", 30).upper() == "Y":
        record.put("status", "deceased")
    _fill_phones(record, message)


def _fill_phones(record: Record, message: Hl7Message) -> None:
    """Read the phone numbers of the patient."""
    is_unknown = False
    for number, usual in _PHONE_FIELDS.items():
        for each in message.repetitions("PID", number):
            try:
                role, written = _phone(message, each, usual)
            except ValueError as error:
                record.add_mistake(f"PID-{number}: {error}")
                continue
            is_unknown |= not role
            if written and role and not record[role]:
                record.put(role, written)
    if not any(record[role] for role in PHONES):
        why = ", as their use is unknown" if is_unknown else ""
        record.add_mistake(f"phone_number: none in PID-13 and PID-14{why}; expected a phone of the patient")


def _phone(message: Hl7Message, text: str, usual: str) -> tuple[str, str]:
    """Return our field for an extended telecommunication number (XTN), empty if unknown, and the number.

    Raises:
        ValueError: it may be more than one number.
    """
    use, equipment = message.part(text, 2).upper(), message.part(text, 3).upper()
    if use in _NO_PHONE or equipment in _NO_PHONE:
        return usual, ""
    role = _USES.get(use, "") if use else usual
    if equipment in _MOBILE or (use in _MOBILE and equipment in _PLAIN_EQUIPMENT):
        role = "mobile"
    elif equipment not in _PLAIN_EQUIPMENT:
        role = ""
    return role, _number(message, text)


def _number(message: Hl7Message, text: str) -> str:
    """Return the number of an XTN as it is dialed, whether it is written whole or in parts; empty if it has none."""
    if message.subcomponent in text:
        raise ValueError("subcomponents in a phone number; expected one number")
    whole = message.part(text, 1) or message.part(text, 12)
    code, area, local, extension = (message.part(text, number) for number in (5, 6, 7, 8))
    parts = f"({area}) {local}" if area else local
    if not whole or (local and _digits(parts) != _digits(whole) and _digits(parts).endswith(_digits(whole))):
        whole = parts
    elif local and not _digits(whole).endswith(_digits(parts).lstrip("0")):
        raise ValueError("two different numbers in one repetition; expected one")
    if whole and code and not whole.startswith(("+", "00")):
        if not _COUNTRY_CODE.fullmatch(code):
            raise ValueError(f"{quoted(code)} is no country code; expected one like 1 or 49")
        code = code.removeprefix("+")
        is_whole = local and _digits(whole) == f"{code}{_digits(parts)}"
        whole = f"+{_digits(whole)}" if is_whole else f"+{code} {whole}"
    return f"{whole} x{extension}" if whole and extension else whole


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdecimal())
