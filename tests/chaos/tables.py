"""Write tables as clinics export them: what a clinic means, in its own columns, date formats and encoding.

The moment and the number of a line are known before it is written, so the program's own reading takes no part in what
is expected.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from attrs import frozen

from tests.support.builders import DAY, MINUTE

BERLIN: Final = ZoneInfo("Europe/Berlin")


@frozen(kw_only=True)
class Line:
    """The meaning of a line, and what somebody has spoiled in it."""

    name: str
    phone_number: str
    message: str
    at: datetime
    """The time to call, in whole minutes."""
    until: datetime | None = None
    """The time from which no call starts anymore, in whole minutes; None for the clinic's limit."""
    timezone: str | None = None
    """The patient's time zone, if the table has it; then all times of the line are local there."""
    has_ref: bool = True
    is_called_off: bool = False
    spoiled: str | None = None
    """What was spoiled, one of `SPOILED`, so that the line must be refused; None if nothing was."""


@frozen(kw_only=True)
class Shape:
    """How a clinic's software writes a table."""

    language: str = "en"
    style: str = "iso"
    """The date format, one of `STYLES`."""
    zone: ZoneInfo = BERLIN
    """The clinic's time zone."""
    delimiter: str = ","
    encoding: str = "utf-8"
    above: int = 0
    """The number of rows above the header."""
    phones: str = "one"
    """"one" column, or two, of which either the first or only the second is filled."""
    proves_order: bool = True
    """Whether a line shows if dates are day first."""
    turned: int = 0
    """By how many places the columns are rotated."""


LANGUAGES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "ref": "Appointment ID",
        "patient": "Patient",
        "mobile": "Mobile phone",
        "home": "Home phone",
        "message": "Message",
        "at": "Call at",
        "date": "Call date",
        "time": "Call time",
        "until": "Not after",
        "timezone": "Time zone",
        "status": "Status",
        "stands": "Confirmed",
        "called off": "Cancelled by patient",
    },
    "de": {
        "ref": "Terminnummer",
        "patient": "Patientin",
        "mobile": "Handy-Nr.",
        "home": "Festnetz",
        "message": "Ansagetext",
        "at": "Anrufzeitpunkt",
        "date": "Anrufdatum",
        "time": "Anrufzeit",
        "until": "gültig bis",
        "timezone": "Zeitzone",
        "status": "Terminstatus",
        "stands": "bestätigt",
        "called off": "Abgesagt",
    },
    "es": {
        "ref": "Número de cita",
        "patient": "Paciente",
        "mobile": "Móvil",
        "home": "Teléfono fijo",
        "message": "Mensaje",
        "at": "Llamar el",
        "date": "Fecha de llamada",
        "time": "Hora de llamada",
        "until": "Válido hasta",
        "timezone": "Zona horaria",
        "status": "Estado",
        "stands": "pendiente",
        "called off": "ANULADA",
    },
    "fr": {
        "ref": "N° de rendez-vous",
        "patient": "Nom",
        "mobile": "Portable",
        "home": "Téléphone fixe",
        "message": "Texte",
        "at": "Appeler le",
        "date": "Date d'appel",
        "time": "Heure d'appel",
        "until": "Au plus tard",
        "timezone": "Fuseau horaire",
        "status": "Statut",
        "stands": "confirmé",
        "called off": "annulé",
    },
}

_MONTHS: Final[Mapping[str, str]] = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY_ZERO: Final = date(1899, 12, 30)
"""The first day that spreadsheets count."""


def _named(language: str) -> Callable[[datetime], str]:
    """Return a function that writes a date with its month's name in a language."""

    def write(at: datetime) -> str:
        month = _MONTHS[language].split()[at.month - 1]
        match language:
            case "en":
                return f"{month} {at.day}, {at.year} {at:%I:%M %p}"
            case "de":
                return f"{at.day}. {month} {at.year} um {at:%H:%M} Uhr"
            case "es":
                return f"{at.day} de {month} de {at.year} {at:%H:%M}"
            case _:
                return f"{at.day} {month} {at.year} à {at:%Hh%M}"

    return write


def _slot(at: datetime) -> str:
    end = at + 15 * MINUTE
    return f"{at:%H:%M} - {end:%H:%M}" if end.date() == at.date() else f"{at:%H:%M}"


STYLES: Final[Mapping[str, tuple[Callable[[datetime], str], ...]]] = {
    "iso": (lambda at: f"{at:%Y-%m-%d %H:%M}",),
    "iso with seconds": (lambda at: f"{at:%Y-%m-%dT%H:%M:%S}",),
    "offset": (lambda at: at.isoformat(timespec="minutes"),),
    "utc": (lambda at: f"{at.astimezone(ZoneInfo('UTC')):%Y-%m-%dT%H:%MZ}",),
    "dots": (lambda at: f"{at:%d.%m.%Y %H:%M}",),
    "short year": (lambda at: f"{at.day}.{at.month}.{at:%y} {at:%H.%M}",),
    "day first": (lambda at: f"{at:%d/%m/%Y %H:%M}",),
    "month first": (lambda at: f"{at.month}/{at.day}/{at.year} {at:%I:%M %p}",),
    "weekday": (lambda at: f"{_WEEKDAYS[at.weekday()]}, {_named('en')(at)}",),
    "slot": (lambda at: f"{at:%Y-%m-%d} {_slot(at)}",),
    **{f"named in {language}": (_named(language),) for language in _MONTHS},
    "two columns": (lambda at: f"{at:%Y-%m-%d}", lambda at: f"{at:%H:%M}"),
    "two columns, slots": (lambda at: f"{at:%d.%m.%Y}", _slot),
    "two columns, day first": (lambda at: f"{at:%d/%m/%Y}", lambda at: f"{at:%H:%M}"),
    "two columns, month first": (lambda at: f"{at:%m/%d/%Y}", lambda at: f"{at:%I:%M %p}"),
}
"""The ways to write a local time, in one column or in two."""

_SKIPPED: Final = {"Europe/Berlin": "2026-03-29 02:30", "America/New_York": "2026-03-08 02:30"}
"""A local time that does not exist in each zone, as the clock is set forward then."""

_TIMES: Final[Mapping[str, Callable[[datetime], str]]] = {
    "an offset that no place has": lambda at: f"{at:%Y-%m-%dT%H:%M}+01:37",
    "a slot that may be an offset": lambda at: f"{at:%Y-%m-%d} 09:00-09:30",
    "midnight": lambda at: f"{at:%Y-%m-%d} 00:00",
    "a date alone": lambda at: f"{at:%Y-%m-%d}",
    "a spreadsheet's number": lambda at: f"{(at.date() - _DAY_ZERO).days}.6667",
    "another weekday": lambda at: f"{_WEEKDAYS[(at.weekday() + 1) % 7]}, {_named('en')(at)}",
    "an hour alone": lambda at: f"{at:%Y-%m-%d} 16",
    "no such day": lambda at: f"{at:%Y}-02-30 10:00",
    "an hour that there is not": lambda at: _SKIPPED.get(str(at.tzinfo), f"{at:%Y-%m-%d} 25:30"),
    "no time": lambda _at: "",
}
SPOILED_PHONES: Final[Mapping[str, Callable[[str], str]]] = {
    "an extension": lambda phone: f"{phone} ext. 5",
    "a short extension": lambda phone: f"{phone}x12",
    "two numbers": lambda phone: f"{phone} / {phone[:-1]}9",
    "words": lambda _phone: "ask her mother",
    "a digit too few": lambda phone: phone[:-1],
    "a spreadsheet's exponent": lambda phone: f"{phone[1]}.{phone[2:6]}E+10",
}
_STATUSES: Final = {"an unclear status": "Rescheduled", "a question": "?"}

CHOICES: Final[Mapping[str, Sequence[Any]]] = {
    "language": sorted(LANGUAGES),
    "style": sorted(STYLES),
    "zone": (BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata"), ZoneInfo("UTC")),
    "delimiter": (",", ";", "\t", "|"),
    "encoding": ("utf-8", "utf-8-sig", "utf-16", "cp1252"),
    "above": (0, 1, 2),
    "phones": ("one", "first of two", "second of two"),
    "proves_order": (True, True, True, False),
    "turned": range(10),
}
"""The possible values of each attribute of a shape."""

SPOILED: Final[tuple[str, ...]] = (*_TIMES, *SPOILED_PHONES, *_STATUSES)
"""What can be spoiled in a line, so that it must be refused."""


def spelled(phone_number: str, which: int) -> str:
    """Return a number as people write it."""
    country, area, first, last = phone_number[:2], phone_number[2:5], phone_number[5:8], phone_number[8:]
    spellings = (
        phone_number,
        f"{country} {area} {first} {last}",
        f"{country} ({area}) {first}-{last}",
        f"{country}.{area}.{first}.{last}",
    )
    return spellings[which % len(spellings)]


def is_refused(line: Line, shape: Shape) -> bool:
    """Return whether a line must be refused, whatever the other lines show."""
    if line.spoiled in _STATUSES:
        return True
    if line.is_called_off:  # a cancellation needs only its `ref`; but if it has a number, it must be readable
        spoils = SPOILED_PHONES.get(line.spoiled or "")
        return spoils is not None and any(map(str.isdigit, spoils(line.phone_number)))
    is_midnight = line.at.astimezone(zone_of(line, shape.zone)).time() == time(0) and shape.style not in {
        "offset",
        "utc",
    }
    return is_midnight or line.spoiled is not None


def zone_of(line: Line, zone: ZoneInfo) -> ZoneInfo:
    """Return the time zone of a line's local times; `zone` is the clinic's."""
    return zone if line.timezone is None else ZoneInfo(line.timezone)


def rendered(lines: Sequence[Line], shape: Shape) -> bytes:
    """Return a table with these lines; `number_of` returns the line number of each in the file."""
    words = LANGUAGES[shape.language]
    title = [f"Praxis am Markt{shape.delimiter}"] if shape.above else []
    more = [""] * max(shape.above - 1, 0)
    rows = [_cells(line, shape, place) for place, line in enumerate(lines)]
    if shape.proves_order:
        rows.append(_proof(lines, shape))
    header = [words[one] for one in rows[0]]
    turned = shape.turned % len(header)
    cells = [header, *(list(row.values()) for row in rows)]
    text = [shape.delimiter.join(_quoted(cell) for cell in (*row[turned:], *row[:turned])) for row in cells]
    return "\r\n".join([*title, *more, *text, ""]).encode(shape.encoding)


def number_of(place: int, shape: Shape) -> int:
    """Return the number of a line in the file."""
    return shape.above + 2 + place


def _cells(line: Line, shape: Shape, which: int) -> dict[str, str]:
    words, zone = LANGUAGES[shape.language], zone_of(line, shape.zone)
    local = line.at.astimezone(zone)
    spoils = SPOILED_PHONES.get(line.spoiled or "")
    phone = spelled(line.phone_number, which) if spoils is None else spoils(line.phone_number)
    status = words["called off" if line.is_called_off else "stands"]
    cells = {"ref": line.name, "patient": "Müller, Zoé"}
    match shape.phones:
        case "one":
            cells["mobile"] = phone
        case "first of two":
            cells |= {"mobile": phone, "home": "+49 30 123456"}
        case _:
            cells |= {"mobile": " - " if which % 2 else "", "home": phone}
    cells["message"] = line.message
    times = [write(local) for write in STYLES[shape.style]]
    unclear = _TIMES.get(line.spoiled or "")
    if unclear is not None:
        times = [unclear(local), *("" for _ in times[1:])]
    cells |= dict(zip(("at",) if len(times) == 1 else ("date", "time"), times, strict=True))
    cells["until"] = "" if line.until is None else f"{line.until.astimezone(zone):%Y-%m-%d %H:%M}"
    cells["timezone"] = line.timezone or ""
    return cells | {"status": _STATUSES.get(line.spoiled or "", status)}


def _proof(lines: Sequence[Line], shape: Shape) -> dict[str, str]:
    """Return a line that calls nobody, and whose date can be read in only one order."""
    line = lines[0]
    late = line.at.astimezone(shape.zone).replace(day=25, hour=10) + 400 * DAY
    while late.day <= 12:
        late += timedelta(days=1)
    proof = Line(name="proof", phone_number=line.phone_number, message="x", at=late, spoiled="words")
    return _cells(proof, shape, 0)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(one in cell for one in ',;|\t"') else cell
