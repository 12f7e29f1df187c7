"""Translate the pages: their texts, and how dates, times and numbers are written in each language.

The English texts are written in the templates and the code; each file in `languages/` has them in one more language.
"""

from datetime import date, datetime
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib import resources
from io import BytesIO
from typing import Final
from zoneinfo import ZoneInfo

from attrs import field, frozen
from babel.core import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_skeleton, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

from reminderd.core.sentences import TextValue, text_of

_OWN: Final = "en"
"""The language of the texts in the templates and the code."""


def N_(text: str) -> str:  # noqa: N802 - gettext's own name
    """Mark a text that is translated where it is shown."""
    return text


@frozen(eq=False)
class Catalog:
    """The texts in one language, and times in the clinic's zone."""

    language: str
    zone: ZoneInfo
    locale: Locale
    translations: NullTranslations = field(repr=False)

    def gettext(self, text: str, /, **values: object) -> str:
        """Return one of our texts in this language, with its `%(name)s` filled in; `%%` is a percent sign."""
        return self.translations.gettext(text) % values

    def ngettext(self, one: str, many: str, count: int, /, **values: object) -> str:
        """Return the text for this number of things; both texts may have `%(num)s`."""
        return self.translations.ngettext(one, many, count) % {"num": self.number(count), **values}

    def sentence(self, sentence: TextValue) -> str:
        """Return a sentence of the program in this language, or in English if no translation is known.

        A text is looked up as a whole; a `Sentence` by its text, before its places are filled in.
        """
        if isinstance(sentence, str):
            return self.translations.gettext(sentence) if sentence else ""
        return text_of(sentence, self._shown, self._chosen)

    def _shown(self, value: datetime | int) -> str:
        return self.number(value) if isinstance(value, int) else self.exactly(value)

    def _chosen(self, text: str, many: str | None, count: int) -> str:
        return self.translations.gettext(text) if many is None else self.translations.ngettext(text, many, count)

    def time(self, moment: datetime) -> str:
        """Return the time of day."""
        return format_time(moment, "short", tzinfo=self.zone, locale=self.locale)

    def hour(self, moment: datetime) -> str:
        """Return the hour in few characters, as on a 12-hour clock if the clinic's country uses one."""
        has_twelve = "a" in self.locale.time_formats["short"].pattern
        return format_time(moment, "h aaaaa" if has_twelve else "H", tzinfo=self.zone, locale=self.locale)

    def day(self, day: date | datetime) -> str:
        """Return a date with its weekday."""
        pattern = "EEEE, d. MMMM y" if self.language == "de" else "EEEE, MMMM d, y"
        return format_date(self._date(day), pattern, locale=self.locale)

    def short_day(self, day: date | datetime) -> str:
        """Return a date in few characters."""
        return format_date(self._date(day), "medium", locale=self.locale)

    def weekday(self, day: date) -> str:
        """Return the day of the month with its weekday, in few characters."""
        return format_skeleton("Ed", day, locale=self.locale)

    def shortest_day(self, day: date) -> str:
        """Return the day and the month as numbers."""
        return format_skeleton("Md", day, locale=self.locale)

    def month(self, day: date, *, is_short: bool = False) -> str:
        """Return a month with its year, or, in few characters, without it."""
        return format_skeleton("MMM" if is_short else "yMMMM", day, locale=self.locale)

    def moment(self, moment: datetime) -> str:
        """Return a date with the time of day."""
        return format_datetime(moment, "short", tzinfo=self.zone, locale=self.locale)

    def exactly(self, moment: datetime) -> str:
        """Return a date with the time of day to the second."""
        return format_datetime(moment, "medium", tzinfo=self.zone, locale=self.locale)

    def number(self, number: float) -> str:
        """Return a number as it is written in this language."""
        return format_decimal(number, locale=self.locale)

    def percent(self, share: float) -> str:
        """Return a share of 1 in percent."""
        return format_percent(share, locale=self.locale)

    def local_date(self, moment: datetime) -> date:
        """Return the clinic's date at a moment."""
        return moment.astimezone(self.zone).date()

    def _date(self, day: date | datetime) -> date:
        return self.local_date(day) if isinstance(day, datetime) else day


def catalog_of(language: str, *, zone: ZoneInfo, country: str = "") -> Catalog:
    """Return the catalog of a language; dates and times are written as in the clinic's country, if it is known."""
    return Catalog(language, zone, _locale(language, country), translations_of(language))


def _locale(language: str, country: str) -> Locale:
    try:
        return Locale(language, country or None)
    except UnknownLocaleError:
        return Locale(language)


@cache
def translations_of(language: str) -> NullTranslations:
    """Return the texts in a language, read from its file."""
    if language == _OWN:
        return NullTranslations()
    file = resources.files("reminderd.desk") / "languages" / f"{language}.po"
    with file.open("rb") as opened:
        catalog = read_po(opened, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return GNUTranslations(compiled)
