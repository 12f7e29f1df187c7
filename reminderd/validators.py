"""Validate a value: URLs, hosts, files, times, calling hours, countries, languages, templates, imports, secrets.

Each validator returns None for a valid value, or what is wrong, in words that can follow the key's name. It never
repeats the value: that could be a secret in the wrong place, and error messages are pasted anywhere. For an entry of a
list, it names the place in the list.
"""

import re
import unicodedata
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from ipaddress import ip_address
from itertools import pairwise
from typing import Final, TypeVar
from urllib.parse import urlsplit

from babel import Locale

from reminderd.core.phone import is_country
from reminderd.core.schedule.cadence import read_cadence
from reminderd.core.schedule.calling_hours import DAY_MINUTES, Span, Spans
from reminderd.core.schedule.time_zones import place_zone
from reminderd.core.script.languages import language_tag, primary_language
from reminderd.core.script.scripts import PLACEHOLDERS
from reminderd.core.script.templates import TEMPLATE_PLACEHOLDERS, unfilled
from reminderd.core.wrong_tokens import networks

T = TypeVar("T")

BEARER_LENGTH: Final = 16
"""The fewest characters of a shared token."""

API_TOKEN_LENGTH: Final = 32

WEBHOOK_KEY_BYTES: Final = range(24, 65)
"""The sizes of a signing key in bytes, from the specification at standardwebhooks.com."""

CLINIC_NAME_LENGTH: Final = 100
TEMPLATE_LENGTH: Final = 1_000
"""The most characters of a text. Spoken at a normal pace, they take more than a minute."""

MOST_OF_ONE: Final = 3
"""How often a template may contain the same placeholder, so that its values can't make the text too long."""

AS_ALWAYS: Final = ""
CLOSED: Final = "closed"
"""The values of a weekday's hours that are no periods."""

_KEY_NAME: Final = re.compile(r"[A-Za-z]+(?:[_-][A-Za-z]+)*[0-9]{0,2}")
_KEY_NAME_LENGTH: Final = 40

_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_TIME: Final = re.compile(r"(?:([01][0-9]|2[0-3]):([0-5][0-9]))|24:00")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EVERY_YEARS: Final = re.compile(r"[0-9]{2}-[0-9]{2}")
_ANY_LEAP_YEAR: Final = "2024"
_PLACEHOLDER: Final = re.compile(r"\{(\w{1,20})\}")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")
_TEMPLATE_NAME: Final = re.compile(r"[a-z0-9_]{1,50}")
_VOICE: Final = re.compile(r"[A-Za-z0-9._-]{0,100}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean …?)` if one of the known words is similar, otherwise an empty text."""
    by_small_letters = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(word.casefold(), by_small_letters, n=1)
    return suggestion(by_small_letters[close[0]]) if close else ""


def suggestion(*meant: str) -> str:
    """Return ` (did you mean …?)`, or an empty text without a suggestion."""
    return f" (did you mean {' or '.join(meant)}?)" if meant else ""


def shown_name(name: str) -> str:
    """Return a key's name if it consists of words, as all keys do; otherwise `…`, as it may be a secret."""
    return name if len(name) <= _KEY_NAME_LENGTH and _KEY_NAME.fullmatch(name) else "…"


def shown_host(host: str) -> str:
    """Return a host that may be printed: an address or localhost. Another name could be a secret in the wrong place."""
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return host if host == "localhost" else "the configured host"
    return host


def entry_error(entries: Iterable[T], error: Callable[[T], str | None]) -> str | None:
    """Return the place of the first wrong entry of a list, and what is wrong with it."""
    errors = (f"entry {place} {found}" for place, entry in enumerate(entries, start=1) if (found := error(entry)))
    return next(errors, None)


def word_error(value: object, words: tuple[object, ...]) -> str | None:
    """Reject a value that is none of these words, and suggest the word that may be meant."""
    return None if value in words else f"is unknown{did_you_mean(str(value), map(str, words))}"


def url_error(text: str) -> str | None:
    """Reject a text that is no http or https URL, or has credentials, a query or a fragment; accept ""."""
    if not text:
        return None
    if not text.isprintable() or " " in text:
        return "contains a space or a control character"
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL: its host or port is not valid"
    if parts.scheme not in {"http", "https"} or not host:
        return "is not a URL that starts with https:// or http:// and names a host"
    if "@" in parts.netloc:
        return "contains credentials"
    return "contains a query or a fragment" if "?" in text or "#" in text else None


def results_url_error(text: str) -> str | None:
    """Reject what `url_error` rejects, and http:// to another machine, as anybody on the way could read the answers."""
    found = url_error(text)
    if found is not None or not text:
        return found
    parts = urlsplit(text)
    return None if parts.scheme == "https" or is_this_machine(parts.hostname or "") else "is http:// to another machine"


def required_url_error(text: str) -> str | None:
    """Reject what `url_error` rejects, and ""."""
    return url_error(text) if text else "is empty"


def host_error(text: str) -> str | None:
    """Reject a text that is neither a host name nor an address to listen on."""
    if not text:
        return "is empty"
    return "contains a character that no host has" if re.search(r"[^0-9A-Za-z.:_-]", text) else None


def networks_error(entries: tuple[str, ...]) -> str | None:
    """Reject a list with an entry that is neither an IP address nor a network."""
    return entry_error(entries, _network_error)


def _network_error(text: str) -> str | None:
    try:
        networks([text])
    except ValueError:
        return "is neither an IP address nor a network"
    return None


def path_error(text: str) -> str | None:
    """Reject a text that can't be the path of a file or a folder; accept ""."""
    return None if text.isprintable() else "contains a control character"


def file_error(text: str) -> str | None:
    """Reject a text that can't be the path of a file; accept ""."""
    return path_error(text) or ("names a folder" if text.endswith("/") else None)


def zone_error(text: str) -> str | None:
    """Reject a text that is not the name of a place's time zone; accept "".

    Raises:
        ValueError: The text is wrong; the message includes what is expected.
    """
    if text:
        place_zone(text)
    return None


def start_error(text: str) -> str | None:
    """Reject a text that is not a time of day at which hours may start; 24:00 is the next day's 00:00."""
    return None if _TIME.fullmatch(text) and text != "24:00" else "is not a time of day"


def end_error(text: str) -> str | None:
    """Reject a text that is not a time of day at which hours may end."""
    return None if _TIME.fullmatch(text) else "is not a time of day"


def span_of(start: str, end: str) -> Span:
    """Return the span between two valid times of day; an end at or before the start is on the next day."""
    first, last = _minutes(start), _minutes(end)
    return Span(first, last if last > first else last + DAY_MINUTES)


def spans_of(text: str) -> Spans:
    """Return the spans of a weekday's own hours, which must be valid."""
    if text == CLOSED:
        return ()
    return tuple(sorted(span_of(start, end) for start, end in _periods(text)))


def hours_error(text: str) -> str | None:
    """Reject a text that is not a weekday's hours."""
    if text in {AS_ALWAYS, CLOSED}:
        return None
    for place, (start, end) in enumerate(_periods(text), start=1):
        if not end or start_error(start) or end_error(end):
            return f"period {place} is not two times of day with a hyphen between them"
        if start == end:
            return f"period {place} ends when it starts (the whole day is 00:00-24:00)"
    if any(before.end >= after.start for before, after in pairwise(spans_of(text))):
        return "contains periods that overlap or touch"
    return None


def _periods(text: str) -> list[tuple[str, str]]:
    """Return the start and the end of each period in a text; an end that is missing is empty."""
    halves = [period.partition("-") for period in text.split(",")]
    return [(start.strip(), end.strip()) for start, _, end in halves]


def _minutes(time_of_day: str) -> int:
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)


def holidays_error(holidays: tuple[str, ...]) -> str | None:
    """Reject a list with an entry that is not a date; all such entries are named."""
    wrong = [str(place) for place, text in enumerate(holidays, start=1) if not _is_date(text)]
    if not wrong:
        return None
    return f"entry {wrong[0]} is not a date" if len(wrong) == 1 else f"entries {', '.join(wrong)} are not dates"


def _is_date(text: str) -> bool:
    if _EVERY_YEARS.fullmatch(text):
        text = f"{_ANY_LEAP_YEAR}-{text}"
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def country_code(text: str) -> str:
    """Return a country code in its standard form."""
    return text.strip().upper()


def country_error(text: str) -> str | None:
    """Reject a text that is not the code of a country; accept ""."""
    return _unknown_country(text) if country_code(text) else None


def countries_error(codes: tuple[str, ...]) -> str | None:
    """Reject a list with an entry that is not the code of a country."""
    return entry_error(codes, _unknown_country)


def _unknown_country(text: str) -> str | None:
    """Reject a text that is not a code; for a country's English name or a common other code, suggest the right code."""
    if is_country(country_code(text)):
        return None
    name = text.strip().casefold()
    codes = {known.casefold(): code for code, known in Locale("en").territories.items() if is_country(code)}
    code = codes.get(name) or {"uk": "GB", "england": "GB", "great britain": "GB", "usa": "US"}.get(name)
    return f"is not a country code{suggestion(code) if code else ''}"


def header_error(text: str) -> str | None:
    """Reject a secret that an HTTP header can't carry; accept ""."""
    if not text.isascii() or not text.isprintable() or " " in text:
        return "contains a character that can't be sent in an HTTP header"
    return None


def api_token_error(text: str) -> str | None:
    """Reject a token for the HTTP API that can be guessed, or that a header can't carry; accept ""."""
    return "is too short" if text and len(text) < API_TOKEN_LENGTH else header_error(text)


def bearer_error(token: str) -> str | None:
    """Reject a token that a provider's webhooks can't carry, or that can be guessed; also return what is expected."""
    if len(token) < BEARER_LENGTH:
        return f"is too short; expected at least {BEARER_LENGTH} characters"
    found = header_error(token)
    return None if found is None else f"{found}; expected printable ASCII characters without spaces"


def results_secret_error(secret: str) -> str | None:
    """Reject a secret that does not begin with whsec_, or that `webhook_key_error` rejects; accept ""."""
    if not secret:
        return None
    if not secret.startswith("whsec_"):
        return "does not begin with whsec_"
    found = webhook_key_error(secret)
    return None if found is None else found.partition(";")[0]


def webhook_key_error(secret: str) -> str | None:
    """Reject a secret that can't be a key for signing webhooks; also return what is expected.

    A key is base64, with or without padding, as for the standardwebhooks package. But that package skips characters
    that are not base64, which silently gives another key; here they are an error.
    """
    expected = f"expected base64 of {WEBHOOK_KEY_BYTES[0]} to {WEBHOOK_KEY_BYTES[-1]} bytes, which whsec_ may precede"
    encoded = secret.removeprefix("whsec_")
    if not _BASE64.fullmatch(encoded):
        return f"is not base64; {expected}"
    try:
        size = len(b64decode(encoded + "=="))
    except ValueError:
        return f"is incomplete base64; {expected}"
    return None if size in WEBHOOK_KEY_BYTES else f"decodes to {size} bytes; {expected}"


def language_error(text: str) -> str | None:
    """Reject a text that is not a language tag (BCP 47)."""
    return None if _LANGUAGE.fullmatch(text) else "is not a language tag"


def may_be_language(name: str) -> bool:
    """Return whether the name of a section looks like a language tag."""
    return _LANGUAGE.fullmatch(name) is not None


def language_section_error(name: str, own: str) -> str | None:
    """Reject a section for an unknown language, or for the clinic's `own` one; also return what is expected."""
    try:
        tag = language_tag(name)
    except ValueError as error:
        return f"is {error}"
    if tag != name:
        return 'is not a language tag in its usual form; expected one like "es" or "es-MX"'
    if name.lower() in {own.lower(), primary_language(own)}:
        return "is the clinic's own language; expected its texts in [messages]"
    return None


def voice_error(text: str) -> str | None:
    """Reject a text that can't be the name of a voice; accept ""."""
    return None if _VOICE.fullmatch(text) else "is not the name of a voice"


def clinic_name_error(text: str) -> str | None:
    """Reject a name that is too long, or that can't be spoken as it is written."""
    return _unspeakable_error(text, CLINIC_NAME_LENGTH) or _markup_error(text)


def prompt_error(text: str, known: tuple[str, ...]) -> str | None:
    """Reject a text with an unknown placeholder, or a text that can't be spoken as it is written."""
    unspeakable = _unspeakable_error(text, TEMPLATE_LENGTH)
    if unspeakable is not None:
        return unspeakable
    names = _PLACEHOLDER.findall(text)
    for place, name in enumerate(names, start=1):
        if name not in known:
            if name in PLACEHOLDERS and known != TEMPLATE_PLACEHOLDERS:
                return f"contains {{{name}}}, which is spoken separately"
            return f"placeholder {place} is unknown{did_you_mean(name, known)}"
        if names.count(name) > (1 if name == "message" else MOST_OF_ONE):
            return f"contains {{{name}}} too often"
    rest = _PLACEHOLDER.sub(lambda found: " " * len(found[0]), text)
    if re.search(r"[{}]", rest):
        return "contains a brace that belongs to no placeholder"
    return _markup_error(rest)


def templates_error(templates: Mapping[str, str]) -> str | None:
    """Reject a template with a name that is not allowed, without a text, or with a text that can't be spoken."""
    for place, (name, text) in enumerate(templates.items(), start=1):
        if not _TEMPLATE_NAME.fullmatch(name):
            return f"entry {place} has a name that is not allowed"
        where = f"in {name}" if shown_name(name) == name else f"in entry {place}"
        if not text.strip():
            return f"the text is empty, {where}"
        if not any(map(str.isalnum, text)):
            return f"the text has no letter or digit, {where}"
        found = prompt_error(text, TEMPLATE_PLACEHOLDERS)
        if found is not None:
            return f"{found}, {where}"
    return None


TYPE_NAME_LENGTH: Final = 100
"""The most characters in the name of a type of appointment, without spaces."""


def cadences_error(entries: tuple[str, ...]) -> str | None:
    """Reject an entry that is no time before an appointment, or that repeats a time."""
    seen: set[str] = set()
    for place, entry in enumerate(entries, start=1):
        try:
            name = read_cadence(entry).name
        except ValueError as error:
            return f"entry {place} {error}"
        if name in seen:
            return f"entry {place} is there twice"
        seen.add(name)
    return None


def section_name_error(name: str) -> str | None:
    """Reject a name that is hard to type, or to distinguish from others."""
    return None if _TEMPLATE_NAME.fullmatch(name) else "is not allowed"


def _unspeakable_error(text: str, most: int) -> str | None:
    """Reject a long text, control characters, and surrogates, which are the environment's bytes that are not UTF-8."""
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        return "contains a control character"
    return f"is {len(text):,} characters long" if len(text) > most else None


def _markup_error(text: str) -> str | None:
    found = unfilled(text)
    if not found:
        return None
    place = text.index(found[0]) + 1
    return f"contains a placeholder or markup at character {place} that would be read aloud as written"


def is_this_machine(host: str) -> bool:
    """Return whether a name or an address is this machine's own, judged only by how it is written."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
