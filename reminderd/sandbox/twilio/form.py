"""Reads a request's parameters as strictly as the documentation words them: unknown, repeated, empty is refused."""

import re
from collections.abc import Collection, Mapping
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from reminderd.providers.twilio.signature import form_fields
from reminderd.sandbox.twilio.errors import ApiError, bad_parameter

Fields: TypeAlias = Mapping[str, tuple[str, ...]]
"""Each parameter's values, in their order."""

_FORM: Final = "application/x-www-form-urlencoded"
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_URL_LIMIT: Final = 4_000


def read_form(content_type: str, body: bytes) -> Fields:
    """The fields of a form.

    Raises:
        ApiError: the body is no form.
    """
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise bad_parameter(f"Content-Type: expected {_FORM}")
    try:
        return gathered(form_fields(body))
    except ValueError as error:
        raise bad_parameter("The body is not a form in UTF-8") from error


def gathered(pairs: Collection[tuple[str, str]]) -> Fields:
    """Names and values as they came, put together by name."""
    return {name: tuple(value for other, value in pairs if other == name) for name, _ in pairs}


def expect_known(fields: Fields, known: Collection[str], *, repeatable: Collection[str] = ()) -> None:
    """Refuse what is not a parameter of this request, or comes more often than once.

    Raises:
        ApiError: naming the first such.
    """
    for name, values in fields.items():
        if name not in known:
            raise bad_parameter(f"{name} is not a parameter of this request, or none that the sandbox plays")
        if len(values) > 1 and name not in repeatable:
            raise bad_parameter(f"{name} is given {len(values)} times")


def one(fields: Fields, name: str) -> str | None:
    """The value of a parameter that comes once at most."""
    return fields[name][0] if name in fields else None


def choice(fields: Fields, name: str, words: Collection[str], default: str) -> str:
    """One of these words.

    Raises:
        ApiError: it is another.
    """
    word = one(fields, name)
    if word is not None and word not in words:
        raise bad_parameter(f"{name}: expected one of {', '.join(sorted(words))}")
    return default if word is None else word


def number(fields: Fields, name: str, lowest: int, highest: int, default: int) -> int:
    """A whole number within these bounds.

    Raises:
        ApiError: it is none.
    """
    text = one(fields, name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
        raise bad_parameter(f"{name}: expected a whole number from {lowest} to {highest}")
    return int(text)


def web_address(fields: Fields, name: str, code: int) -> str | None:
    """A complete URL whose host is a name that DNS allows, so one without an underscore.

    Raises:
        ApiError: with this code, if it is none.
    """
    url = one(fields, name)
    if url is None or _is_web_address(url):
        return url
    raise ApiError(code, f"{name} is not a valid URL")


def _is_web_address(url: str) -> bool:
    if len(url) > _URL_LIMIT or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    is_name = host is not None and all(_LABEL.fullmatch(label) for label in host.split("."))
    return parts.scheme in {"http", "https"} and is_name
