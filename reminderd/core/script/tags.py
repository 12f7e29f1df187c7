"""Read and compare language tags (BCP 47), as a patient's language is stored and a voice is chosen by them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from babel import Locale
from babel.core import get_global

from reminderd.core.script.languages import BUILT_IN

EXPECTED: Final = 'expected a language tag (BCP 47) like "es" or "pt-BR"'

_TAG: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")
_NO_LANGUAGE: Final = frozenset({"mis", "mul", "und", "zxx", "root"})
"""Codes for several languages, for one that is not known, and for none."""
_SHORTEST_NAME: Final = 4
"""A shorter word is read as a code: Ga is one language's name, and the code of another."""
_SCRIPT: Final = 4
_REGION: Final = 2


def language_tag(text: str) -> str:
    """Return a language tag in its usual form: `pt-BR` for `PT-br`, `es` for the three-letter code `spa`.

    Raises:
        ValueError: it is no tag, or that of no known language; the message says what is expected.
    """
    if _TAG.fullmatch(text) is None:
        raise ValueError(f"not a language tag; {EXPECTED}")
    first, *rest = text.split("-")
    code = first.lower()
    code = str(get_global("language_aliases").get(code, code))
    if code not in _codes():
        raise ValueError(f"not a known language; {EXPECTED}")
    return "-".join((code, *map(_in_its_case, rest)))


def read_language(text: str) -> str:
    """Return the tag of a language that is written as a tag, or by its name: `Spanish`, `Spanisch`, `español`.

    Names are understood in the languages that are built in.

    Raises:
        ValueError: it is neither; the message says what is expected.
    """
    return _read(text.strip())


@lru_cache(maxsize=1_000)  # the same few words come again in every line of a table
def _read(written: str) -> str:
    return _names().get(_plain(written)) or language_tag(written)


def primary(tag: str) -> str:
    """Return the language of a tag, without its region."""
    return tag.partition("-")[0].lower()


def best_of(tag: str, among: Iterable[str]) -> str | None:
    """Return the one of these tags that is the same, else the first of the same language; None: there is none."""
    listed = tuple(among)
    same = [one for one in listed if one.lower() == tag.lower()]
    return next(iter(same or [one for one in listed if primary(one) == primary(tag)]), None)


def voice_tag(tag: str, *, near: str) -> str:
    """Return the tag by which a voice is asked for; one without a region gets one, as providers expect it.

    Args:
        tag: the language's.
        near: the tag of the clinic's own language, whose region is preferred.
    """
    if "-" in tag:
        return tag
    tags = BUILT_IN[tag].tags if tag in BUILT_IN else ()
    region = near.rpartition("-")[2]
    _, _, likely = str(get_global("likely_subtags").get(tag, "")).rpartition("_")
    usual = tags[0] if tags else f"{tag}-{likely}" if likely else tag
    return next((one for one in tags if one.endswith(f"-{region}")), usual)


def _in_its_case(subtag: str) -> str:
    if len(subtag) == _SCRIPT and subtag.isalpha():
        return subtag.title()
    return subtag.upper() if len(subtag) == _REGION else subtag.lower()


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


@lru_cache(maxsize=1)
def _codes() -> frozenset[str]:
    replaced = get_global("language_aliases")
    return frozenset(str(code) for code in Locale("en").languages if code not in replaced) - _NO_LANGUAGE


@lru_cache(maxsize=1)
def _names() -> Mapping[str, str]:
    """Return every name that means one language only, as `_plain` gives it."""
    meant: dict[str, set[str]] = {}
    for written_in in BUILT_IN:
        for code, name in Locale(written_in).languages.items():
            tag = str(code).replace("_", "-")
            if primary(tag) in _codes() and len(name) >= _SHORTEST_NAME:
                meant.setdefault(_plain(name), set()).add(tag)
    return {name: min(codes) for name, codes in meant.items() if len(codes) == 1}
