"""The names of months and weekdays in the four languages that tables are read in, from CLDR."""

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

from babel import Locale

LANGUAGES: Final = ("en", "de", "es", "fr")


def month_of(name: str) -> int | None:
    """Return the month, from 1 to 12, that a name or its abbreviation means; None: none."""
    return _MONTHS.get(_folded(name))


def weekday_of(name: str) -> int | None:
    """Return the weekday, Monday is 0, that a name or its abbreviation means; None: none."""
    return _WEEKDAYS.get(_folded(name))


def names(kind: str) -> Iterator[tuple[str, int]]:
    """Yield every spelling of each of the `months` or `days`, with its number."""
    for language in LANGUAGES:
        contexts: Mapping[str, Mapping[str, Mapping[int, str]]] = getattr(Locale(language), kind)
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in contexts[context][width].items():
                    yield _folded(name), number


def _folded(text: str) -> str:
    """Return a text without case, accents and the dot of an abbreviation."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in plain if not unicodedata.combining(character)).strip(". ")


_MONTHS: Final = dict(names("months"))
_WEEKDAYS: Final = dict(names("days"))
