"""Whether a text that another program has written is a phone number, in whatever spelling.

More is found here than may be called: what is erased or exported must not depend on how it was written.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

import phonenumbers

from reminderd.core.phone import normalised

_BEHIND_THE_NUMBER: Final = re.compile(
    r"(?:[.,]0+|\s*(?:x|ext\.?|extension|dw|durchwahl|poste|#)\s*\d{1,6})\s*$", re.IGNORECASE
)
"""A spreadsheet's decimals, or an extension."""


def spells(text: str, number: str) -> bool:
    """Return whether the text is this number, in its stored form; national spellings are those of its own country."""
    text = _BEHIND_THE_NUMBER.sub("", text)
    digits = "".join(str(unicodedata.decimal(one)) for one in text if one.isdecimal())
    if not digits:
        return False
    if digits == number.removeprefix("+"):
        return True
    if text.strip().startswith(("+", "\uff0b")):
        return normalised(f"+{digits}") == number
    return any(found == number for found in _readings(digits, number))


def _readings(digits: str, number: str) -> Iterator[str]:
    """Yield what the digits mean to those who dial them in the number's country, or from abroad."""
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
