"""The prompts of a call: what each asks, how long it takes to speak, and the texts that are built in, by language."""

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from attrs import frozen


class Prompt(StrEnum):
    """One thing that is spoken in a call; the clinic's script has its text."""

    GREETING = "greeting"
    """Who is calling and why, the clinic first."""
    MESSAGE = "message"
    """The reminder's message."""
    MENU = "menu"
    """Which key does what."""
    VOICEMAIL = "voicemail"
    """All that is spoken to a machine: nothing about the patient."""
    CONFIRMED = "confirmed"
    CANCEL_QUESTION = "cancel_question"
    """Whether the appointment is really to be cancelled."""
    CANCEL_REQUESTED = "cancel_requested"
    OPTED_OUT = "opted_out"
    NOT_NEEDED = "not_needed"
    """The call is not needed anymore: neutral, without the reason."""
    UNKNOWN_KEY = "unknown_key"
    GOODBYE = "goodbye"


class Question(StrEnum):
    """What the next key answers."""

    MENU = "menu"
    CANCEL = "cancel"
    VOICEMAIL = "voicemail"
    """None was asked: a key shows that a person listens to the text for a machine."""


@frozen(kw_only=True)
class SpokenReply:
    """The prompts that are spoken next, in this order."""

    parts: tuple[Prompt, ...]
    """Empty: the call ends, and nothing is spoken."""
    question: Question | None = None
    """The next key answers this; None: the call ends after the last prompt."""
    repeats: int = 0
    """How often the message has been repeated; it travels along with the question."""


WORDS_PER_SECOND: Final = 2.5
"""150 a minute: the brisk end of ordinary conversation, which has 125 to 150. Amazon's own sample of a Polly voice
("Time-Driven Prosody", AWS blog, 2018) has 190, so a text that fits by this figure fits."""

CHARACTERS_PER_SECOND: Final = 15.0
"""The same pace where words are long: 6 characters a word, its space included; that sample has 18."""

_WITHOUT_SPACES: Final = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3100-\u312f\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f"
    "\U00020000-\U0003fffd]"
)
"""Letters of scripts that put no spaces between words (Thai, Lao, Tibetan, Burmese, Khmer, kana, Han), and of Korean,
whose words are long: https://www.unicode.org/Public/UNIDATA/Blocks.txt."""


def seconds(text: str) -> float:
    """Return how long it takes to speak a text at a normal pace.

    A word is what stands between spaces, with three exceptions that take longer than their spelling shows. Each digit
    counts as a word, as numbers and times are read out. So does each letter of a script without spaces, where one is a
    syllable or a word. Long words count by their characters.
    """
    return max(_words(text) / WORDS_PER_SECOND, len(text) / CHARACTERS_PER_SECOND)


def _words(text: str) -> int:
    return sum(max(sum(map(_is_a_word, token)), 1) for token in text.split())


def _is_a_word(character: str) -> bool:
    is_letter = _WITHOUT_SPACES.match(character) is not None and not unicodedata.combining(character)
    return is_letter or character.isdigit()


@frozen(kw_only=True)
class Language:
    """What is built in for one language."""

    templates: Mapping[Prompt, str]
    """For every part but the message."""
    clinic: str
    """Spoken instead of a clinic's name that is not known."""
    phone: str
    """Spoken instead of a number that is not known."""
    numerals: Mapping[str, tuple[str, ...]]
    """The keys of the menu as words, by their digit, in small letters."""


_ENGLISH: Final = Language(
    templates={
        Prompt.GREETING: "Hello, this is {clinic}, calling with an appointment reminder.",
        Prompt.MENU: (
            "Press 1 to confirm, 2 to ask us to cancel, 3 to hear this again, or 9 to stop these calls. "
            "You can reach us at {phone}."
        ),
        Prompt.VOICEMAIL: "Hello, this is {clinic}. Please call us back at {phone}. Thank you.",
        Prompt.CONFIRMED: "Thank you. Your appointment is confirmed.",
        Prompt.CANCEL_QUESTION: "To ask for your appointment to be cancelled, press 2 again. To keep it, press 1.",
        Prompt.CANCEL_REQUESTED: "Thank you. Our staff will be told that you want to cancel, and will confirm it.",
        Prompt.OPTED_OUT: (
            "You will not receive more reminder calls from us. If you change your mind, please call us at {phone}."
        ),
        Prompt.NOT_NEEDED: "Hello, this is {clinic}. This call is no longer needed. Goodbye.",
        Prompt.UNKNOWN_KEY: "Sorry, that key does nothing here.",
        Prompt.GOODBYE: "You can reach us at {phone}. Goodbye.",
    },
    clinic="your clinic",
    phone="our usual number",
    numerals={"1": ("one",), "2": ("two",), "3": ("three",), "9": ("nine",)},
)

_SPANISH: Final = Language(
    templates={
        Prompt.GREETING: "Hola, le llamamos de {clinic} para recordarle su cita.",
        Prompt.MENU: (
            "Pulse 1 para confirmar, 2 para pedir que la cancelemos, 3 para escuchar el mensaje otra vez, "
            "o 9 para no recibir más estas llamadas. Puede llamarnos al {phone}."
        ),
        Prompt.VOICEMAIL: "Hola, le llamamos de {clinic}. Por favor, llámenos al {phone}. Gracias.",
        Prompt.CONFIRMED: "Gracias. Su cita queda confirmada.",
        Prompt.CANCEL_QUESTION: "Para pedir que cancelemos su cita, pulse 2 otra vez. Para mantenerla, pulse 1.",
        Prompt.CANCEL_REQUESTED: "Gracias. Avisaremos al personal de que desea cancelar, y se lo confirmarán.",
        Prompt.OPTED_OUT: (
            "No recibirá más llamadas de recordatorio de nuestra parte. Si cambia de opinión, llámenos al {phone}."
        ),
        Prompt.NOT_NEEDED: "Hola, le llamamos de {clinic}. Esta llamada ya no es necesaria. Adiós.",
        Prompt.UNKNOWN_KEY: "Lo sentimos, esa tecla no es válida.",
        Prompt.GOODBYE: "Puede llamarnos al {phone}. Adiós.",
    },
    clinic="su clínica",
    phone="número habitual",
    numerals={"1": ("uno",), "2": ("dos",), "3": ("tres",), "9": ("nueve",)},
)

_GERMAN: Final = Language(
    templates={
        Prompt.GREETING: "Guten Tag, hier ist {clinic} mit einer Erinnerung an Ihren Termin.",
        Prompt.MENU: (
            "Drücken Sie die 1, um zu bestätigen, die 2, um uns um eine Absage zu bitten, die 3, um alles noch einmal "
            "zu hören, oder die 9, um diese Anrufe abzubestellen. Sie erreichen uns unter {phone}."
        ),
        Prompt.VOICEMAIL: "Guten Tag, hier ist {clinic}. Bitte rufen Sie uns zurück unter {phone}. Vielen Dank.",
        Prompt.CONFIRMED: "Vielen Dank. Ihr Termin ist bestätigt.",
        Prompt.CANCEL_QUESTION: (
            "Um uns zu bitten, Ihren Termin abzusagen, drücken Sie noch einmal die 2. Um ihn zu behalten, drücken Sie "
            "die 1."
        ),
        Prompt.CANCEL_REQUESTED: "Vielen Dank. Wir geben Ihren Wunsch weiter; die Absage wird Ihnen noch bestätigt.",
        Prompt.OPTED_OUT: (
            "Sie erhalten keine Erinnerungsanrufe mehr von uns. Wenn Sie es sich anders überlegen, rufen Sie uns bitte "
            "an unter {phone}."
        ),
        Prompt.NOT_NEEDED: "Guten Tag, hier ist {clinic}. Dieser Anruf hat sich erledigt. Auf Wiederhören.",
        Prompt.UNKNOWN_KEY: "Diese Taste ist leider nicht belegt.",
        Prompt.GOODBYE: "Sie erreichen uns unter {phone}. Auf Wiederhören.",
    },
    clinic="Ihre Praxis",
    phone="unserer gewohnten Nummer",
    numerals={"1": ("eins",), "2": ("zwei", "zwo"), "3": ("drei",), "9": ("neun",)},
)

_FRENCH: Final = Language(
    templates={
        Prompt.GREETING: "Bonjour, ici {clinic}, pour vous rappeler votre rendez-vous.",
        Prompt.MENU: (
            "Tapez 1 pour confirmer, 2 pour nous demander d'annuler, 3 pour réécouter, "
            "ou 9 pour ne plus recevoir ces appels. Vous pouvez nous joindre au {phone}."
        ),
        Prompt.VOICEMAIL: "Bonjour, ici {clinic}. Merci de nous rappeler au {phone}.",
        Prompt.CONFIRMED: "Merci. Votre rendez-vous est confirmé.",
        Prompt.CANCEL_QUESTION: (
            "Pour demander l'annulation de votre rendez-vous, tapez 2 à nouveau. Pour le garder, tapez 1."
        ),
        Prompt.CANCEL_REQUESTED: "Merci. Notre équipe en sera informée et vous confirmera l'annulation.",
        Prompt.OPTED_OUT: (
            "Vous ne recevrez plus d'appels de rappel de notre part. Si vous changez d'avis, appelez-nous au {phone}."
        ),
        Prompt.NOT_NEEDED: "Bonjour, ici {clinic}. Cet appel n'est plus nécessaire. Au revoir.",
        Prompt.UNKNOWN_KEY: "Désolé, cette touche n'a pas de fonction.",
        Prompt.GOODBYE: "Vous pouvez nous joindre au {phone}. Au revoir.",
    },
    clinic="votre cabinet médical",
    phone="numéro habituel",
    numerals={"1": ("un",), "2": ("deux",), "3": ("trois",), "9": ("neuf",)},
)

BUILT_IN: Final[Mapping[str, Language]] = MappingProxyType(
    {"en": _ENGLISH, "es": _SPANISH, "de": _GERMAN, "fr": _FRENCH}
)
"""By the first part of the language's tag."""


def is_built_in(language: str) -> bool:
    """Return whether there are built-in prompts for a BCP 47 tag, such as "de-AT"."""
    return _primary(language) in BUILT_IN


def language_of(language: str) -> Language:
    """Return the language of a BCP 47 tag, whatever its region; English for one that isn't built in."""
    return BUILT_IN.get(_primary(language), _ENGLISH)


def _primary(language: str) -> str:
    return language.partition("-")[0].lower()
