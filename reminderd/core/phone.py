"""Phone numbers: one spelling (E.164 with `+`), and whether a number can exist at all."""

import re

import phonenumbers

_DROPPED = re.compile(r"[\s\-\u2010-\u2015().]")
_E164 = re.compile(r"\+[1-9][0-9]{4,14}", re.ASCII)


def normalised(text: str) -> str | None:
    """The number as it is stored and compared, `+` and up to 15 digits; None if no such number is possible.

    Spaces, dashes, dots and brackets are dropped. A number without `+` is never completed by guessing a country.
    """
    compact = _DROPPED.sub("", text)
    if not _E164.fullmatch(compact):
        return None
    try:
        number = phonenumbers.parse(compact, None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    spelled = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    # A national prefix that was left in is taken off, and what is left may begin with another.
    return spelled if spelled == compact else normalised(spelled)
