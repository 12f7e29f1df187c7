"""Makes text safe for a log: phone numbers masked, query strings cut off, no control characters."""

import re
from typing import Final

_NUMBER_OR_UUID: Final = re.compile(
    r"(?P<uuid>\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)"
    r"|\+\d(?:[ ().-]{0,2}\d){6,}"  # with a +, what stands between the digits belongs to the number
    r"|\d{7,}",
    re.IGNORECASE,
)
_ANY_NUMBER: Final = re.compile(r"\+?\(?\d(?:[ ()/.-]{0,3}\d){5,}")
_QUERY: Final = re.compile(r"(/[^\s?\"'<>]*)\?[^\s\"'<>]*")
_SHOWN_DIGITS: Final = 2


def masked(phone_number: str) -> str:
    """The number with every character but its last two digits, and a leading +, as `*`."""
    hidden = max(len(phone_number) - _SHOWN_DIGITS, min(len(phone_number), _SHOWN_DIGITS))
    plus = "+" if phone_number.startswith("+") else ""
    return plus + "*" * (hidden - len(plus)) + phone_number[hidden:]


def without_numbers(text: str) -> str:
    """The text with everything masked that may be a phone number: seven digits or more. UUIDs, our ids, stay."""
    return _NUMBER_OR_UUID.sub(lambda found: found[0] if found["uuid"] else masked(found[0]), text)


def without_any_numbers(text: str) -> str:
    """The text of a person with every number masked that has six digits or more, however they are grouped."""
    return _ANY_NUMBER.sub(lambda found: masked(found[0]), text)


def without_queries(text: str) -> str:
    """The text with the query strings of its URLs and paths cut off."""
    return _QUERY.sub(r"\1", text)


def on_one_line(text: str) -> str:
    """The text with newlines, control characters and all else that could fool a terminal written as escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
