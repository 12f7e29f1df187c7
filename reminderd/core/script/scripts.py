"""What a clinic's patients hear in a call, in each language."""

import re
from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from reminderd.core.phone import digits_to_speak
from reminderd.core.script.languages import BUILT_IN, Language, best_match, primary_language, voice_tag
from reminderd.core.script.prompts import Prompt

PLACEHOLDERS: Final = ("clinic", "phone", "message")
"""The only names that may be in braces in a prompt's template."""

_PLACEHOLDER: Final = re.compile(rf"\{{({'|'.join(PLACEHOLDERS)})\}}")


@frozen(kw_only=True)
class Script:
    """The texts of a call in one language; the built-in texts of the language replace missing ones."""

    clinic: str = ""
    """The clinic's name; empty for "your clinic"."""
    phone: str = ""
    """The number to call back, in E.164; empty for `from_number`."""
    from_number: str = ""
    """The number from which calls are placed, in E.164; empty if not known."""
    language: str = "en-US"
    """The language of the voice, a BCP 47 tag."""
    voice: str = ""
    """The provider's name of the voice; empty if the provider chooses it by the language."""
    templates: Mapping[Prompt, str] = field(factory=dict, hash=False)
    """The clinic's own templates; `template` returns those of all prompts."""
    otherwise: "Script | None" = None
    """The script in the clinic's own language, for missing texts if this script's language is not built in."""

    @property
    def is_built_in(self) -> bool:
        """Return whether there are built-in prompts for its language, whatever the region."""
        return primary_language(self.language) in BUILT_IN

    @property
    def built_in(self) -> Language:
        """Return the built-in texts of its language, else those of the clinic's language, else those in English."""
        if self.is_built_in or self.otherwise is None:
            return BUILT_IN.get(primary_language(self.language), BUILT_IN["en"])
        return self.otherwise.built_in

    def template(self, prompt: Prompt) -> str:
        """Return the template of a prompt: its own, else the built-in one of its language, else the clinic's.

        The template of the message is only the message.
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
    """The clinic's scripts: one for its own language, and one for each other language in which it has texts."""

    own: Script = field(factory=Script)
    by_language: Mapping[str, Script] = field(factory=dict, hash=False)
    """The scripts for other languages, by the tag in the configuration."""

    def has(self, language: str | None) -> bool:
        """Return whether there are texts in a language, a BCP 47 tag; None for the clinic's own."""
        return language is None or self._own_for(language) is not None or primary_language(language) in BUILT_IN

    def of(self, language: str | None) -> Script:
        """Return the script of a call in a language, a BCP 47 tag; None for the clinic's own.

        It is the clinic's script for the language, else the built-in one, else that in the clinic's own language. A
        script for another region is used if there is no better one: `es-AR` may be spoken as `es-US`.
        """
        if language is None:
            return self.own
        found = self._own_for(language)
        if found is not None:
            return found
        built_in = BUILT_IN.get(primary_language(language))
        if built_in is None:
            return self.own
        exact = (tag for tag in built_in.tags if tag.lower() == language.lower())
        return Script(
            clinic=self.own.clinic,
            phone=self.own.phone,
            from_number=self.own.from_number,
            language=next(exact, voice_tag(primary_language(language), near=self.own.language)),
        )

    def can_share_call(self, language: str | None, other: str | None) -> bool:
        """Return whether messages in both languages can be spoken in one call."""
        if language == other:
            return True
        return self.has(language) and self.has(other) and self.of(language) == self.of(other)

    def _own_for(self, language: str) -> Script | None:
        """Return the clinic's script for a language: with the same tag, else for another region; else None."""
        found = best_match(language, [self.own.language, *self.by_language])
        return None if found is None else self.by_language.get(found, self.own)


def spoken_text(prompt: Prompt, script: Script, message: str) -> str:
    """Return everything that is spoken for a prompt.

    `{phone}` is read digit by digit: see `digits_to_speak`. Braces in the message and the clinic's name are no
    placeholders.
    """
    number = script.phone or script.from_number
    filled = {
        "clinic": script.clinic or script.built_in.clinic,
        "phone": digits_to_speak(number) if number else script.built_in.phone,
        "message": message,
    }
    return _PLACEHOLDER.sub(lambda found: filled[found[1]], script.template(prompt))
