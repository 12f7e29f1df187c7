"""Advice on wording: what a careful clinic would have spoken otherwise. None of it keeps a call from being placed.

The rules are those for prerecorded and artificial voices in the USA, 47 CFR 64.1200: the caller's name at the
beginning (b)(1), a telephone number during or after the message (b)(2), a key that ends such calls (a)(10), and for
health care "concise, generally one minute or less" (a)(9)(iv)(E); and what HHS advises for answering machines: name,
number, a request to call back (FAQ 198). They are good manners elsewhere, too.
"""

import re
from collections.abc import Iterator
from typing import Final

from reminderd.core.phone import national
from reminderd.core.script.prompts import Prompt, seconds
from reminderd.core.script.scripts import Script, spoken

ORDINARY_MESSAGE: Final = 200
"""Characters of a message of ordinary length."""

MOST_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 1.0
"""Between the two times that the voicemail text is spoken."""

_WORDS_BEFORE_THE_NAME: Final = 6
"""As in "Bonjour, vous êtes en ligne avec …"."""

_KEYS: Final = {
    "1": "which confirms",
    "2": "which asks to cancel",
    "3": "which repeats the message",
    "9": "which stops these calls, as the law in the USA demands",
}

_LIKE_A_MESSAGE: Final = ("Your appointment is on Tuesday. " * 7)[:ORDINARY_MESSAGE]


def advice(script: Script, section: str = "messages") -> list[str]:
    """Return what could be better, a line each, for the author of the configuration; no phone number is repeated.

    Args:
        script: what is spoken in one language.
        section: where the configuration has it.
    """
    found = [*_languages(script), *_callback(script), *_menu(script), *_length(script)]
    if not _names_the_clinic_first(script):
        found.insert(0, "[messages].greeting does not begin with the clinic: its name must be spoken first")
    if script.otherwise is None:
        found = [*_who_and_where(script), *found]
    return [line.replace("[messages]", f"[{section}]") for line in found]


def _who_and_where(script: Script) -> Iterator[str]:
    if not script.clinic:
        yield f'[messages].clinic is not set: patients hear "{script.built_in.clinic}" for a name'
    if not script.phone:
        number = "the number that the call comes from" if script.from_number else f'"{script.built_in.phone}"'
        yield f"[messages].phone is not set: patients are asked to call {number}"


def _names_the_clinic_first(script: Script) -> bool:
    template = script.template(Prompt.GREETING).casefold()
    name = script.clinic.casefold()
    places = [template.find(spelling) for spelling in ("{clinic}", name) if spelling and spelling in template]
    return bool(places) and len(template[: min(places)].split()) <= _WORDS_BEFORE_THE_NAME


def _languages(script: Script) -> Iterator[str]:
    borrowed = [prompt for prompt in Prompt if prompt is not Prompt.MESSAGE and not script.templates.get(prompt)]
    if borrowed and not script.is_built_in:
        spoken_in = "English" if script.otherwise is None else script.otherwise.language
        yield f"[messages]: {script.language} has no built-in texts, so these are in {spoken_in}: {', '.join(borrowed)}"


def _callback(script: Script) -> Iterator[str]:
    if not any(_names_the_phone(prompt, script) for prompt in (Prompt.GREETING, Prompt.MENU, Prompt.GOODBYE)):
        yield "[messages]: {phone} is in none of greeting, menu and goodbye: patients must hear a number to call back"
    if not _names_the_phone(Prompt.VOICEMAIL, script):
        yield "[messages].voicemail has no {phone}: patients must hear a number to call back"
    if "{message}" in script.template(Prompt.VOICEMAIL):
        yield (
            "[messages].voicemail has {message} in it: anybody may listen to a voicemail, "
            "so leave only the clinic's name and its number there"
        )


def _names_the_phone(prompt: Prompt, script: Script) -> bool:
    """Return whether the number is in it, as the placeholder or written out in any way."""
    template = script.template(prompt)
    number = script.phone or script.from_number
    written = re.sub(r"[^0-9]", "", template)
    return "{phone}" in template or (
        bool(number) and any(re.sub(r"[^0-9]", "", form) in written for form in (number, national(number)))
    )


def _menu(script: Script) -> Iterator[str]:
    template = script.template(Prompt.MENU).casefold()
    numerals = script.built_in.numerals
    for key, use in _KEYS.items():
        names = "|".join((key, *numerals[key]))
        if not re.search(rf"\b(?:{names})\b", template):
            yield f"[messages].menu does not mention key {key}, {use}"


def _length(script: Script) -> Iterator[str]:
    call = " ".join(
        spoken(prompt, script, _LIKE_A_MESSAGE) for prompt in (Prompt.GREETING, Prompt.MESSAGE, Prompt.MENU)
    )
    if seconds(call) > MOST_SECONDS:
        yield (
            f"[messages]: greeting, a message of {ORDINARY_MESSAGE} characters and menu take {seconds(call):.0f}"
            f" seconds: keep them within {MOST_SECONDS:.0f}"
        )
    voicemail = 2 * seconds(spoken(Prompt.VOICEMAIL, script, _LIKE_A_MESSAGE)) + PAUSE_SECONDS
    if voicemail > MOST_SECONDS:
        yield (
            f"[messages].voicemail, which is spoken twice, takes {voicemail:.0f} seconds: "
            f"keep it within {MOST_SECONDS:.0f}"
        )
