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


def national(number: str) -> str:
    """A normalised number as it is written and dialled in its own country, like `(202) 555-0190` or `030 123456`."""
    parsed = phonenumbers.parse(number, None)
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)


def dictated(number: str) -> str:
    """A normalised number so that a voice reads digit after digit: `+12025550190` is `2 0 2, 5 5 5, 0 1 9 0`.

    Digits that stand alone are never read as "two hundred", and a comma is a short pause between the groups in which
    people of that country write and remember it. It is the national number, since that is what a clinic's patients
    dial: a + is not read out by every voice, and without it the number with its country's code would be a wrong one.
    """
    return ", ".join(" ".join(group) for group in re.findall(r"[0-9]+", national(number)))
