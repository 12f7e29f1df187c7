"""What a clinic's patients hear in a call, in each language."""

import re
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from reminderd.core.phone import dictated
from reminderd.core.script.languages import BUILT_IN, Language, best_of, primary, voice_tag
from reminderd.core.script.prompts import Prompt

PLACEHOLDERS: Final = ("clinic", "phone", "message")
"""What may stand in braces in a prompt's template; nothing else may."""

_PLACEHOLDER: Final = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")


@frozen(kw_only=True)
class Script:
    """What is spoken in a call in one language; what is empty is filled by the language."""

    clinic: str = ""
    """The clinic's name; empty: it is "your clinic"."""
    phone: str = ""
    """Where to call back, in E.164; empty: `from_number`."""
    from_number: str = ""
    """The number that the calls come from, in E.164; empty: not known."""
    language: str = "en-US"
    """The voice's, a BCP 47 tag."""
    voice: str = ""
    """A voice's name at the provider; empty: the provider's choice for the language."""
    templates: Mapping[Prompt, str] = field(factory=dict, hash=False)
    """The clinic's own; for every other prompt see `template`."""
    otherwise: "Script | None" = None
    """The one in the clinic's own language, for what this one lacks if its language is not built in."""

    @property
    def is_built_in(self) -> bool:
        """Return whether there are built-in prompts for its language, whatever the region."""
        return primary(self.language) in BUILT_IN

    @property
    def built_in(self) -> Language:
        """Return what is built in for its language; if nothing is, for the clinic's, else for English."""
        if self.is_built_in or self.otherwise is None:
            return BUILT_IN.get(primary(self.language), BUILT_IN["en"])
        return self.otherwise.built_in

    def template(self, prompt: Prompt) -> str:
        """Return the template of a prompt: its own, else that built in for its language, else the clinic's.

        That of the message is the message alone.
        """
        if prompt is Prompt.MESSAGE:
            return "{message}"
        own = self.templates.get(prompt)
        if own:
            return own
        if self.is_built_in or self.otherwise is None:
            return self.built_in.templates[prompt]
        return self.otherwise.template(prompt)


@frozen(kw_only=True)
class Scripts:
    """The clinic's scripts: one for its own language, and one for each other language that it has texts for."""

    own: Script = field(factory=Script)
    by_language: Mapping[str, Script] = field(factory=dict, hash=False)
    """By the tag that the configuration has."""

    def has(self, language: str | None) -> bool:
        """Return whether there are texts in a language, a BCP 47 tag; None is the clinic's own."""
        return language is None or self._own_for(language) is not None or primary(language) in BUILT_IN

    def of(self, language: str | None) -> Script:
        """Return the script of a call in a language, a BCP 47 tag; None is the clinic's own.

        It is the clinic's script for the language, else what is built in for it, else that of the clinic's own
        language. One in another region is better than none: `es-AR` is spoken as `es-US` if that is what there is.
        """
        if language is None:
            return self.own
        found = self._own_for(language)
        if found is not None:
            return found
        built_in = BUILT_IN.get(primary(language))
        if built_in is None:
            return self.own
        exact = (tag for tag in built_in.tags if tag.lower() == language.lower())
        return Script(
            clinic=self.own.clinic,
            phone=self.own.phone,
            from_number=self.own.from_number,
            language=next(exact, voice_tag(primary(language), near=self.own.language)),
        )

    def are_one(self, language: str | None, other: str | None) -> bool:
        """Return whether one call can be spoken in both languages."""
        if language == other:
            return True
        return self.has(language) and self.has(other) and self.of(language) == self.of(other)

    def _own_for(self, language: str) -> Script | None:
        """Return the script that the clinic has for a language: of the same tag, else of another region."""
        found = best_of(language, [self.own.language, *self.by_language])
        return None if found is None else self.by_language.get(found, self.own)


def spoken(prompt: Prompt, script: Script, message: str) -> str:
    """Return what is spoken for a prompt, in full.

    `{phone}` is dictated digit by digit, see `dictated`. Braces in the message and in the clinic's name are only
    characters: they are not filled again.
    """
    number = script.phone or script.from_number
    filled = {
        "clinic": script.clinic or script.built_in.clinic,
        "phone": dictated(number) if number else script.built_in.phone,
        "message": message,
    }
    return _PLACEHOLDER.sub(lambda found: filled[found[1]], script.template(prompt))
