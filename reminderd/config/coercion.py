"""Values as TOML has them, and the environment's text, as the types that the keys take; nothing is guessed."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args, get_origin

from reminderd.config.given import Text

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_SWITCHES: Final = {"true": True, "false": False}

_KINDS: Final = (
    (bool, "is true or false"),
    (int, "is a whole number"),
    (float, "is a number with a decimal point"),
    (str, "is text"),
    (list, "is a list"),
    (dict, "is a section"),
)
"""TOML's types in words; bool first, as each bool is an int."""


def typed(value: object, wanted: Any) -> object | None:  # noqa: ANN401 - a type or a form such as Literal
    """The value as the wanted type; None if it is of another one."""
    form = get_origin(wanted) or wanted
    if form is Mapping:
        return _texts(value)
    if form is tuple and get_args(wanted)[0] is float:
        return _numbers(value)
    if isinstance(value, Text):
        return _parsed(value.value.strip(), form)
    if form is tuple:
        return tuple(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else None
    if form is float and type(value) is int:
        return _as_float(value)
    return value if type(value) is (str if form is Literal else form) else None


def _texts(value: object) -> dict[str, str] | None:
    """A table of texts."""
    return value if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()) else None


def _numbers(value: object) -> tuple[float, ...] | None:
    """Several numbers, or one that stands alone."""
    if isinstance(value, Text):
        given: list[object] = [Text(item) for item in value.value.split(",")]
    else:
        given = value if isinstance(value, list) else [value]
    found = [typed(item, float) for item in given]
    return tuple(number for number in found if isinstance(number, float)) if None not in found else None


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _parsed(text: str, form: object) -> object | None:
    if form is int:
        return int(text) if _WHOLE.fullmatch(text) else None
    if form is float:
        try:
            return float(text)
        except ValueError:
            return None
    if form is bool:
        return _SWITCHES.get(text.lower())
    if form is tuple:
        return tuple(item.strip() for item in text.split(",")) if text else ()
    return text


def described(value: object, wanted: Any) -> str:  # noqa: ANN401 - a type or a form such as Literal
    """What is wrong with a value that is not of the wanted type."""
    if isinstance(value, Text):
        return "does not fit"
    if isinstance(value, list) and get_origin(wanted) is tuple:
        return "has something other than text in it"
    if isinstance(value, dict) and get_origin(wanted) is Mapping:
        return "has something other than text in it"
    return next((words for kind, words in _KINDS if isinstance(value, kind)), "is a date or a time")
