"""Show what patients will hear, as text: a person with each template, a machine, and after each key."""

from collections.abc import Iterator, Sequence
from typing import Final

from attrs import frozen

from reminderd.core.script.advice import MOST_SECONDS, PAUSE_SECONDS, advice
from reminderd.core.script.prompts import Prompt, seconds
from reminderd.core.script.scripts import Script, Scripts, spoken
from reminderd.core.script.templates import Templates, Values

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
    """What is spoken to one listener without a stop."""

    heading: str
    """Who hears it, or when."""
    texts: tuple[str, ...]
    """In the order in which they are spoken."""
    seconds: float
    """About how long that takes."""


@frozen(kw_only=True)
class Preview:
    """What patients with one language hear."""

    script: Script
    passages: tuple[Passage, ...]
    warnings: tuple[str, ...]
    """What could be better, a line each."""


def preview(templates: Templates, values: Values, language: str | None, names: Sequence[str]) -> Preview:
    """Return what patients hear.

    Args:
        templates: the clinic's.
        values: an example of an appointment.
        language: the patients', a BCP 47 tag; None: the clinic's own.
        names: the templates to show; if none is in this language, a message stands for any.

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
    left = spoken(Prompt.VOICEMAIL, script, ANY_MESSAGE)
    passages.append(Passage(heading="a machine", texts=(left, left), seconds=2 * seconds(left) + PAUSE_SECONDS))
    for heading, prompt in _AFTER:
        text = spoken(prompt, script, ANY_MESSAGE)
        passages.append(Passage(heading=heading, texts=(text,), seconds=seconds(text)))
    return Preview(script=script, passages=tuple(passages), warnings=tuple(warnings))


def _texts_warnings(scripts: Scripts, script: Script, language: str | None) -> Iterator[str]:
    if not scripts.has(language):
        yield f"there are no texts in {language}; expected a section [messages.{language}]"
    elif script is scripts.own:
        yield from advice(script)
    for tag, one in scripts.by_language.items():
        if one is script:
            yield from advice(script, f"messages.{tag}")


def _to_person(heading: str, message: str, script: Script) -> Passage:
    texts = tuple(spoken(prompt, script, message) for prompt in (Prompt.GREETING, Prompt.MESSAGE, Prompt.MENU))
    return Passage(heading=heading, texts=texts, seconds=seconds(" ".join(texts)))
