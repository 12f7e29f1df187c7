"""Read phone numbers in any spelling, return them in E.164, and decide whether they may be called."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import phonenumbers
from attrs import frozen
from babel import Locale
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

EXPECTED: Final = "expected a number that exists, with + and the country code"
ROUNDED: Final = (
    "rounded by a spreadsheet, its digits are lost; expected the column formatted as text, and the number entered again"
)

_SHARED_NUMBERING: Final = tuple(
    frozenset(countries.split())
    for countries in (
        "US AS GU MP PR VI",
        "GB GG IM JE",
        "FR BL GF GP MF MQ PM RE YT",
        "AU CC CX",
        "FI AX",
        "IT VA",
        "MA EH",
        "NO SJ",
    )
)
"""Countries whose national numbers are dialed as one: a country and its territories.

A shared country code is not enough: Canada and Jamaica are abroad for a clinic in the United States. The overseas
regions of France have their own country codes, but belong to its national numbering.
"""

_COSTS_EXTRA: Final = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST})

_QUOTED: Final = re.compile(r"=?\"(.*)\"|'(.*)")
"""The quotes with which spreadsheets keep a number as text."""
_LABEL: Final = re.compile(
    r"\s*\((?:m|mob|mobile|cell|cellphone|h|home|w|work|o|office|landline|main|primary"
    r"|handy|mobil|privat|arbeit|dienstlich|büro|festnetz|móvil|movil|celular|casa|trabajo|portable|domicile|travail|bureau"
    r"|fixe)\)$",
    re.IGNORECASE,
)
"""A label that says which phone it is, like "(mobile)". Any other word, like "(fax)", may be a reason not to call."""
_SEPARATORS: Final = re.compile(r"[\s().\-\u2010-\u2015\u2212\u00b7\u2022]")
_GAP: Final = re.compile(rf"[/{_SEPARATORS.pattern[1:-1]}]+")
_FEWEST: Final = 6
"""The fewest characters of a number with its area code."""
_MOST: Final = 40
"""The most characters of two numbers; a longer text is not searched for two."""
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_BEGINNING: Final = re.compile(r"[+(0-9]")
_DIGITS: Final = re.compile(r"\+?[0-9]+")
_FULL_WIDTH: Final = range(0xFF01, 0xFF5F)
_FULL_WIDTH_TO_ASCII: Final = 0xFEE0
_ROUNDED: Final = re.compile(r"\+?[0-9]+(?:[.,][0-9]+)?E[+-]?[0-9]+", re.IGNORECASE)
_DECIMAL: Final = re.compile(r"\+?[0-9]{7,}[.,][0-9]{1,2}")
_EXTENSION: Final = re.compile(r"#|(?:\bext|\bx|\d\s*x)[a-z]*[\s.:=]*\d+$|durchwahl|poste", re.IGNORECASE)
_SEVERAL: Final = re.compile(r"[;,|&\n]|\+.*\+")


@frozen(kw_only=True)
class Numbering:
    """Which numbers a clinic may call, and the country in which it writes them."""

    country: str = ""
    """The clinic's country, an ISO 3166 code, in which national numbers are read; empty if these are refused."""
    allowed: frozenset[str] = frozenset()
    """The countries whose numbers may be called; empty for the clinic's country, or for all if that is not known."""
    own: frozenset[str] = frozenset()
    """The clinic's own numbers, in E.164, which are never a patient's."""

    @property
    def countries(self) -> frozenset[str]:
        """Return every country and territory whose numbers may be called; empty for all."""
        named = self.allowed or ({self.country} if self.country else ())
        return frozenset().union(*(territories_of(country) for country in named))


ANY_NUMBER: Final = Numbering()


def territories_of(country: str) -> frozenset[str]:
    """Return the countries and territories with which a country shares its national numbering, itself included."""
    return next((shared for shared in _SHARED_NUMBERING if country in shared), frozenset({country}))


def is_country(code: str) -> bool:
    """Return whether this is an ISO 3166 code of a country that has phone numbers."""
    return code in phonenumbers.SUPPORTED_REGIONS


def patient_number(text: str, numbering: Numbering) -> str:
    """Return the number of a patient who may be called, in E.164.

    Raises:
        ValueError: it can't be called; the message says why, and what is expected, without the number.
    """
    number, parsed = _the_only_one(text, numbering.country)
    kind = phonenumbers.number_type(parsed)
    _refuse_unknown(kind)
    if number in numbering.own:
        raise ValueError("the clinic's own number; expected the patient's")
    if kind in _COSTS_EXTRA:
        raise ValueError("a premium-rate number; expected the patient's own")
    countries, country = numbering.countries, phonenumbers.region_code_for_number(parsed)
    if countries and country not in countries:
        raise ValueError(_why_abroad(country, numbering))
    return number


def _why_abroad(country: str | None, numbering: Numbering) -> str:
    """Return why a number of this country may not be called, and which setting decides."""
    what = f"a number of {_name(country)}"
    can_be_added = country is not None and is_country(country)
    if numbering.allowed:
        added = f", or {country} added to that list" if can_be_added else ""
        allowed = ", ".join(sorted(numbering.allowed))
        return (
            f"{what}, and [clinic].allowed_countries has {allowed} only; "
            f"expected a number of one of these countries{added}"
        )
    own = numbering.country
    added = f', or [clinic].allowed_countries = ["{own}", "{country}"]' if can_be_added else ""
    return f"{what}, and the clinic's own country is {own}; expected a number of that country{added}"


def existing_number(text: str, country: str) -> str:
    """Return the number that a person wrote, in E.164, if such a number can exist in its country.

    Raises:
        ValueError: as for `number_of`, or no such number can exist.
    """
    number, parsed = _the_only_one(text, country)
    _refuse_unknown(phonenumbers.number_type(parsed))
    return number


def _refuse_unknown(kind: int) -> None:
    """Raise ValueError for a number of unknown type: no such number can exist in its country."""
    if kind == PhoneNumberType.UNKNOWN:
        raise ValueError(f"no such number can exist; {EXPECTED}")


def number_of(text: str, country: str) -> str:
    """Return the only number that a text can mean, in E.164, whether the number is in use or not.

    Separators, invisible characters, a spreadsheet's quotes and a label like "(mobile)" are dropped. Without `+`, the
    number is read as dialed in `country`, also with `00` or the country's own prefix for calls abroad.

    Raises:
        ValueError: it is no number, or may be several; the message says why and what is expected, without the number.
    """
    return _the_only_one(text, country)[0]


def _the_only_one(text: str, country: str) -> tuple[str, PhoneNumber]:
    """Return the number as `number_of` does, and as the library's object, so that it is parsed only once."""
    written = _written(text)
    if _ROUNDED.fullmatch(written):
        raise ValueError(ROUNDED)
    if _DECIMAL.fullmatch(written):
        raise ValueError("a spreadsheet's number with decimals; expected the column formatted as text")
    compact = _SEPARATORS.sub("", written) if _BEGINNING.match(written) else ""
    if _are_two(written, compact, country):
        raise ValueError("more than one number; expected one")
    compact = compact.replace("/", "", 1)
    if not _DIGITS.fullmatch(compact):
        raise ValueError(_why_no_digits(written))
    found = _readings(compact, country)
    if len(found) > 1:
        raise ValueError(f"may be {len(found)} different numbers; {EXPECTED}")
    if found:
        return found.popitem()
    if compact.startswith("+"):
        raise ValueError(f"no such number can exist; {EXPECTED}")
    if not country:
        raise ValueError(f"without country code, and [clinic].country is not set; {EXPECTED}, or that key")
    raise ValueError(f"not a number as it is dialed in {_name(country)}; {EXPECTED}")


def may_be_incomplete(number: str) -> bool:
    """Return whether a number in E.164 may be the beginning of a longer number of its country."""
    longer = phonenumbers.parse(f"{number}0", None)
    return phonenumbers.is_possible_number_with_reason(longer) != ValidationResult.TOO_LONG


def is_e164(number: str) -> bool:
    """Return whether a number is in its stored form; it need not exist."""
    return _E164.fullmatch(number) is not None


def number_or_none(text: str, country: str = "") -> str | None:
    """Return the same as `number_of`, or None if it is no number."""
    try:
        return number_of(text, country)
    except ValueError:
        return None


def national_form(number: str) -> str:
    """Return a number in E.164 as it is dialed in its own country, like `(202) 555-0190` or `030 123456`."""
    parsed = phonenumbers.parse(number, None)
    return phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)


def shown_number(number: str, country: str = "") -> str:
    """Return a number as people in a country dial it, with a code if it is abroad; return any other text unchanged."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number
    is_near = parsed.country_code == phonenumbers.country_code_for_region(country)
    return phonenumbers.format_number(
        parsed, PhoneNumberFormat.NATIONAL if is_near else PhoneNumberFormat.INTERNATIONAL
    )


def digits_to_speak(number: str) -> str:
    """Return a number in E.164 in a form that a voice reads digit by digit: `+12025550190` is `2 0 2, 5 5 5, 0 1 9 0`.

    Single digits are never read as "two hundred". A comma is a short pause between the groups in which people of that
    country write the number. It is the national number, which a clinic's patients dial: not every voice reads the +,
    and the number with its country code would be wrong without it.
    """
    return ", ".join(" ".join(group) for group in re.findall(r"[0-9]+", national_form(number)))


def _written(text: str) -> str:
    """Return a text with plain digits, without invisible characters, quotes and label."""
    visible = with_plain_digits(text).strip()
    quoted = _QUOTED.fullmatch(visible)
    if quoted is not None:
        visible = (quoted[1] or quoted[2] or "").strip()
    return _LABEL.sub("", visible)


def with_plain_digits(text: str) -> str:
    """Return a text with the digits of any script in ASCII, and without invisible characters."""
    return text if text.isascii() else "".join(map(_plain, text))


def _plain(character: str) -> str:
    """Return a character in ASCII if it is a digit of any script or a full-width sign; nothing if it is invisible."""
    if unicodedata.category(character) == "Cf":
        return ""
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    return chr(ord(character) - _FULL_WIDTH_TO_ASCII) if ord(character) in _FULL_WIDTH else character


def _why_no_digits(written: str) -> str:
    if not written:
        return f"empty; {EXPECTED}"
    if _EXTENSION.search(written):
        return "has an extension, which can't be dialed; expected a number that reaches the patient directly"
    if _SEVERAL.search(written):
        return "more than one number; expected one"
    if any(character.isalpha() for character in written):
        return f"has letters in it; {EXPECTED}"
    return f"not a phone number; {EXPECTED}"


def _readings(compact: str, country: str) -> dict[str, PhoneNumber]:
    """Return each number that these digits can mean for a person in `country`, by its spelling in E.164."""
    if compact.startswith("+"):
        return _possible(compact)
    found = dict(_as_dialed(compact, country)) if country else {}
    if compact.startswith("00"):
        abroad = _possible(f"+{compact[2:]}")
        found |= {spelled: number for spelled, number in abroad.items() if phonenumbers.is_valid_number(number)}
    return found


def _is_number(compact: str, country: str) -> bool:
    """Return whether these digits alone are a valid number."""
    return any(map(phonenumbers.is_valid_number, _readings(compact, country).values()))


def _are_two(written: str, compact: str, country: str) -> bool:
    """Return whether a text is two numbers; `compact` is the same text without separators.

    "030/123456" is one number, "030 123456/7" are two. Where numbers have no fixed length, as in Germany and Austria,
    two numbers with only a space or a line break between them may look like one long number.
    """
    before, slash, _ = compact.partition("/")
    if slash and _is_number(before, country):
        return True
    if not 2 * _FEWEST <= len(compact) <= _MOST:
        return False
    parts = _GAP.split(written)
    whole, length = "".join(parts), 0
    for part in parts[:-1]:
        length += len(part)
        halves = (whole[:length], whole[length:])
        if _FEWEST <= length <= len(whole) - _FEWEST and all(_is_number(half, country) for half in halves):
            return True
    return False


def _possible(compact: str) -> dict[str, PhoneNumber]:
    """Return a number with `+` by its spelling in E.164; nothing if no country can have it."""
    try:
        number = phonenumbers.parse(compact, None)
    except phonenumbers.NumberParseException:
        return {}
    if not phonenumbers.is_possible_number(number):
        return {}
    spelled = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    # This removes a national prefix that was left in; the rest may begin with another one.
    return {spelled: number} if spelled == compact else _possible(spelled)


def _as_dialed(digits: str, country: str) -> Iterator[tuple[str, PhoneNumber]]:
    """Yield the valid numbers that these digits reach in a country and in the territories of its numbering."""
    for region in _regions(country):
        try:
            number = phonenumbers.parse(digits, region, keep_raw_input=True)
        except phonenumbers.NumberParseException:
            continue
        spelled = phonenumbers.format_number(number, PhoneNumberFormat.E164)
        if phonenumbers.is_valid_number(number) and _is_whole(digits, number, region):
            yield spelled, number


@lru_cache
def _regions(country: str) -> tuple[str, ...]:
    """Return a country, and one territory for each other country code of its numbering."""
    territories = sorted(territories_of(country) - {country})
    codes = {phonenumbers.country_code_for_region(region): region for region in (*territories, country)}
    return tuple(codes.values())


def _is_whole(digits: str, number: PhoneNumber, region: str) -> bool:
    """Return whether digits without `+` are a complete number: a missing area code is never guessed."""
    source = number.country_code_source
    if source == phonenumbers.CountryCodeSource.FROM_NUMBER_WITH_IDD:
        return True
    code, significant = number.country_code, phonenumbers.national_significant_number(number)
    if digits == f"{code}{significant}":  # "12025550147": unless it is short enough for a number within the country
        within = PhoneNumber(country_code=code, national_number=int(digits))
        if phonenumbers.is_possible_number_with_reason(within) == ValidationResult.TOO_LONG:
            return True
    prefix = phonenumbers.ndd_prefix_for_region(region, strip_non_digits=True) or ""
    dialed = re.sub("[^0-9]", "", phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL))
    return digits in {f"{prefix}{significant}", dialed}


def _name(country: str | None) -> str:
    """Return the name of a country, with its code; a number may belong to no country."""
    if country is None or not is_country(country):
        return "no country"
    return f"{Locale('en').territories.get(country, country)} ({country})"


_BEHIND_THE_NUMBER: Final = re.compile(
    r"(?:[.,]0+|\s*(?:x|ext\.?|extension|dw|durchwahl|poste|#)\s*\d{1,6})\s*$", re.IGNORECASE
)
"""A spreadsheet's decimals, or an extension."""


def is_spelling_of(text: str, number: str) -> bool:
    """Return whether a text from another program is this number, in any spelling.

    This accepts more spellings than calls do: to erase or export a number, its spelling must not matter. A national
    spelling is read in the number's own country.
    """
    text = _BEHIND_THE_NUMBER.sub("", text)
    digits = "".join(str(unicodedata.decimal(one)) for one in text if one.isdecimal())
    if not digits:
        return False
    if digits == number.removeprefix("+"):
        return True
    if text.strip().startswith(("+", "\uff0b")):
        return number_or_none(f"+{digits}") == number
    return any(found == number for found in _as_written(digits, number))


def _as_written(digits: str, number: str) -> Iterator[str]:
    """Yield the numbers that the digits mean if they are dialed in the number's country, or from abroad."""
    country_code = phonenumbers.parse(number, None).country_code or 0
    for region in phonenumbers.region_codes_for_country_code(country_code):
        try:
            read = phonenumbers.parse(digits, region)
        except phonenumbers.NumberParseException:
            continue
        yield phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164)
    for prefix in ("00", "011"):
        if digits.startswith(prefix):
            yield f"+{digits.removeprefix(prefix)}"
