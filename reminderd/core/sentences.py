"""Sentences for people, apart from what is in them: one can be printed by a command and shown in another language."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from attrs import field, frozen


@frozen
class Sentence:
    """A text with placeholders like `%(name)s`, and what stands in their places."""

    text: str
    """In English, of one if it counts something. Other languages are looked up by it."""
    values: Mapping[str, "Part"] = field(factory=dict)
    many: str | None = None
    """The text for any other `count` than one; None: it counts nothing."""
    between: str = "; "
    """What stands between several sentences in one place."""


Part = str | int | datetime | Sentence | Sequence[Sentence]
"""What may stand in a place. A `str` is the same in every language: a name, or a program's own text."""

Show = Callable[[datetime | int], str]
"""Returns a moment or a number as people read it."""

Choose = Callable[[str, str | None, int], str]
"""Returns the text in a language: of one, of many, how many there are."""


def text_of(part: Part, show: Show, choose: Choose | None = None, between: str = "; ") -> str:
    """Return what a person reads; in English if no language is chosen."""
    match part:
        case Sentence():
            number = part.values.get("count")
            count = number if isinstance(number, int) else 1
            english = part.text if part.many is None or count == 1 else part.many
            text = english if choose is None else choose(part.text, part.many, count)
            values = {name: text_of(value, show, choose, part.between) for name, value in part.values.items()}
            return text % values if values else text
        case str():
            return part
        case datetime() | int():
            return show(part)
        case _:
            return between.join(text_of(each, show, choose) for each in part)


class NotAllowedError(Exception):
    """What staff ask for is not allowed, as things are now; `sentence` has the reason and, if it helps, until when."""

    def __init__(self, text: str, values: Mapping[str, Part] | None = None) -> None:
        self.sentence = Sentence(text, values or {})
        super().__init__(text_of(self.sentence, str))
