"""Fill the clinic's templates: prompts with its name and number, messages with the day and hour of an appointment."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from attrs import field, frozen
from babel import Locale, UnknownLocaleError
from babel.dates import format_datetime, format_time

from reminderd.core.phone import dictated
from reminderd.core.script.prompts import Prompt, language_of

PLACEHOLDERS: Final = ("clinic", "phone", "message")
"""What may stand in braces in a template; nothing else may."""

_IN_A_PROMPT: Final = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")


@frozen(kw_only=True)
class Script:
    """What a clinic's patients hear in a call; what is empty is filled by its language."""

    clinic: str = ""
    """Its name; empty: it is "your clinic"."""
    phone: str = ""
    """Where to call back, in E.164; empty: `from_number`."""
    from_number: str = ""
    """The number that the calls come from, in E.164; empty: not known."""
    language: str = "en-US"
    """A BCP 47 tag."""
    voice: str = ""
    """A voice's name at the provider; empty: the provider's choice for the language."""
    templates: Mapping[Prompt, str] = field(factory=dict, hash=False)
    """The clinic's own; the language has one for every other prompt, see `template`."""

    def template(self, prompt: Prompt) -> str:
        """Return the template of a prompt: the clinic's own, else the language's.

        That of the message is the message alone.
        """
        if prompt is Prompt.MESSAGE:
            return "{message}"
        return self.templates.get(prompt) or language_of(self.language).templates[prompt]


def spoken(prompt: Prompt, script: Script, message: str) -> str:
    """Return what is spoken for a prompt, in full.

    `{phone}` is dictated digit by digit, see `dictated`. Braces in the message and in the clinic's name are only
    characters: they are not filled again.
    """
    words = language_of(script.language)
    number = script.phone or script.from_number
    filled = {
        "clinic": script.clinic or words.clinic,
        "phone": dictated(number) if number else words.phone,
        "message": message,
    }
    return _IN_A_PROMPT.sub(lambda found: filled[found[1]], script.template(prompt))


TEMPLATE_PLACEHOLDERS: Final = ("clinic", "date", "time")
"""What may stand in braces in a template for messages; nothing else may."""

_IN_A_MESSAGE: Final = re.compile(rf"\{{({'|'.join(TEMPLATE_PLACEHOLDERS)})\}}")
_SPACES: Final = re.compile(r"[\u00a0\u202f]")
_DAY: Final = "MMMEd"
"""CLDR's name for weekday, month and day in the language's own order, without the year; every language has it."""
_SHORT: Final = (
    (re.compile("E+"), "EEEE"),
    (re.compile("c{3,}"), "cccc"),
    (re.compile("M{3,}"), "MMMM"),
    (re.compile("L{3,}"), "LLLL"),
)
"""Names that a pattern shortens, and how it has them in full."""


@frozen(kw_only=True)
class Templates:
    """The templates for messages that a clinic has written, and what it knows of any appointment."""

    by_name: Mapping[str, str] = field(factory=dict, hash=False)
    clinic: str = ""
    """Its name; empty: it is "your clinic"."""
    language: str = "en-US"
    """A BCP 47 tag: whose names of days and months, and which clock."""
    zone: ZoneInfo | None = None
    """The clinic's: an appointment is said in the time on the clinic's wall. None: no template mentions a time."""
    max_lateness: timedelta = timedelta()
    """How late the call of a reminder without a limit of its own may be: never after its appointment."""

    def message(self, name: str, appointment: datetime | None) -> str:
        """Return the message for an appointment, from the template of this name.

        Raises:
            ValueError: there is no such template, or it needs the appointment's time; says what is expected.
        """
        text = self.by_name.get(name)
        if text is None:
            if not self.by_name:
                raise ValueError(
                    "template: there are no templates in [messages.templates]; "
                    "expected a message, or a template of this name there"
                )
            raise ValueError(f"template: unknown; expected one of {', '.join(self.by_name)}")
        filled = {"clinic": self.clinic or language_of(self.language).clinic}
        if appointment is not None:
            filled |= {"date": spoken_day(appointment, self), "time": spoken_hour(appointment, self)}
        elif {"date", "time"}.intersection(_IN_A_MESSAGE.findall(text)):
            raise ValueError(f"appointment_at: missing; expected the time that the template {name} mentions")
        return _IN_A_MESSAGE.sub(lambda found: filled[found[1]], text)


NO_TEMPLATES: Final = Templates()


def spoken_day(moment: datetime, templates: Templates) -> str:
    """Return a day as people say it: "Tuesday, March 2", "Dienstag, 2. März"."""
    locale = _locale(templates.language)
    pattern = locale.datetime_skeletons[_DAY].pattern
    for short, full in _SHORT:
        pattern = short.sub(full, pattern)
    return _plain(format_datetime(moment, pattern, tzinfo=templates.zone, locale=locale))


def spoken_hour(moment: datetime, templates: Templates) -> str:
    """Return a time of day as people say it: "4:00 PM", "16:00"."""
    return _plain(format_time(moment, "short", tzinfo=templates.zone, locale=_locale(templates.language)))


def _plain(text: str) -> str:
    """Return the text with ordinary spaces: not every voice reads the others right."""
    return _SPACES.sub(" ", text)


def _locale(language: str) -> Locale:
    """Return the locale of a language, with its country where that is known; else English."""
    for tag in (language, language.split("-", 1)[0]):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return Locale("en", "US")
