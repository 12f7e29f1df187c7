"""Translate, piece by piece, what is wrong with a reminder, an appointment or a file.

One set of checks serves every way in, and writes `field: what; what is expected` in English. A page splits this and
looks up each piece; an unknown piece, as for files of FHIR or HL7, stays as it is.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from reminderd.desk.catalog import N_, Catalog

_BETWEEN: Final = "; "
_LONGEST: Final = 500
"""The longest piece that is looked up; a longer piece is mostly the file's own text."""
_PLACE: Final = re.compile(r"%\((\w+)\)s")
_UNITS: Final[Mapping[str, str]] = {
    "line": N_("line %(number)s"),
    "entry": N_("entry %(number)s"),
    "message": N_("message %(number)s"),
}
"""The units of rows, and how a row is named by its number."""
_OURS: Final = frozenset({"delimiter", "status", "unit"})
"""The places that are filled with our own words."""
_ROW: Final = re.compile(r"(line|entry|message) (\d+): (?:warning: )?")
_FIELD: Final = re.compile(r"([a-z_]+): ")

FIELDS: Final[Mapping[str, str]] = {
    "phone_number": N_("phone number"),
    "message": N_("message"),
    "template": N_("template"),
    "language": N_("language"),
    "timezone": N_("time zone"),
    "name": N_("patient's name"),
    "provider": N_("who the patient sees"),
    "place": N_("place"),
    "ref": N_("own name (ref)"),
    "patient_ref": N_("own name of the patient"),
    "type": N_("kind of appointment"),
    "appointment_type": N_("kind of appointment"),
    "at": N_("time of the appointment"),
    "appointment_at": N_("time of the appointment"),
    "scheduled_at": N_("time to call"),
    "expires_at": N_("no calls from"),
    "status": N_("status of the appointment"),
    "cells": N_("cells"),
    "quotes": N_("quotes"),
    "encoding": N_("encoding"),
}
"""The names of fields for people."""

PIECES: Final = (
    N_("missing"),
    N_("empty"),
    N_("expected one"),
    N_("expected a later time"),
    N_("not a name"),
    N_("expected a name"),
    N_("no letter or digit in it"),
    N_("a spreadsheet's error"),
    N_("not a note"),
    N_("expected 1 to %(most)s printable characters"),
    N_("%(number)s characters"),
    N_("expected at most %(most)s"),
    # phone numbers
    N_("no such number can exist"),
    N_("not a number as it is dialed in %(country)s"),
    N_("not a phone number"),
    N_("may be %(number)s different numbers"),
    N_("more than one number"),
    N_("has letters in it"),
    N_("has an extension, which can't be dialed"),
    N_("expected a number that reaches the patient directly"),
    N_("without country code, and [clinic].country is not set"),
    N_("expected a number that exists, with + and the country code"),
    N_("expected a number that exists, with + and the country code, or that key"),
    N_("the clinic's own number"),
    N_("expected the patient's"),
    N_("a premium-rate number"),
    N_("expected the patient's own"),
    N_("a number of %(country)s, and the clinic's own country is %(own)s"),
    N_("expected a number of that country%(more)s"),
    N_("a number of %(country)s, and [clinic].allowed_countries has %(allowed)s only"),
    N_("expected a number of one of these countries%(more)s"),
    N_("rounded by a spreadsheet, its digits are lost"),
    N_("expected the column formatted as text, and the number entered again"),
    N_("a spreadsheet's number with decimals"),
    N_("expected the column formatted as text"),
    # dates and times
    N_("not a time"),
    N_("expected YYYY-MM-DD HH:MM in local time, or with an offset"),
    N_("a spreadsheet's own number for a time"),
    N_("format the column as a date and time: expected YYYY-MM-DD HH:MM in local time, or with an offset"),
    N_("no such day or hour"),
    N_("day first or month first is not clear"),
    N_("an hour without minutes"),
    N_("expected a time like %(hour)s:00"),
    N_("%(day)s is another day of the week"),
    N_("expected the two to agree"),
    N_("the year %(year)s"),
    N_("expected one from %(first)s to %(last)s"),
    N_("that local time does not exist in %(zone)s"),
    N_("the clock is put forward: use another time"),
    N_("midnight, as a date without a time of day is saved"),
    N_("before the time to call"),
    N_("not after the time to call"),
    # time zones and languages
    N_("not a time zone"),
    N_("%(zone)s is not the time zone of a place"),
    N_("%(zone)s has no daylight saving time"),
    N_("expected a zone like %(zone)s"),
    N_("expected the tz database's name of a place, like America/New_York"),
    N_("not a language tag"),
    N_("not a known language"),
    N_('expected a language tag (BCP 47) like "es" or "pt-BR"'),
    # messages and templates
    N_("expected the text to be spoken"),
    N_("contains NUL or invalid characters"),
    N_("expected plain text"),
    N_("together with a message"),
    N_("expected one of the two"),
    N_("unknown"),
    N_("expected one of %(names)s"),
    N_("there are no templates in [messages.templates]"),
    N_("expected a message, or a template of this name there"),
    N_("expected the name of a template, or one for all in [reminders].template"),
    N_("expected the time that the template %(template)s mentions"),
    N_("expected the %(field)s that the template %(template)s mentions"),
    N_("expected text to be spoken"),
    N_("contains a line break or another control character"),
    N_("expected text on one line"),
    N_("contains a brace, a placeholder or markup"),
    N_("expected text as it is to be spoken"),
    N_("%(texts)s would be read aloud as it stands"),
    N_("expected the patient's own text"),
    N_("%(template)s is not written in %(language)s, so the whole call is in %(own)s"),
    N_("expected %(template)s in [messages.%(section)s.templates]"),
    N_("there are no texts in %(language)s, so the call is spoken by the voice for %(own)s"),
    N_("expected a section [messages.%(section)s]"),
    # the outcome
    N_("no calls are planned before appointments"),
    N_("set [reminders].before in the configuration, or give a time to call"),
    N_("too late"),
    N_("the appointment was at %(time)s"),
    N_("it was to be called before %(time)s"),
    N_("this number has opted out: it will not be called"),
    N_("tell the patient in another way"),
    N_("the calling hours leave no time to call before %(time)s, so it will expire"),
    N_("choose another time to call, or a later expiry"),
    N_("nobody will be called: %(piece)s"),
    N_('the call "%(cadence)s" is left out: it was booked too late for it'),
    N_('the call "%(cadence)s" is left out: there are no calling hours before the appointment'),
    N_("not the one that its ref had before"),
    N_("nobody is called until staff use reminderd accept, or cancel"),
    N_("phone number changed (%(source)s), the former one ended in %(digits)s: accept the new one, or cancel"),
    N_("not changed: the reminder is already %(status)s"),
    N_("not changed: it was called already and will be again"),
    N_("expected it unchanged, or another ref"),
    N_("its reminder is %(status)s, and will not be called"),
    N_("reminderd call-again %(id)s schedules it again"),
    N_("%(ref)s may be %(other)s, rewritten by a spreadsheet, as both have the same phone number"),
    N_("expected refs formatted as text, and one reminder for one appointment"),
    # tables
    N_("%(encoding)s, %(delimiter)s between cells"),
    N_("commas"),
    N_("semicolons"),
    N_("tabs"),
    N_("pipes"),
    N_("above the header: 1 row skipped"),
    N_("above the header: %(number)s rows skipped"),
    N_("more than the header has"),
    N_("they don't match"),
    N_("expected a cell in quotes to end with one, and a quote inside to be doubled"),
    N_("a letter can't be read, shown as \N{REPLACEMENT CHARACTER}"),
    N_("expected the letter"),
    N_("unknown word"),
    N_("no column"),
    N_("it is empty"),
    N_("expected a header and rows below it"),
    N_("it is an Excel workbook"),
    N_("expected CSV: in Excel, save it as CSV UTF-8"),
    N_("it is an OpenDocument spreadsheet"),
    N_("expected CSV: in LibreOffice, save it as Text CSV in UTF-8"),
    N_("it is a ZIP archive"),
    N_("expected the CSV file in it"),
    N_("it contains NUL bytes, so it is not text"),
    N_("expected CSV, saved as UTF-8"),
    N_("a part of it is UTF-8, and a part is not"),
    N_("line %(number)s has a letter that may be %(letters)s"),
    N_("line %(number)s has letters that may be of more than one alphabet"),
    N_("line %(number)s is a header with other columns"),
    N_("expected one table in a file"),
    N_("some dates are day first and some month first (%(lines)s)"),
    N_("some times have AM or PM (%(line)s) and some have neither (%(other_line)s)"),
    N_("expected all of them in one form"),
    N_("dates like that on %(line)s may be day first or month first"),
    N_("no %(unit)s decides"),
    N_("it has no row at all"),
    N_("expected a whole file, as it is a snapshot"),
    N_("%(missing)s of %(stored)s in its span would be cancelled, more than %(most)s"),
    N_("headers found: %(headers)s"),
    N_("%(number)s columns fit, %(names)s"),
    N_("more than one way to read it, %(names)s"),
    N_("no column for the time to call"),
    N_("no column for the time to call, only for the appointment's: %(names)s"),
    N_("no column for the time to call: %(names)s may be the appointment's"),
    N_("%(names)s is of a call, and the calls of appointments are planned"),
    N_("%(names)s may be your own unique name of each reminder, or something else"),
)
"""The sentences that pages show as the checks write them. Each half of a mistake is a separate sentence."""

SHOWN_INSTEAD: Final[Mapping[str, str]] = {
    "expected --encoding with its name, like windows-1252 or windows-1250, or a file saved as UTF-8": N_(
        "choose its encoding under “More”, or save the file as UTF-8"
    ),
    "expected --dates dmy or --dates mdy": N_("choose under “More” whether the day or the month is first"),
    "expected a header like %(example)s, or --map %(field)s=HEADER": N_(
        "expected a header like %(example)s, or a profile that names it"
    ),
    "expected one, or --map %(field)s=HEADER": N_("expected one such column, or a profile that names it"),
    "expected --map appointment_at=HEADER, or --map appointment_at= if it is none of them": N_(
        "expected one such column, or a profile that names it"
    ),
    "expected --map %(field)s= to ignore it, or a column for the time to call": N_(
        "expected a column for the time to call, or a file without this one"
    ),
    "expected [reminders].before in the configuration%(more)s, or --map scheduled_at=HEADER if there is one": N_(
        "add a column with the header “call at” and times like 2027-03-01 16:00, or ask the admin for a profile that"
        " names the column, or for [reminders].before in the configuration, by which calls are planned"
    ),
    "expected [reminders].before in the configuration%(more)s, or %(maps)s if that is the time to call": N_(
        "add a column with the header “call at” and times like 2027-03-01 16:00, or ask the admin for a profile that"
        " names the column, or for [reminders].before in the configuration, by which calls are planned"
    ),
    'expected --map ref="%(name)s" if it is, or --map ref= if it is not': N_(
        "ask the admin for a profile that decides this"
    ),
    "expected a whole file, as it is a snapshot, or --max-cancelled": N_(
        "expected a whole file; if it is right, the admin imports it with reminderd import --max-cancelled"
    ),
}
"""Sentences that name options of the command, and what a page shows instead."""


def mistake_of(catalog: Catalog, text: str) -> str:
    """Return a mistake, a warning, or several of them, in the language of the pages."""
    whole = catalog.sentence(text)
    if whole != text:
        return whole
    return _BETWEEN.join(_piece(catalog, piece) for piece in text.split(_BETWEEN))


def _piece(catalog: Catalog, text: str) -> str:
    row = _ROW.match(text)
    if row is not None:
        named = catalog.gettext(_UNITS[row[1]], number=row[2])
        return f"{named}: {_piece(catalog, text[row.end() :])}"
    field = _FIELD.match(text)
    if field is not None and field[1] in FIELDS:
        return f"{catalog.gettext(FIELDS[field[1]])}: {_piece(catalog, text[field.end() :])}"
    for pattern, shown in _patterns():
        found = pattern.fullmatch(text) if len(text) <= _LONGEST else None
        if found is not None:
            return catalog.gettext(
                shown, **{name: _word(catalog, name, text) for name, text in found.groupdict().items()}
            )
    return catalog.sentence(text)


def _word(catalog: Catalog, name: str, text: str) -> str:
    """Return the value of a place: our own words translated, other text unchanged."""
    if name == "field":
        return catalog.gettext(FIELDS[text]) if text in FIELDS else text
    if name == "piece":
        return _piece(catalog, text)
    return catalog.sentence(text) if name in _OURS else text


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the pattern of each piece, and how it is shown; pieces with the fewest places come first."""
    pieces = {**{piece: piece for piece in PIECES}, **SHOWN_INSTEAD}
    ordered = sorted(pieces.items(), key=lambda pair: len(_PLACE.findall(pair[0])))
    return tuple((re.compile(_as_pattern(piece), re.DOTALL), shown) for piece, shown in ordered)


def _as_pattern(piece: str) -> str:
    """Return a piece as a pattern; its places are never empty, except for more of an expectation."""
    texts = _PLACE.split(piece)
    fixed, names = texts[::2], texts[1::2]
    places = [f"(?P<{name}>.{'*' if name == 'more' else '+'}?)" for name in names]
    return "".join(re.escape(text) + place for text, place in zip(fixed, [*places, ""], strict=True))
