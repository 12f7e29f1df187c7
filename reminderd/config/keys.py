"""How one key of the configuration is declared: its default, what is expected of it, and what can be wrong with it.

No mistake repeats a value, however short: it could be a secret that was put in the wrong place.
"""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, Final, TypeVar

import attrs

T = TypeVar("T")

EXPECTED: Final = "expected"
"""The name, in an attribute's metadata, of the words that say what a key takes."""

DERIVED: Final = {"derived": True}
"""The metadata of an attribute that is no key: it is worked out, not written by anybody."""

_NAME: Final = re.compile(r"[A-Za-z]+(?:[_-][A-Za-z]+)*[0-9]{0,2}")
_NAME_LENGTH: Final = 40


def key(
    default: T,
    expected: str,
    wrong: Callable[[T], str | None] | None = None,
    *,
    secret: bool = False,
    converter: Callable[[T], T] | None = None,
) -> T:
    """Declare a key, as an attribute of a section.

    Args:
        default: its value where nobody gives one.
        expected: ends the sentence "expected …".
        wrong: says what is wrong with a value of the right type, or None; None if nothing can be. It may raise
            ValueError instead, with an expectation of its own.
        secret: its value is left out of the section's repr.
        converter: brings a good value into its one form.
    """

    def checked(_section: object, _attribute: object, value: T) -> None:
        found = None if wrong is None else wrong(value)
        if found is not None:
            raise ValueError(f"{found}; expected {expected}")

    # attrs types its converters from Any, which would turn the whole key into Any.
    converted: Any = converter
    declared: T = attrs.field(
        default=default, validator=checked, converter=converted, repr=not secret, metadata={EXPECTED: expected}
    )
    return declared


def whole(default: int, low: int, high: int) -> int:
    """A whole number, both ends included."""
    return key(default, f"a whole number from {low} to {high}", lambda value: _outside(value, low, high))


def number(default: float, low: float, high: float) -> float:
    """A number, both ends included."""
    return key(default, f"a number from {low:g} to {high:g}", lambda value: _outside(value, low, high))


def numbers(default: tuple[float, ...], low: float, high: float) -> tuple[float, ...]:
    """One number or several, both ends included."""

    def wrong(values: tuple[float, ...]) -> str | None:
        if not values:
            return "is empty"
        return next((found for value in values if (found := _outside(value, low, high)) is not None), None)

    return key(default, f"a number from {low:g} to {high:g}, or a list of such", wrong)


def positive(default: float, high: float) -> float:
    """A number above zero."""
    return key(
        default,
        f"a number above 0 and up to {high:g}",
        lambda value: "is not above 0" if value <= 0 else _outside(value, 0, high),
    )


def _outside(value: float, low: float, high: float) -> str | None:
    if low <= value <= high:
        return None
    if value < low:
        return "is too small"
    return "is too large" if value > high else "is not a number"  # NaN is neither


def switch(*, default: bool) -> bool:
    """True or false."""
    return key(default, "true or false")


def choice(default: T, *words: T) -> T:
    """One of some words."""
    return key(default, f"one of {listed(words)}", lambda value: unknown(value, words))


def choices(default: tuple[T, ...], *words: T) -> tuple[T, ...]:
    """Some of some words, at least one."""

    def wrong(values: tuple[T, ...]) -> str | None:
        if not values:
            return "is empty"
        return next(
            (
                f"has a word, number {place}, that {found}"
                for place, value in enumerate(values, start=1)
                if (found := unknown(value, words)) is not None
            ),
            None,
        )

    return key(default, f"a list of some of {listed(words)}", wrong)


def unknown(value: object, words: tuple[object, ...]) -> str | None:
    """What is wrong with a word that is none of these, with the one that may have been meant; None if it is one."""
    if value in words:
        return None
    return f"is unknown{did_you_mean(str(value), map(str, words))}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean …?` if one of the known words is close, else nothing."""
    by_small_letters = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(word.casefold(), by_small_letters, n=1)
    return f", did you mean {by_small_letters[close[0]]}?" if close else ""


def shown_name(name: str) -> str:
    """The name of a key as a mistake may show it: of words, as all keys are. Anything else may be a secret."""
    return name if len(name) <= _NAME_LENGTH and _NAME.fullmatch(name) else "…"


def listed(words: tuple[object, ...]) -> str:
    """The words as they are written in TOML, comma separated."""
    return ", ".join(f'"{word}"' for word in words)
