"""Find phone numbers in text, however they are written, and mask them."""

import re
from collections.abc import Callable
from typing import Final

_FEWEST: Final = 7
"""Digits of the shortest number with a country code, +683 4000 on Niue."""

_FEWEST_OF_A_PERSON: Final = 6
"""Digits of the shortest local number, as a person writes it."""

_SHOWN_DIGITS: Final = 2

# What may stand between two digits: anything but letters. `repr`, URLs and HTML write some of it as an escape.
# Numbers in a list are distinguished by their size: no group of a phone number behind a comma has five digits.
_GAP: Final = (
    r"(?:\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[nrt]|%[0-9a-fA-F]{2}|&\#?\w{1,8};"
    r"|(?<!\d{5})[,;:](?!\s\d{5})|[^\w,;:]|_){0,8}+"
)


def _number(fewest: int) -> re.Pattern[str]:
    return re.compile(rf"[+\uff0b]?\(?\d(?:{_GAP}\d){{{fewest - 1},}}")


_NUMBER: Final = _number(_FEWEST)
_MAY_HAVE_ONE: Final = re.compile(rf"(?:\d\D*+){{{_FEWEST_OF_A_PERSON}}}")
_NUMBER_OF_A_PERSON: Final = _number(_FEWEST_OF_A_PERSON)

_KEPT: Final = re.compile(
    r"""(?<![0-9A-Za-z]) [0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12} (?![0-9A-Za-z])  # a UUID
    | (?<![0-9A-Za-z]) (?:[A-Z]{2})? (?=[0-9]*[a-f]) [0-9a-f]{32} (?![0-9A-Za-z])  # an id in hexadecimal digits
    | (?<![0-9]) (?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])
        (?:[T ][0-2][0-9]:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)?(?:Z|[+-][01][0-9]:[0-5][0-9])?)? (?![-./]?[0-9])
    | (?<![0-9]) (?:19|20)[0-9]{6}T[0-9]{6}Z? (?![0-9])  # a time in a file's name
    | (?<![0-9A-Za-z]) reminderd-[0-9a-f]{8}-(?:19|20)[0-9]{6}T[0-9]{6}Z (?![0-9])  # a backup, with a database's id
    | (?P<times> (?<![0-9:]) [0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]{1,9})?)? (?![0-9:])  # a time of day
        (?:[-\u2013][0-2]?[0-9]:[0-5][0-9](?![0-9:]))? )  # or from one time to another
    | (?<![0-9.,+]) [0-9]{1,3}(?:,[0-9]{3})+ (?=\ (?:bytes|calls|characters|lines|reminders|rows)\b)  # a count
    | (?<![0-9.+]) (?: (?=[0-9.]*[0-9]{3}\.|[0-9.]*\.[0-9]{3}(?![0-9]) | [0-9.]+:[0-9])
        (?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!\Z)|(?![0-9.]))){4} (?::[0-9]{1,5})? ) (?![0-9.]*[0-9])
    | (?<![0-9A-Za-z:]) (?:[0-9a-f]{1,4}:){1,4}:/64 (?![0-9])  # the network of an IPv6 address
    """,
    re.VERBOSE,
)
"""Digits that can't be a phone number: ids of ours and of other programs, times, counts, a client's IP address."""

_NEXT_TO_DIGITS: Final = 3
"""As many digits right next to a time show that all of them are one number."""

_NEAR: Final = r"(?:[,;:](?!\s)|[^\w,;:]|_){0,8}"
"""What may stand between a time and the digits of the same number; the comma of a list is followed by a space."""
_BEFORE: Final = re.compile(rf"(?:\d{_NEAR})*\Z")
_AFTER: Final = re.compile(rf"(?:{_NEAR}\d)*")
_NEARBY: Final = 40
"""Characters on either side of a time in which its number may continue."""

_LED_BY_PLUS: Final = re.compile(rf"[+\uff0b](?:\d|{_GAP}(?=\d))*{_GAP}\Z")


def masked(phone_number: str) -> str:
    """Return the number with `*` for every character except a leading + and the last two digits."""
    hidden = max(len(phone_number) - _SHOWN_DIGITS, min(len(phone_number), _SHOWN_DIGITS))
    plus = "+" if phone_number.startswith("+") else ""
    return plus + "*" * (hidden - len(plus)) + phone_number[hidden:]


def mask_numbers(text: str) -> str:
    """Return the text with each possible phone number masked; ids, times and counts stay."""
    return replace_numbers(text, masked)


def mask_numbers_in_notes(text: str) -> str:
    """Return a note that a person wrote, with each possible phone number masked, even a short local one."""
    return _replace(text, _NUMBER_OF_A_PERSON, masked)


def replace_numbers(text: str, replacement: Callable[[str], str]) -> str:
    """Return the text with each possible phone number replaced; ids, times and counts stay."""
    return _replace(text, _NUMBER, replacement)


def mask_name(name: str) -> str:
    """Return an id or a `ref`; if it begins with +, mask its number: other programs may use a phone number as an id."""
    return mask_numbers(name) if name.lstrip().startswith(("+", "\uff0b")) else name


def _is_part_of_number(text: str, at: int, time: re.Match[str]) -> bool:
    """Return whether what looks like a time continues a number: before it, but not before `at`, or after it."""
    before = _BEFORE.search(text[max(at, time.start() - _NEARBY) : time.start()])
    after = _AFTER.match(text[time.end() : time.end() + _NEARBY])
    near = f"{before and before[0]}{after and after[0]}"
    return sum(one.isdigit() for one in near) >= _NEXT_TO_DIGITS


def _replace(text: str, number: re.Pattern[str], replacement: Callable[[str], str]) -> str:
    if not _MAY_HAVE_ONE.search(text):
        return text
    pieces, at = [], 0
    for kept in _KEPT.finditer(text):
        if _LED_BY_PLUS.search(text, at, kept.start()) or (kept["times"] and _is_part_of_number(text, at, kept)):
            continue  # a group of a number that only looks like a date, a time or an address
        pieces += [text[at : kept.start()], kept[0]]
        at = kept.end()
    pieces.append(text[at:])
    # Every second piece is kept.
    pieces[::2] = [number.sub(lambda found: replacement(found[0]), piece) for piece in pieces[::2]]
    return "".join(pieces)
