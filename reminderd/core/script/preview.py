"""Return as text what patients will hear, with advice on what a clinic should change.

None of the advice keeps a call from being placed. Its rules are those for prerecorded and artificial voices in the USA,
47 CFR 64.1200: the caller's name at the beginning (b)(1), a telephone number during or after the message (b)(2), a key
that ends such calls (a)(10), and for health care "concise, generally one minute or less" (a)(9)(iv)(E); and what HHS
advises for answering machines: name, number, a request to call back (FAQ 198). They are polite in other countries, too.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

from reminderd.core.phone import national_form
from reminderd.core.script.prompts import Prompt, seconds
from reminderd.core.script.scripts import Script, Scripts, spoken_text
from reminderd.core.script.templates import Templates, Values

ORDINARY_MESSAGE: Final = 200
"""Characters of a message of ordinary length."""

MOST_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 1.0
"""The pause between the two times that the voicemail text is spoken."""

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
    """Return advice on a section of the configuration, a line each, without phone numbers."""
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
    """Return whether a prompt has the number to call back, as the placeholder or in digits."""
    template = script.template(prompt)
    number = script.phone or script.from_number
    written = re.sub(r"[^0-9]", "", template)
    return "{phone}" in template or (
        bool(number) and any(re.sub(r"[^0-9]", "", form) in written for form in (number, national_form(number)))
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
        spoken_text(prompt, script, _LIKE_A_MESSAGE) for prompt in (Prompt.GREETING, Prompt.MESSAGE, Prompt.MENU)
    )
    if seconds(call) > MOST_SECONDS:
        yield (
            f"[messages]: greeting, a message of {ORDINARY_MESSAGE} characters and menu take {seconds(call):.0f}"
            f" seconds: keep them within {MOST_SECONDS:.0f}"
        )
    voicemail = 2 * seconds(spoken_text(Prompt.VOICEMAIL, script, _LIKE_A_MESSAGE)) + PAUSE_SECONDS
    if voicemail > MOST_SECONDS:
        yield (
            f"[messages].voicemail, which is spoken twice, takes {voicemail:.0f} seconds: "
            f"keep it within {MOST_SECONDS:.0f}"
        )


ANY_MESSAGE: Final = "(the reminder's message)"

_AFTER: Final = (
    ("after key 1", Prompt.CONFIRMED),
    ("after key 2", Prompt.CANCEL_QUESTION),
    ("after key 2 again", Prompt.CANCEL_REQUESTED),
    ("after key 9", Prompt.OPTED_OUT),
    ("after a key without a meaning", Prompt.UNKNOWN_KEY),
    ("after the third repeat", Prompt.GOODBYE),
    ("if the call is not needed anymore", Prompt.NOT_NEEDED),
)


@frozen(kw_only=True)
class Passage:
    """A part of a call that is spoken to one listener without a stop."""

    heading: str
    """Who hears it, or when."""
    texts: tuple[str, ...]
    """The texts, in the order in which they are spoken."""
    seconds: float
    """About how long that takes."""


@frozen(kw_only=True)
class Preview:
    """What patients with one language hear."""

    script: Script
    passages: tuple[Passage, ...]
    warnings: tuple[str, ...]
    """Advice, a line each."""


def preview(templates: Templates, values: Values, language: str | None, names: Sequence[str]) -> Preview:
    """Return what patients hear about an appointment in a language, a BCP 47 tag; None for the clinic's own.

    `names` are the templates to show; if none is in this language, `ANY_MESSAGE` is shown.

    Raises:
        TemplateError: a template is not known, or needs a value that is missing or can't be spoken.
    """
    script = templates.scripts.of(language)
    passages, warnings = [], list(_texts_warnings(templates.scripts, script, language))
    for name in names:
        message = templates.message(name, values, language)
        if message.warning is not None:
            warnings.append(message.warning)
            continue
        passages.append(_to_person(f"a person, with the template {name}", message.text, script))
        takes = passages[-1].seconds
        if takes > MOST_SECONDS:
            warnings.append(f"{name}: the call takes {takes:.0f} seconds: keep it within {MOST_SECONDS:.0f}")
    if not passages:
        passages.append(_to_person("a person", ANY_MESSAGE, script))
    passages.append(_to_machine(ANY_MESSAGE, script))
    for heading, prompt in _AFTER:
        text = spoken_text(prompt, script, ANY_MESSAGE)
        passages.append(Passage(heading=heading, texts=(text,), seconds=seconds(text)))
    return Preview(script=script, passages=tuple(passages), warnings=tuple(warnings))


def passages_heard(script: Script, message: str, *, leaves_voicemail: bool) -> tuple[Passage, ...]:
    """Return what a person hears before pressing a key, and what a machine hears if `leaves_voicemail`."""
    to_person = _to_person("a person", message, script)
    return (to_person, _to_machine(message, script)) if leaves_voicemail else (to_person,)


def _texts_warnings(scripts: Scripts, script: Script, language: str | None) -> Iterator[str]:
    if not scripts.has(language):
        yield f"there are no texts in {language}; expected a section [messages.{language}]"
    elif script is scripts.own:
        yield from advice(script)
    for tag, one in scripts.by_language.items():
        if one is script:
            yield from advice(script, f"messages.{tag}")


def _to_person(heading: str, message: str, script: Script) -> Passage:
    texts = tuple(spoken_text(prompt, script, message) for prompt in (Prompt.GREETING, Prompt.MESSAGE, Prompt.MENU))
    return Passage(heading=heading, texts=texts, seconds=seconds(" ".join(texts)))


def _to_machine(message: str, script: Script) -> Passage:
    left = spoken_text(Prompt.VOICEMAIL, script, message)
    return Passage(heading="a machine", texts=(left, left), seconds=2 * seconds(left) + PAUSE_SECONDS)
