"""Make messages from the clinic's templates, with an appointment's date, time and other values.

Placeholders that were not filled in are found in every message, as a voice would read them aloud.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from attrs import field, frozen
from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time

from reminderd.core.script.languages import best_match
from reminderd.core.script.scripts import Script, Scripts

TEMPLATE_PLACEHOLDERS: Final = ("clinic", "name", "provider", "place", "date", "time")
"""The only names that may be in braces in a template for messages."""

VALUE_LIMIT: Final = 100
"""Longest name, provider and place, in characters."""

_PLACEHOLDER: Final = re.compile(rf"\{{({'|'.join(TEMPLATE_PLACEHOLDERS)})\}}")
_TIMES: Final = frozenset({"date", "time"})
_SPACES: Final = re.compile(r"[\u00a0\u202f]")
_DAYS: Final = ("MMMMEd", "MMMEd")
"""CLDR's names for weekday, month and day in the language's own order, without the year; every language has the last.

That one may have the month as a number."""
_SHORT: Final = (
    (re.compile("E+"), "EEEE"),
    (re.compile("c{3,}"), "cccc"),
    (re.compile("M{3,}"), "MMMM"),
    (re.compile("L{3,}"), "LLLL"),
)
"""The patterns for short names of days and months, with those for full names."""


class TemplateError(Exception):
    """No message can be made; `mistakes` has a line for each reason: "field: what; what is expected"."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


@frozen(kw_only=True)
class Values:
    """The known values of one appointment, as they were written; None if not known."""

    appointment: datetime | None = None
    """The time of the appointment."""
    name: str | None = None
    """The patient's name, as it is spoken."""
    provider: str | None = None
    """Who the patient sees."""
    place: str | None = None


@frozen(kw_only=True)
class Message:
    """A message that was made from a template."""

    text: str
    language: str | None
    """The language of the message, and so of its call; None for the clinic's own."""
    warning: str | None = None
    """Why that is not the patient's language; None if it is."""


@frozen(kw_only=True)
class Templates:
    """The clinic's templates for messages, and the settings for all of them."""

    by_name: Mapping[str, str] = field(factory=dict, hash=False)
    """The templates in the clinic's own language."""
    by_language: Mapping[str, Mapping[str, str]] = field(factory=dict, hash=False)
    """The templates in other languages, by the tag in the configuration."""
    scripts: Scripts = field(factory=Scripts)
    """The clinic's scripts, which have its name in each language."""
    zone: ZoneInfo | None = None
    """The clinic's zone, in which an appointment's time is spoken; None if no template mentions a time."""
    max_lateness: timedelta = timedelta()
    """How late the call of a reminder without its own limit may be; it is never after the appointment."""

    def message(self, name: str, values: Values, language: str | None = None) -> Message:
        """Return the message for an appointment, from the template of this name.

        Args:
            name: the name of the template.
            values: the known values of the appointment.
            language: the patient's language, a BCP 47 tag; None for the clinic's own. If the template is not written in
                it, the message is in the clinic's own language, with a warning.

        Raises:
            TemplateError: there is no such template, or it needs a value that is missing or can't be spoken.
        """
        text = self._text(name, language)
        if text is not None:
            return Message(text=self._filled(name, text, values, self.scripts.of(language)), language=language)
        text = self.by_name.get(name)
        if text is None or language is None:
            raise TemplateError([self._unknown()])
        section = best_match(language, self.by_language) or language
        warning = (
            f"template: {name} is not written in {language}, so the whole call is in {self.scripts.own.language};"
            f" expected {name} in [messages.{section}.templates]"
        )
        return Message(text=self._filled(name, text, values, self.scripts.own), language=None, warning=warning)

    def _text(self, name: str, language: str | None) -> str | None:
        """Return the template in a language; None if there is none."""
        own = self.scripts.own.language
        found = own if language is None else best_match(language, [own, *self.by_language])
        if found is None:
            return None
        return self.by_language.get(found, self.by_name).get(name)

    def _unknown(self) -> str:
        if not self.by_name:
            expected = "expected a message, or a template of this name there"
            return f"template: there are no templates in [messages.templates]; {expected}"
        return f"template: unknown; expected one of {', '.join(self.by_name)}"

    def _filled(self, name: str, text: str, values: Values, script: Script) -> str:
        used = set(_PLACEHOLDER.findall(text))
        mistakes = list(_mistakes(name, used, values))
        if mistakes:
            raise TemplateError(mistakes)
        known = {"clinic": script.clinic or script.built_in.clinic}
        known |= {field: getattr(values, field) for field in ("name", "provider", "place") if field in used}
        if values.appointment is not None:
            local = values.appointment if self.zone is None else values.appointment.astimezone(self.zone)
            known["date"] = spoken_day(local.date(), script.language)
            known["time"] = spoken_hour(local.time(), script.language)
        return _PLACEHOLDER.sub(lambda found: _joined(known[found[1]].strip(), text[found.end() :]), text)


def _joined(value: str, rest: str) -> str:
    """Return a value for the place before the rest of a template; "4:00 p.m." gets no second period."""
    return value.removesuffix(".") if rest.startswith(".") else value


NO_TEMPLATES: Final = Templates()


def _mistakes(template: str, used: set[str], values: Values) -> Iterator[str]:
    """Yield the mistakes in the values that a template needs."""
    if values.appointment is None and used & _TIMES:
        yield f"appointment_at: missing; expected the time that the template {template} mentions"
    for field_name in ("name", "provider", "place"):
        value: str | None = getattr(values, field_name)
        if field_name not in used:
            continue
        if value is None:
            yield f"{field_name}: missing; expected the {field_name} that the template {template} mentions"
        elif (found := value_error(value)) is not None:
            yield f"{field_name}: {found}"


def value_error(text: str) -> str | None:
    """Return why a name, a provider or a place can't be spoken, and what is expected; None if it can."""
    if not text.strip():
        return "empty; expected text to be spoken"
    if not any(map(str.isalnum, text)):
        return "no letter or digit in it; expected text to be spoken"
    if len(text) > VALUE_LIMIT:
        return f"{len(text)} characters; expected at most {VALUE_LIMIT}"
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in text):
        return "contains a line break or another control character; expected text on one line"
    if "{" in text or "}" in text or unfilled(text):
        return "contains a brace, a placeholder or markup; expected text as it is to be spoken"
    return None


@lru_cache(maxsize=1_000)
def spoken_day(day: date, language: str) -> str:
    """Return a day as people say it: "Tuesday, March 2", "Dienstag, 2. März".

    Days are cached: a file of appointments has few different days, and formatting is slow.
    """
    locale = _locale(language)
    pattern = next(locale.datetime_skeletons[name].pattern for name in _DAYS if name in locale.datetime_skeletons)
    for short, full in _SHORT:
        pattern = short.sub(full, pattern)
    return _plain(format_date(day, pattern, locale=locale))


@lru_cache(maxsize=1_500)
def spoken_hour(hour: time, language: str) -> str:
    """Return a time of day as people say it: "4:00 PM", "16:00"."""
    return _plain(format_time(hour, "short", locale=_locale(language)))


def _plain(text: str) -> str:
    """Return the text with ordinary spaces: not every voice reads other spaces correctly."""
    return _SPACES.sub(" ", text)


def _locale(language: str) -> Locale:
    """Return the locale of a language, with its country if the country is known; else English."""
    for tag in (language, language.split("-", 1)[0]):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en", "US")


_NAMED: Final = 3
"""How many placeholders a warning names."""

_LONGEST_NAMED: Final = 30

_ERROR: Final = r"\#(?:N/A|REF!|NAME\?|VALUE!|DIV/0!|NULL!|NUM!|NV|BEZUG!|WERT!)"
"""A spreadsheet's error."""
_ERROR_ALONE: Final = re.compile(_ERROR)

_UNFILLED: Final = re.compile(
    r"""
      \{\{[^{}]*\}\} | \$?\{[^{}]*\}            # {{first_name}}, {date}, ${date}
    | \[[^\W\d][\w .-]*\]                       # [NameF]
    | <<[^<>]*>> | «\w+» | \*{2,3}\w+\*{2,3}    # <<Name>>, «Name», ***NAME***
    | %%?[A-Za-z_]\w*%%? | \#[A-Z_]{2,}\#       # %NAME%, #NAME#
    | &(?:[A-Za-z][A-Za-z0-9]{1,30}|\#[0-9]{1,7}|\#x[0-9A-Fa-f]{1,6});    # &amp;
    | </?[A-Za-z][^<>]*>                        # <br>
    | """
    + _ERROR,
    re.VERBOSE,
)


def unfilled(text: str) -> list[str]:
    """Return the unfilled placeholders and the markup in a text, in their order, each once."""
    return list(dict.fromkeys(found[0] for found in _UNFILLED.finditer(text)))


def is_error(text: str) -> bool:
    """Return whether a text is only a spreadsheet's error."""
    return _ERROR_ALONE.fullmatch(text) is not None


def message_warnings(message: str) -> Iterator[str]:
    """Yield a warning if a message has unfilled placeholders or markup."""
    found = unfilled(message)
    if found:
        listed = ", ".join(one[:_LONGEST_NAMED] for one in found[:_NAMED])
        yield f"message: {listed} would be read aloud as it stands; expected the patient's own text"
