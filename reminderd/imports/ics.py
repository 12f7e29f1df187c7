"""Read iCalendar files (RFC 5545): an entry is an appointment; the clinic defines where its number and name are.

The library `icalendar` splits content lines. Components and times are read here: it would read a time of an
unknown zone as a local one, and reject a whole file for one bad entry.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final
from urllib.parse import unquote

from attrs import define, field, frozen
from icalendar.parser import Contentline
from icalendar.parser.property import split_on_unescaped_comma, unescape_backslash
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from reminderd.core.imports import FileRefusedError
from reminderd.core.phone import with_plain_digits
from reminderd.core.schedule.time_zones import known_zone
from reminderd.core.tables.columns import ColumnsError
from reminderd.imports.table import Record, Table, check_count, decoded, naming_file, quoted, table_of, titled

_USUAL: Final = {
    "ref": "UID",
    "appointment_at": "DTSTART",
    "status": "STATUS",
    "appointment_type": "CATEGORIES",
    "place": "LOCATION",
}
"""The default places of fields."""

_TIMES: Final = frozenset({"appointment_at", "appointment_date", "appointment_time", "scheduled_at", "date", "time"})
_ALWAYS_NEEDED: Final = frozenset({"UID", "DTSTART", "STATUS", "SUMMARY", "SEQUENCE", "DTSTAMP"} | {"RECURRENCE-ID"})
_RECURRING: Final = frozenset({"RRULE", "RDATE"})
_MAY_REPEAT: Final = frozenset({"ATTENDEE", "CATEGORIES", "CONTACT", "COMMENT"}) | _RECURRING
_ADDRESSES: Final = frozenset({"ATTENDEE", "ORGANIZER"})
"""Properties whose value is an address. Their name is in their parameter CN: `ATTENDEE/CN`."""

_NAME: Final = re.compile(r"([A-Za-z0-9-]{1,100})[:;]")
_PLACE: Final = re.compile(r"([A-Za-z0-9-]{1,100})(?:/(.{1,100}))?")
_TIME: Final = re.compile(r"\d{8}T\d{6}(Z?)", re.ASCII)
_DAY: Final = re.compile(r"\d{8}", re.ASCII)
_STAMP: Final = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SEQUENCE: Final = re.compile(r"\d{1,9}", re.ASCII)
_CATALOG: Final = re.compile(r"/[^/]+/(?:\d[^/]*/)?([A-Z][A-Za-z_]+/.+)")
"""A zone in another program's catalog, like `/freeassociation.sourceforge.net/Europe/Berlin`."""
_UTC: Final = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT"})
_CALLED_OFF: Final = re.compile(r"(?:cancell?ed|abgesagt|cancelad[oa]|annulée?)\s*:", re.IGNORECASE)
"""How Outlook begins the subject of a cancelled meeting, in the sender's language."""
_STATEMENTS: Final = frozenset({"", "PUBLISH", "REQUEST", "CANCEL"})
"""Methods of a calendar that states facts; other methods are questions and answers between people."""
_PHONE_PLACES: Final = (
    "expected --map phone_number=PROPERTY, like DESCRIPTION, or DESCRIPTION/Phone for its line that begins with"
    ' "Phone:", or CONTACT, or X-PHONE, or ATTENDEE for its tel: address'
)


@frozen
class _Property:
    value: str
    """As it is written, with its escapes."""
    parameters: Mapping[str, str]

    @property
    def text(self) -> str:
        return str(unescape_backslash(self.value)).strip()


@define
class _Entry:
    """A VEVENT, with the properties that are needed."""

    properties: dict[str, list[_Property]] = field(factory=dict)
    mistakes: list[str] = field(factory=list)

    def one(self, name: str) -> _Property:
        """Return the property of this name; an empty one if there is none."""
        return self.properties.get(name, _NO_PROPERTIES)[0]


_NO_PROPERTIES: Final = [_Property("", {})]


@define
class _Calendar:
    """A VCALENDAR."""

    method: str = ""
    entries: list[_Entry] = field(factory=list)
    offsets: dict[str, set[str]] = field(factory=dict)
    """The offsets from UTC, like `-0500`, of each zone that it defines."""


def read(files: Sequence[tuple[str, Callable[[], bytes]]], chosen: Mapping[str, str], encoding: str | None) -> Table:
    """Return the table of some files.

    Args:
        files: for each, its name in a folder, or an empty name, and a function that returns its content.
        chosen: the property of a field, instead of the default; empty if there is none. With a label, like
            `DESCRIPTION/Phone`, the field is the property's line that begins with the label and a colon.
        encoding: see `decoded`.

    Raises:
        FileRefusedError: A file can't be read as a whole.
        ColumnsError: It is not known which property has the number, or a chosen property can't have the field.
    """
    places = _places(chosen)
    needed = _ALWAYS_NEEDED | _RECURRING | {place.partition("/")[0].upper() for place in places.values()}
    records: list[Record] = []
    for name, content in files:
        with naming_file(name):
            for calendar in _calendars(decoded(content(), encoding), needed):
                for entry in calendar.entries:
                    record = Record(len(records) + 1, {"file": name})
                    _fill(record, entry, calendar, places)
                    records.append(record)
                check_count(len(records))
    # Use our own names except where a column was chosen, so that `--map` still finds it.
    fields = {name: chosen.get(name, "").strip() or _OUR_NAMES.get(name, name) for name in places}
    if files[0][0]:
        fields = {"file": "file"} | fields
    return table_of(records, fields, "entry", titled("iCalendar", files))


_OUR_NAMES: Final = {"status": "appointment_status"}
"""The headers of fields whose own names could mean something else there."""


def _places(chosen: Mapping[str, str]) -> Mapping[str, str]:
    """Return, for each field, the property that has it, with a label or without."""
    places = {name: place.strip() for name, place in (_USUAL | dict(chosen)).items() if place.strip()}
    mistakes = [
        f"{name}: {quoted(place)} is not a place in an entry; expected the name of a property, like DESCRIPTION"
        for name, place in places.items()
        if not _PLACE.fullmatch(place)
    ]
    mistakes += [
        f"{name}: the time of an entry is its appointment's, DTSTART; expected no column for it"
        for name in sorted(_TIMES & chosen.keys())
        if name != "appointment_at" or chosen[name].strip().upper() != "DTSTART"
    ]
    if "phone_number" not in places:
        mistakes.append(f"phone_number: iCalendar has no place of its own for it; {_PHONE_PLACES}")
    upper = [place.upper() for place in places.values()]
    mistakes += [
        f"{name}: another field is in {quoted(place)}, too; expected a place of its own"
        for name, place in places.items()
        if upper.count(place.upper()) > 1 and name in chosen
    ]
    if mistakes:
        raise ColumnsError(mistakes)
    return places


def _calendars(text: str, needed: frozenset[str]) -> Sequence[_Calendar]:
    """Return the calendars of a file.

    Raises:
        FileRefusedError: It is no calendar, or is cut off.
    """
    file = _CalendarFile(needed)
    for line in _lines(text):
        if line.strip():
            file.add(line)
    if file.begun or not text.strip():
        raise FileRefusedError("it ends before END:VCALENDAR, so a part may be missing; expected the whole file")
    return file.calendars


def _lines(text: str) -> Iterator[str]:
    """Yield each line as it was before folding. The library's own function needs many times a file's size."""
    begin, parts = 0, [""]
    while begin < len(text):
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        line = text[begin:end].removesuffix("\r")
        if line[:1] not in {" ", "\t"}:
            yield "".join(parts)
            parts = []
        parts.append(line[1:] if line[:1] in {" ", "\t"} else line)
        begin = end + 1
    yield "".join(parts)


@define
class _CalendarFile:
    """A file that is being read, line by line."""

    needed: frozenset[str]
    """Names of the properties of an entry to keep."""
    begun: list[str] = field(factory=list)
    """The components that have begun and have not ended."""
    calendars: list[_Calendar] = field(factory=list)
    _entries: int = 0
    _zone: str = ""

    def add(self, line: str) -> None:
        """Read a line."""
        found = _NAME.match(line)
        name = found[1].upper() if found else ""
        value = line[found.end() :].strip() if found else ""
        if name == "BEGIN":
            self._begin(value.upper())
        elif name == "END":
            self._end(value.upper())
        elif not self.begun:
            raise FileRefusedError("it does not begin with BEGIN:VCALENDAR; expected an iCalendar file")
        else:
            self._note(name, value, line)

    def _begin(self, component: str) -> None:
        if (component == "VCALENDAR") is bool(self.begun) or len(self.begun) > _DEEPEST:
            raise self._misplaced(f"BEGIN:{component}")
        self.begun.append(component)
        if component == "VCALENDAR":
            self.calendars.append(_Calendar())
        elif self.begun == ["VCALENDAR", "VEVENT"]:
            self._entries += 1
            check_count(self._entries)
            self.calendars[-1].entries.append(_Entry())
        elif component == "VEVENT":
            raise self._misplaced("BEGIN:VEVENT")

    def _end(self, component: str) -> None:
        if self.begun[-1:] != [component]:
            raise self._misplaced(f"END:{component}")
        self.begun.pop()

    def _misplaced(self, line: str) -> FileRefusedError:
        where = f"in or after entry {self._entries}" if self._entries else "before the first entry"
        known = line.partition(":")[2] in _COMPONENTS  # other names may be anything, and this text is logged
        what = line if known else f"a line that begins with {line.partition(':')[0]}"
        return FileRefusedError(f"{what} is in a wrong place, {where}; expected a whole iCalendar file")

    def _note(self, name: str, value: str, line: str) -> None:
        if self.begun == ["VCALENDAR", "VEVENT"]:
            _note(self.calendars[-1].entries[-1], name, line, self.needed)
        elif self.begun == ["VCALENDAR"] and name == "METHOD":
            self.calendars[-1].method = value.upper()
        elif self.begun == ["VCALENDAR", "VTIMEZONE"] and name == "TZID":
            self._zone = value
        elif self.begun[:2] == ["VCALENDAR", "VTIMEZONE"] and name == "TZOFFSETTO":
            self.calendars[-1].offsets.setdefault(self._zone, set()).add(value[:5])


_COMPONENTS: Final = frozenset(
    {"VCALENDAR", "VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "STANDARD", "DAYLIGHT", "VALARM"}
)
_MOST: Final = 500
"""The most properties of one name in an entry."""
_DEEPEST: Final = 10
"""The most components inside each other; real files have at most three."""


def _note(entry: _Entry, name: str, line: str, needed: frozenset[str]) -> None:
    """Keep a property of an entry if it is needed."""
    if not name:
        entry.mistakes.append(
            "entry: a line in it is not a property; expected NAME:VALUE, or a space before what continues"
        )
    known = entry.properties.get(name, [])
    if name not in needed or len(known) > _MOST:
        return
    try:
        _, parameters, value = Contentline(line).raw_parts()
    except ValueError:
        entry.mistakes.append(f"{name}: can't be read; expected a property like {name}:VALUE")
        return
    if known and name not in _MAY_REPEAT:
        entry.mistakes.append(f"{name}: twice in one entry; expected it once")
    if len(known) == _MOST:
        entry.mistakes.append(f"{name}: more than {_MOST} in one entry; expected at most {_MOST}")
    plain = {f"{key}".upper(): f"{each}" for key, each in parameters.items()}
    entry.properties.setdefault(name, []).append(_Property(value, plain))


def _fill(record: Record, entry: _Entry, calendar: _Calendar, places: Mapping[str, str]) -> None:
    """Fill the fields of a record from an entry."""
    for mistake in entry.mistakes:
        record.add_mistake(mistake, always=True)
    if calendar.method not in _STATEMENTS:
        record.add_mistake(
            f"METHOD: {quoted(calendar.method)} says nothing for sure; expected PUBLISH or CANCEL", always=True
        )
    if entry.properties.keys() & _RECURRING:
        record.add_mistake(
            "RRULE: a series, whose single appointments it does not list; expected an export of each of them, expanded",
            always=True,
        )
    sequence, stamp = entry.one("SEQUENCE").value or "0", entry.one("DTSTAMP").value
    if _SEQUENCE.fullmatch(sequence):
        record.version = (int(sequence), stamp if _STAMP.fullmatch(stamp) else "")
    for name, place in places.items():
        try:
            record.put(name, _cell(name, place, entry, calendar))
        except ValueError as error:
            record.add_mistake(f"{name}: {error}", always=name == "ref")


def _cell(name: str, place: str, entry: _Entry, calendar: _Calendar) -> str:
    """Return the value of a field in an entry.

    Raises:
        ValueError: it can't be understood for sure.
    """
    property_, _, label = place.partition("/")
    property_ = property_.upper()
    if name == "appointment_at":
        return _start(entry.one("DTSTART"), calendar)
    if name == "status":
        is_off = calendar.method == "CANCEL" or _CALLED_OFF.match(entry.one("SUMMARY").text)
        return "cancelled" if is_off else entry.one(property_).text.lower()
    if name == "phone_number" and property_ in _ADDRESSES:
        return _tel_address(entry.properties.get(property_, []), property_)
    text = _text(property_, entry)
    if label and property_ not in _ADDRESSES:
        text = _labeled(text, label) or ""
    if name == "phone_number":
        if not text:
            raise ValueError(f"none in {quoted(place)}; expected the patient's number there")
        return _tel(text) if _is_tel(text) else number_in(text)
    if name == "ref" and text:
        return _of_instance(text, entry)
    return text


def _of_instance(uid: str, entry: _Entry) -> str:
    """Return the name of one appointment: a series has one UID for all of them."""
    instance = entry.one("RECURRENCE-ID")
    if "RANGE" in instance.parameters:
        raise ValueError("RECURRENCE-ID with a RANGE means several appointments; expected each of them")
    return f"{uid}/{instance.text}" if instance.text else uid


def _text(property_: str, entry: _Entry) -> str:
    """Return the text of a property, or the name of the person that it stands for."""
    found = entry.properties.get(property_, [])
    if property_ in _ADDRESSES:  # of several people, the one with a phone
        found = [each for each in found if _is_tel(each.text)] or found
        return found[0].parameters.get("CN", "") if len(found) == 1 else ""
    if property_ == "CATEGORIES":  # of several: can't tell which
        texts = [unescape_backslash(text).strip() for each in found for text in split_on_unescaped_comma(each.value)]
        return texts[0] if len(texts) == 1 else ""
    return "\n".join(each.text for each in found)


def _tel_address(found: Sequence[_Property], property_: str) -> str:
    numbers = list(dict.fromkeys(_tel(each.text) for each in found if _is_tel(each.text)))
    if len(numbers) != 1:
        raise ValueError(f"{len(numbers)} tel: addresses in {property_}; expected one")
    return numbers[0]


def _is_tel(address: str) -> bool:
    return address[:4].lower() == "tel:"


def _tel(address: str) -> str:
    """Return the number of a tel: address (RFC 3966)."""
    number, _, parameters = address[4:].partition(";")
    if parameters:
        raise ValueError("a tel: address with an extension or a context; expected a number that is dialed as it is")
    return unquote(number)


_ONE_NUMBER: Final = "expected exactly one phone number in it"

_LONGEST_TEXT: Final = 20_000
"""The most characters of a text in which a number is searched."""

_NO_NUMBER: Final = re.compile(
    r"""\S{1,200}(?:://|@)\S* | \b\d{4}-\d\d-\d\d(?!\d) | \b\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d\d)(?!\d)
        | \b\d{1,2}:\d\d(?::\d\d)?(?!\d)""",
    re.VERBOSE | re.ASCII,
)
"""Texts with digits that are no phone number: a web or mail address, a date, a time of day."""
_DIGITS: Final = re.compile(r"[+(]{0,2}[0-9](?:[ \t\u00a0.()/\-\u2010-\u2015]{0,3}[0-9])*")
_FEWEST: Final = 7
"""The fewest digits of a phone number; a shorter number is that of a room or a house."""
_EXTENSION: Final = re.compile(
    r"[\s,;]{0,3}(?:x|ext(?:ension|\.)?|#|dw|durchwahl|poste)[\s.:]{0,3}[0-9]", re.IGNORECASE
)
_LONGEST_FAX: Final = 12
"""The characters before a number that may show that it is a fax number."""
_FAX: Final = re.compile(r"\b(?:tele)?fax\b[\s.:]{0,3}$", re.IGNORECASE)


def number_in(text: str) -> str:
    """Return the only phone number in a text, as it is written; it may occur twice.

    Any other long run of digits may be a phone number, too, so a text with both is refused.

    Raises:
        ValueError: it has none, or more than one; the message states what is expected, without the number.
    """
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"too long to search, more than {_LONGEST_TEXT:,} characters; {_ONE_NUMBER}")
    found: dict[str, str] = {}
    text = _NO_NUMBER.sub("; ", with_plain_digits(text))
    for match in _DIGITS.finditer(text):
        digits = re.sub("[^0-9]", "", match[0])
        if len(digits) < _FEWEST:
            continue
        if _FAX.search(text, max(0, match.start() - _LONGEST_FAX), match.start()):
            raise ValueError(f"a fax number in it; {_ONE_NUMBER}, and none of a fax")
        if _EXTENSION.match(text, match.end()):
            raise ValueError("a number with an extension, which can't be dialed; expected one that needs none")
        found.setdefault(digits, match[0])
    if not found:
        raise ValueError(f"no phone number in it; {_ONE_NUMBER}")
    if len(found) > 1:
        raise ValueError(f"more than one number in it; {_ONE_NUMBER}")
    return next(iter(found.values()))


def _labeled(text: str, label: str) -> str | None:
    """Return what follows a label and a colon at the beginning of a line of a text; None if no line has the label.

    Raises:
        ValueError: several lines have it, with different texts.
    """
    pairs = (line.partition(":") for line in text.splitlines())
    found = {value.strip() for name, colon, value in pairs if colon and name.strip().casefold() == label.casefold()}
    if len(found) > 1:
        raise ValueError(f'more than one line begins with "{label}:"; expected one')
    return next(iter(found), None)


def _start(start: _Property, calendar: _Calendar) -> str:
    """Return when an entry begins, in ISO 8601; in the clinic's local time if it has no zone.

    Raises:
        ValueError: it is a whole day, no time, or a time in an unknown zone.
    """
    if start.parameters.get("VALUE", "").upper() == "DATE" or _DAY.fullmatch(start.text):
        raise ValueError("a whole day; expected a time of day")
    found = _TIME.fullmatch(start.text)
    if found is None:
        raise ValueError("DTSTART is not a time; expected one like 20270301T160000")
    try:
        local = datetime.fromisoformat(start.text[:15])
    except ValueError as error:
        raise ValueError("no such day or hour; expected a time like 20270301T160000") from error
    name = start.parameters.get("TZID")
    if found[1] and name:
        raise ValueError("DTSTART has a TZID and ends with Z; expected one of the two")
    if found[1]:
        return f"{local.isoformat()}Z"
    if not name:
        return local.isoformat(" ")
    moment = local.replace(tzinfo=_zone(name))
    if moment.astimezone(UTC).astimezone(moment.tzinfo).replace(tzinfo=None) != local:
        raise ValueError(
            f"that local time does not exist in {quoted(name)}: the clock is put forward; use another time"
        )
    defined = calendar.offsets.get(name)
    if defined and f"{moment:%z}"[:5] not in defined:
        raise ValueError(f"TZID {quoted(name)} has other offsets in this file; expected the zone as it is known")
    return moment.isoformat()


def _zone(name: str) -> tzinfo:
    """Return a zone by its IANA name, or by its Windows name.

    Raises:
        ValueError: it is unknown.
    """
    catalog = _CATALOG.fullmatch(name)
    place = WINDOWS_TO_OLSON.get(name, catalog[1] if catalog else name)
    if place in _UTC:
        return UTC
    zone = known_zone(place)
    if zone is None:
        raise ValueError(f"TZID {quoted(name)} is not a known time zone; expected one like America/New_York")
    return zone
