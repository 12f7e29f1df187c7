"""The words that a clinic's patients hear: templates filled with its name, its number and the reminder's message."""

import re
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from reminderd.core.conversation import Part
from reminderd.core.phone import dictated
from reminderd.core.wordings import words_of

PLACEHOLDERS: Final = ("clinic", "phone", "message")
"""What may stand in braces in a template; nothing else may."""

_PLACEHOLDER: Final = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")


@frozen(kw_only=True)
class Wording:
    """How a clinic speaks. What it leaves empty, its language fills."""

    clinic: str = ""
    """Its name; empty: it is "your clinic"."""
    phone: str = ""
    """Where to call back, in E.164; empty: `from_number`."""
    from_number: str = ""
    """The number that the calls come from, in E.164; empty: not known."""
    language: str = "en-US"
    """A BCP 47 tag."""
    voice: str = ""
    """A voice's name at the provider; empty: the provider's choice for the language."""
    templates: Mapping[Part, str] = field(factory=dict, hash=False)
    """The clinic's own; the language has one for every other part, see `template`."""

    def template(self, part: Part) -> str:
        """What is said, its placeholders not yet filled: the clinic's own words, else the language's.

        The message is nobody's words but its own.
        """
        if part is Part.MESSAGE:
            return "{message}"
        return self.templates.get(part) or words_of(self.language).templates[part]


def spoken(part: Part, wording: Wording, message: str) -> str:
    """What is said, in full.

    `{phone}` is dictated digit by digit, see `dictated`. Braces in the message and in the clinic's name are only
    characters: they are not filled again.
    """
    words = words_of(wording.language)
    number = wording.phone or wording.from_number
    filled = {
        "clinic": wording.clinic or words.clinic,
        "phone": dictated(number) if number else words.phone,
        "message": message,
    }
    return _PLACEHOLDER.sub(lambda found: filled[found[1]], wording.template(part))
