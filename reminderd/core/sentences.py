"""Sentences for people, kept apart from the values in them, so that they can be shown in any language."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from attrs import field, frozen


@frozen
class Sentence:
    """A text with placeholders like `%(name)s`, and their values."""

    text: str
    """The English text, which is also the key for other languages; in the singular if it counts something."""
    values: Mapping[str, "TextValue"] = field(factory=dict)
    many: str | None = None
    """The plural, for any `count` other than one; None if it counts nothing."""
    between: str = "; "
    """The separator of several sentences in one placeholder."""


TextValue = str | int | datetime | Sentence | Sequence[Sentence]
"""The value of a placeholder. A `str` is the same in every language, such as a name or another program's text."""

Show = Callable[[datetime | int], str]
"""Returns a moment or a number as people read it."""

Choose = Callable[[str, str | None, int], str]
"""Returns the text in a language, from the singular, the plural and the count."""


def text_of(value: TextValue, show: Show, choose: Choose | None = None, between: str = "; ") -> str:
    """Return the text that a person reads, in English if `choose` is None."""
    match value:
        case Sentence():
            number = value.values.get("count")
            count = number if isinstance(number, int) else 1
            english = value.text if value.many is None or count == 1 else value.many
            text = english if choose is None else choose(value.text, value.many, count)
            values = {name: text_of(inner, show, choose, value.between) for name, inner in value.values.items()}
            return text % values if values else text
        case str():
            return value
        case datetime() | int():
            return show(value)
        case _:
            return between.join(text_of(each, show, choose) for each in value)


class NotAllowedError(Exception):
    """What staff ask for is not allowed now; `sentence` has the reason and, if known, until when."""

    def __init__(self, text: str, values: Mapping[str, TextValue] | None = None) -> None:
        self.sentence = Sentence(text, values or {})
        super().__init__(text_of(self.sentence, str))
