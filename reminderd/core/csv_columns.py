"""Which column of a clinic's table holds what: by its header, in four languages, and never by guessing between two."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import frozen

FIELDS: Final = (
    "phone_number",
    "message",
    "template",
    "appointment_at",
    "scheduled_at",
    "date",
    "time",
    "ref",
    "expires_at",
    "timezone",
)
"""What a column can be; `date` and `time` together are `scheduled_at`."""

_NAMES: Final[Mapping[str, str]] = {
    "phone_number": """
        phone, phone number, phone no, telephone, telephone number, tel, tel no, mobile, mobile phone, mobile number,
        cell, cell phone, cellphone number, contact number, number to call,
        Telefon, Telefonnummer, Tel.-Nr., Telefon-Nr., Handy, Handynummer, Handy-Nr., Mobil, Mobilnummer, Mobiltelefon,
        Rufnummer, Mobilfunknummer,
        teléfono, número de teléfono, núm. de teléfono, móvil, teléfono móvil, celular, número de móvil,
        téléphone, numéro de téléphone, n° de téléphone, portable, tél, téléphone portable, téléphone mobile""",
    "message": """
        message, text, message text, reminder text, body, words, script,
        Nachricht, Nachrichtentext, Mitteilung, Ansage, Ansagetext, Erinnerungstext,
        mensaje, texto, texto del mensaje,
        texte, message vocal, texte du message""",
    "template": """
        kind, message kind, kind of message, message type, reminder type, reminder kind, template, message template,
        Nachrichtenart, Ansageart, Art der Nachricht, Vorlage,
        tipo de mensaje, plantilla,
        type de message, modèle""",
    "appointment_at": """
        appointment at, appointment time, appointment date, appointment date and time,
        Terminzeit, Termin am, Termin um,
        fecha de la cita, fecha y hora de la cita,
        date du rendez-vous, date et heure du rendez-vous""",
    "scheduled_at": """
        at, scheduled, scheduled at, scheduled time, schedule, when, call at, call time, ring at, remind at,
        reminder time, due, due at, date time, date and time, datetime, timestamp,
        Termin, Zeitpunkt, Anrufzeit, Anruf am, Erinnerung am, geplant, geplant am, fällig, fällig am, wann,
        Datum und Uhrzeit, Datum/Uhrzeit, Datum Zeit,
        fecha y hora, fecha/hora, programado, programada, cuándo,
        date et heure, date/heure, prévu, prévu le, quand, rendez-vous""",
    "date": """
        date, call date, reminder date, scheduled date, day,
        Datum, Tag, Anrufdatum, Erinnerungsdatum,
        fecha, día, fecha de llamada,
        jour, date d'appel, date du rappel""",
    "time": """
        time, time of day, hour, clock time,
        Uhrzeit, Zeit,
        hora, hora de llamada,
        heure, heure d'appel, heure du rappel""",
    "ref": """
        ref, reference, id, external id, appointment, appointment id, appointment no, appointment number, booking,
        booking id, booking number, case number,
        Referenz, Terminnummer, Termin-Nr., Termin-ID, Buchungsnummer, Vorgangsnummer, Kennung,
        referencia, número de cita, id de la cita, id cita,
        référence, numéro de rendez-vous, id rendez-vous, n° de rendez-vous""",
    "expires_at": """
        expires, expires at, expiry, expiration, not after, latest, until, valid until,
        gültig bis, spätestens, Ablauf, läuft ab, läuft ab am, nicht nach, Frist,
        caduca, vence, válido hasta, hasta, expira,
        expire, expire le, valable jusqu'au, jusqu'à, au plus tard, échéance""",
    "timezone": """
        timezone, time zone, zone, tz,
        Zeitzone,
        zona horaria, huso horario,
        fuseau horaire, fuseau""",
}
_UNSAID: Final = re.compile(r"[\W_]+")
_DIGITS: Final = re.compile(r"\d{4,}")


def plain(name: str) -> str:
    """A header without case, accents, spaces and punctuation."""
    folded = unicodedata.normalize("NFKD", name.casefold())
    return _UNSAID.sub("", "".join(c for c in folded if not unicodedata.combining(c)))


_KNOWN: Final = {
    plain(name): field
    for field, names in _NAMES.items()
    for name in (field, *(part.strip() for part in names.split(",")))
}


def field_of(name: str) -> str | None:
    """Which of `FIELDS` a header names; None: none that we know."""
    return _KNOWN.get(plain(name))


class ColumnsError(Exception):
    """The columns can't be told apart, or one is missing; `mistakes` has a line for each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


@frozen
class Columns:
    """Where the fields are, and what else is there."""

    places: Mapping[str, tuple[int, ...]]
    """The columns of each field, from 0; more than one are put together with a space between: a date and a time."""
    ignored: tuple[str, ...]

    def text(self, field: str, cells: Sequence[str]) -> str:
        """What a row says in a field; empty if there is no such column or the row ends before it."""
        places = self.places.get(field, ())
        if len(places) == 1:  # nearly always, and asked for every cell
            place = places[0]
            return cells[place] if place < len(cells) else ""
        return " ".join([cells[place] for place in places if place < len(cells)]) if places else ""


def columns_of(header: Sequence[str], chosen: Mapping[str, str]) -> Columns:
    """Find the fields in a header; `chosen` names the header of a field and overrules.

    Raises:
        ColumnsError: One is missing, or more than one fit.
    """
    mistakes: list[str] = []
    found: dict[str, list[int]] = {field: [] for field in FIELDS}
    for field, name in chosen.items():
        found[field] = _named(header, name)
        if not found[field]:
            mistakes.append(f'{field}: there is no column "{name}"')
    taken = {place for field in chosen for place in found[field]}
    for place, name in enumerate(header):
        known = field_of(name)
        if known is not None and known not in chosen and place not in taken:
            found[known].append(place)
    mistakes += [
        f"{field}: {len(places)} columns fit, {_listed(header[place] for place in places)};"
        f" expected one, or --map {field}=HEADER"
        for field, places in found.items()
        if len(places) > 1
    ]
    when = _when(found, chosen)
    if len(when) > 1:
        names = _listed(header[place] for way in when for place in way)
        mistakes.append(
            f"scheduled_at: more than one way to read it, {names}; expected one, or --map scheduled_at=HEADER"
        )
    places = {field: tuple(found[field]) for field in FIELDS if found[field] and field not in {"date", "time"}}
    places |= {"scheduled_at": when[0]} if when else {}
    mistakes += [
        f"{field}: no column; expected a header like {example}, or --map {field}=HEADER"
        for field, example in (
            ("phone_number", "phone"),
            ("message", "message, or template"),
            ("scheduled_at", "at, or date and time"),
        )
        if field not in places and field not in chosen and not (field == "message" and "template" in places)
    ]
    if mistakes:
        raise ColumnsError([*mistakes, f"found: {_listed(header)}"])
    used = {place for field in places.values() for place in field}
    return Columns(places, tuple(name for place, name in enumerate(header) if place not in used))


def _named(header: Sequence[str], name: str) -> list[int]:
    """The columns with exactly this header, else those that differ in case and punctuation only."""
    exact = [place for place, other in enumerate(header) if other.strip() == name.strip()]
    return exact or [place for place, other in enumerate(header) if plain(other) == plain(name) != ""]


def _when(found: Mapping[str, Sequence[int]], chosen: Mapping[str, str]) -> list[tuple[int, ...]]:
    """Each way in which the columns say when to ring; a date or a time alone may hold both."""
    whole = tuple(found["scheduled_at"][:1])
    parts = (*found["date"][:1], *found["time"][:1])
    if "scheduled_at" in chosen:
        parts = ()
    elif chosen.keys() & {"date", "time"}:
        whole = ()
    return [way for way in (whole, parts) if way]


def _listed(names: Iterable[str]) -> str:
    """Headers as they are shown: short, and without long numbers, as a file without a header begins with a patient."""
    return ", ".join(f'"{_DIGITS.sub("…", name.strip())[:40]}"' for name in names) or "nothing"
