"""The section `[messages]`: how the clinic speaks to its patients."""

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import frozen

from reminderd.config.keys import did_you_mean, key, shown_name
from reminderd.core.script.advice import unfilled
from reminderd.core.script.templates import PLACEHOLDERS, TEMPLATE_PLACEHOLDERS

NAME_LENGTH: Final = 100
TEMPLATE_LENGTH: Final = 1_000
"""Characters. Said at a normal pace these are more than a minute already."""

MOST_OF_ONE: Final = 3
"""How often a template may have one placeholder: what is filled in must not make it a long one after all."""

_PLACEHOLDER: Final = re.compile(r"\{(\w{1,20})\}")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")
_KIND: Final = re.compile(r"[a-z0-9_]{1,50}")
_VOICE: Final = re.compile(r"[A-Za-z0-9._-]{0,100}")


def _template(*, with_message: bool = False) -> str:
    """A key for one part's words."""
    known = tuple(name for name in PLACEHOLDERS if with_message or name != "message")
    listed = ", ".join(f"{{{name}}}" for name in known)
    expected = f"at most {TEMPLATE_LENGTH:,} characters, in braces only {listed}"
    return key("", expected, lambda text: _template_trouble(text, known))


def _template_trouble(text: str, known: tuple[str, ...]) -> str | None:
    if _unspeakable(text):
        return "has a control character in it"
    if len(text) > TEMPLATE_LENGTH:
        return f"is {len(text):,} characters long"
    names = _PLACEHOLDER.findall(text)
    for place, name in enumerate(names, start=1):
        if name not in known:
            if name in PLACEHOLDERS and known != TEMPLATE_PLACEHOLDERS:
                return f"has {{{name}}} in it, which is spoken separately"
            return f"has a placeholder, number {place}, that is unknown{did_you_mean(name, known)}"
        if names.count(name) > (1 if name == "message" else MOST_OF_ONE):
            return f"has {{{name}}} in it too often"
    rest = _PLACEHOLDER.sub(lambda found: " " * len(found[0]), text)
    if re.search(r"[{}]", rest):
        return "has a brace in it that belongs to no placeholder"
    return _unfilled_trouble(rest)


def _unfilled_trouble(text: str) -> str | None:
    found = unfilled(text)
    if not found:
        return None
    what = f"has a placeholder or markup in it, from character {text.index(found[0]) + 1} on"
    return f"{what}, that would be read aloud as it stands"


def _templates_error(templates: Mapping[str, str]) -> str | None:
    for place, (name, text) in enumerate(templates.items(), start=1):
        shown = shown_name(name)
        where = shown if shown == name else f"number {place} of the section"
        if not _KIND.fullmatch(name):
            return f"has a name, number {place}, that can't be one"
        if not text.strip():
            return f"is empty in {where}"
        trouble = _template_trouble(text, TEMPLATE_PLACEHOLDERS)
        if trouble is not None:
            return f"{trouble}, in {where}"
    return None


def _name_trouble(text: str) -> str | None:
    if _unspeakable(text):
        return "has a control character in it"
    return f"is {len(text):,} characters long" if len(text) > NAME_LENGTH else _unfilled_trouble(text)


def _language_trouble(text: str) -> str | None:
    return None if _LANGUAGE.fullmatch(text) else "is no tag of a language"


def _voice_trouble(text: str) -> str | None:
    return None if _VOICE.fullmatch(text) else "is no voice's name"


def _unspeakable(text: str) -> bool:
    """Whether it has control characters, or surrogates, as bytes of the environment that aren't UTF-8 become."""
    return any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


@frozen(kw_only=True)
class MessagesConfig:
    """The clinic's name and number, and its own words for each part; a text left empty is the language's."""

    clinic: str = key("", f"at most {NAME_LENGTH} characters", _name_trouble)
    phone: str = key("", "a phone number")
    language: str = key("en-US", 'a BCP 47 tag like "en-US"', _language_trouble)
    voice: str = key("", 'a name like "Polly.Joanna-Neural"', _voice_trouble)
    greeting: str = _template()
    menu: str = _template()
    voicemail: str = _template(with_message=True)
    confirmed: str = _template()
    cancel_question: str = _template()
    cancel_requested: str = _template()
    opted_out: str = _template()
    not_needed: str = _template()
    unknown_key: str = _template()
    goodbye: str = _template()
    templates: Mapping[str, str] = key(
        MappingProxyType({}),
        "a section of names in small letters, digits and underscores, each with a text of at most"
        f" {TEMPLATE_LENGTH:,} characters, in braces only {', '.join(f'{{{name}}}' for name in TEMPLATE_PLACEHOLDERS)}",
        _templates_error,
    )
