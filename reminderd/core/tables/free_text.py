"""Find the phone number in a text that has more in it, like a calendar entry's description: the only one, or none."""

import re
from typing import Final

EXPECTED: Final = "expected exactly one phone number in it"

LONGEST: Final = 20_000
"""Characters of a text in which a number is searched."""

_NO_NUMBER: Final = re.compile(
    r"""\S{1,200}(?:://|@)\S* | \b\d{4}-\d\d-\d\d(?!\d) | \b\d{1,2}([./-])\d{1,2}\1(?:\d{4}|\d\d)(?!\d)
        | \b\d{1,2}:\d\d(?::\d\d)?(?!\d)""",
    re.VERBOSE | re.ASCII,
)
"""What has digits, but is no phone number: an address of the web or of mail, a date, a time of day."""
_DIGITS: Final = re.compile(r"[+(]{0,2}[0-9](?:[ \t\u00a0.()/\-\u2010-\u2015]{0,3}[0-9])*")
_FEWEST: Final = 7
"""Digits of a phone number; what has fewer is the number of a room or a house."""
_EXTENSION: Final = re.compile(
    r"[\s,;]{0,3}(?:x|ext(?:ension|\.)?|#|dw|durchwahl|poste)[\s.:]{0,3}[0-9]", re.IGNORECASE
)
_LONGEST_FAX: Final = 12
"""Characters in front of a number in which it is searched whether it is a fax's."""
_FAX: Final = re.compile(r"\b(?:tele)?fax\b[\s.:]{0,3}$", re.IGNORECASE)


def number_in(text: str) -> str:
    """Return the only phone number in a text as it is written there, the same one twice included.

    Every other long run of digits may be a number, too, so a text with both is refused.

    Raises:
        ValueError: it has none, or more than one; the message says what is expected, without the number.
    """
    if len(text) > LONGEST:
        raise ValueError(f"too long to search, more than {LONGEST:,} characters; {EXPECTED}")
    found: dict[str, str] = {}
    text = _NO_NUMBER.sub("; ", text)
    for match in _DIGITS.finditer(text):
        digits = re.sub("[^0-9]", "", match[0])
        if len(digits) < _FEWEST:
            continue
        if _FAX.search(text, max(0, match.start() - _LONGEST_FAX), match.start()):
            raise ValueError(f"a fax number in it; {EXPECTED}, and none of a fax")
        if _EXTENSION.match(text, match.end()):
            raise ValueError("a number with an extension, which can't be dialed; expected one that needs none")
        found.setdefault(digits, match[0])
    if not found:
        raise ValueError(f"no phone number in it; {EXPECTED}")
    if len(found) > 1:
        raise ValueError(f"more than one number in it; {EXPECTED}")
    return next(iter(found.values()))


def labeled(text: str, label: str) -> str | None:
    """Return what follows a label and a colon at the beginning of a line of a text; None: no line has the label.

    Raises:
        ValueError: more than one line has it, each with something else.
    """
    pairs = (line.partition(":") for line in text.splitlines())
    found = {value.strip() for name, colon, value in pairs if colon and name.strip().casefold() == label.casefold()}
    if len(found) > 1:
        raise ValueError(f'more than one line begins with "{label}:"; expected one')
    return next(iter(found), None)
