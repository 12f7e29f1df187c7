"""Readable ids for the cases of parametrized tests."""

from collections.abc import Mapping
from typing import Any

import attrs

from reminderd.core.model import Call, Reminder

LONGEST = 60


def case_id(value: Any) -> str:
    """Return a short text that distinguishes this value from the others of its test."""
    match value:
        case str():
            text = value
        case Reminder():
            text = f"{value.status} {value.hold_code or value.end_code or ''}".strip()
        case Call():
            text = f"{value.state} {value.status or ''}".strip()
        case Mapping():
            text = ", ".join(f"{case_id(key)}={case_id(item)}" for key, item in value.items())
        case set() | frozenset():
            text = ", ".join(sorted(map(case_id, value)))
        case list() | tuple():
            text = ", ".join(map(case_id, value))
        case _ if attrs.has(type(value)):
            text = changes_of(value)
        case _ if callable(value):
            text = getattr(value, "__name__", type(value).__name__)
        case BaseException() | bytes():
            text = repr(value)
        case _:
            text = str(value)
    text = " ".join(text.split()) if len(text) > LONGEST else text
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def changes_of(value: attrs.AttrsInstance) -> str:
    """Return an attrs value's class, and its fields that differ from their defaults, or all if it has none."""
    required, changed = list[str](), list[str]()
    for each in attrs.fields(type(value)):
        item = getattr(value, each.name)
        factory = getattr(each.default, "factory", None)
        default = each.default if factory is None else factory()
        if default is attrs.NOTHING:
            required.append(case_id(item))
        elif item != default:
            changed.append(f"{each.name}={case_id(item)}")
    return " ".join([type(value).__name__, *(changed or required)])
