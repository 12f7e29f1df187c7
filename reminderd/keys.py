"""Declare one key of the configuration: its default, what is expected, and its validator."""

from collections.abc import Callable, Mapping
from keyword import iskeyword
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

import attrs

from reminderd import validators

T = TypeVar("T")

KeyPath: TypeAlias = tuple[str, ...]
"""A key within its sections, or a section: `("provider", "generic", "api_key")`."""

EXPECTED: Final = "expected"
"""The name, in an attribute's metadata, of the phrase that describes a valid value."""

MARK: Final = "mark"
"""The name, in an attribute's metadata, of the key's mark: `SECRET`, `PHONE` or none."""

SECRET: Final = "secret"  # noqa: S105 - a name
"""A key whose value may also be in a file, which the key `…_file` names."""

PHONE: Final = "phone number"
"""A key whose value is a phone number of the clinic."""

SECTIONS: Final = "sections"
"""The name, in an attribute's metadata, of the class of its sections, whose names the clinic chooses."""

DERIVED: Final = {"derived": True}
"""The metadata of an attribute that is not a key: it is never written in a file."""

PREFIX: Final = "REMINDERD__"
"""The prefix of each environment variable that sets a key."""


def key(
    default: T,
    expected: str,
    error: Callable[[T], str | None] | None = None,
    *,
    converter: Callable[[T], T] | None = None,
    mark: str = "",
    kind: type | None = None,
) -> T:
    """Declare a key, as an attribute of a section.

    Args:
        default: the value if the key is not set.
        expected: completes the sentence "expected …".
        error: the validator, which returns what is wrong with a value of the right type, or None. It may instead raise
            a ValueError that states what is expected. Without a validator, every value is valid.
        converter: converts a valid value to its standard form.
        mark: SECRET, PHONE or none. The repr of a section does not show a secret.
        kind: the class of the sections that are the key's value: see `sections`.
    """

    def validate(_section: object, _attribute: object, value: T) -> None:
        found = None if error is None else error(value)
        if found is not None:
            raise ValueError(f"{found}; expected {expected}")

    # attrs types its converters from Any, which would turn the whole key into Any.
    converted: Any = converter
    declared: T = attrs.field(
        default=default,
        validator=validate,
        converter=converted,
        repr=mark != SECRET,
        metadata={EXPECTED: expected, MARK: mark, SECTIONS: kind},
    )
    return declared


def sections(kind: type[T], name_error: Callable[[str], str | None], expected: str) -> Mapping[str, T]:
    """Declare sections of one class: `[import.profiles.practice]`, each with a name that the clinic chooses.

    `name_error` returns None for a valid name, or what is wrong with it, in words that can follow "the name".
    """

    def error(by_name: Mapping[str, T]) -> str | None:
        for place, name in enumerate(by_name, start=1):
            mistake = name_error(name)
            if mistake is not None:
                return f"the name of section {place} {mistake}"
        return None

    none: Mapping[str, T] = MappingProxyType({})
    return key(none, expected, error, kind=kind)


def whole_number(default: int, low: int, high: int) -> int:
    """Declare a whole number from `low` to `high`, inclusive."""
    return key(default, f"a whole number from {low} to {high}", lambda value: _range_error(value, low, high))


def number(default: float, low: float, high: float) -> float:
    """Declare a number from `low` to `high`, inclusive."""
    return key(default, f"a number from {low:g} to {high:g}", lambda value: _range_error(value, low, high))


def numbers(default: tuple[float, ...], low: float, high: float) -> tuple[float, ...]:
    """Declare one number or a list of numbers, each from `low` to `high`, inclusive."""

    def error(values: tuple[float, ...]) -> str | None:
        if not values:
            return "is empty"
        return next((found for value in values if (found := _range_error(value, low, high)) is not None), None)

    return key(default, f"a number from {low:g} to {high:g}, or a list of them", error)


def positive(default: float, high: float) -> float:
    """Declare a number above zero, up to `high`."""

    def error(value: float) -> str | None:
        return "is not above 0" if value <= 0 else _range_error(value, 0, high)

    return key(default, f"a number above 0 and up to {high:g}", error)


def _range_error(value: float, low: float, high: float) -> str | None:
    if low <= value <= high:
        return None
    if value < low:
        return "is too small"
    return "is too large" if value > high else "is not a number"  # NaN is neither


def switch(*, default: bool) -> bool:
    """Declare a key that is true or false."""
    return key(default, "true or false")


def choice(default: T, *words: T) -> T:
    """Declare a key whose value is one of these words."""
    return key(default, f"one of {quoted_list(words)}", lambda value: validators.word_error(value, words))


def choices(default: tuple[T, ...], *words: T) -> tuple[T, ...]:
    """Declare a list of one or more of these words."""

    def error(values: tuple[T, ...]) -> str | None:
        if not values:
            return "is empty"
        return validators.entry_error(values, lambda value: validators.word_error(value, words))

    return key(default, f"a list of some of {quoted_list(words)}", error)


def quoted_list(words: tuple[object, ...]) -> str:
    """Return the words as a list of quoted strings."""
    return ", ".join(f'"{word}"' for word in words)


def url(default: str = "") -> str:
    """Declare the URL of a server; if it has a default, it can't be set to ""."""
    return key(
        default,
        "https://host or http://host, with or without a path, no credentials, no query",
        validators.required_url_error if default else validators.url_error,
        converter=lambda text: text.rstrip("/"),
    )


def country() -> str:
    """Declare the code of a country; "" if it is not known."""
    expected = 'a two-letter country code (ISO 3166) like "US" or "DE"'
    return key("", expected, validators.country_error, converter=validators.country_code)


def folder_path() -> str:
    """Declare the path of a folder; "" for no folder."""
    return key("", "the path of a folder", validators.path_error)


def file_path() -> str:
    """Declare the path of a file; "" for no file."""
    return key("", "the path of a file", validators.file_error)


def secret(
    expected: str = "printable ASCII characters without spaces",
    error: Callable[[str], str | None] | None = validators.header_error,
) -> str:
    """Declare a secret. Declare the key `…_file` after it, as the secret may also be in a file."""
    return key("", expected, error, mark=SECRET)


def phone_number() -> str:
    """Declare a phone number of the clinic, which is validated once the clinic's country is known."""
    return key("", "a phone number", mark=PHONE)


def time_of_day(default: str) -> str:
    """Declare the time of day of a daily job."""
    return key(default, 'a time from "00:00" to "23:59"', validators.start_error)


def file_of(path: KeyPath) -> KeyPath:
    """Return the key that names the file of a secret."""
    return (*path[:-1], f"{path[-1]}_file")


def name_of(attribute: str) -> str:
    """Return the name of an attribute's key or section. A Python keyword, like `import_`, loses its underscore."""
    return attribute.removesuffix("_")


def attribute_of(name: str) -> str:
    """Return the name of the attribute for a key or section; a Python keyword gets an underscore at its end."""
    return f"{name}_" if iskeyword(name) else name


def variable_of(path: KeyPath) -> str:
    """Return the name of the environment variable that sets a key."""
    return PREFIX + "__".join(path).upper()


def missing_secret(path: KeyPath) -> str:
    """Return the error for a required secret that is not set."""
    file, variable = f"{path[-1]}_file", variable_of(path)
    return f"is missing; expected the secret, or its file in {file} (in the environment: {variable}, {variable}_FILE)"
