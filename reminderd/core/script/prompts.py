"""The prompts and questions of a call, and how long it takes to speak a text."""

import unicodedata
from bisect import bisect
from enum import StrEnum
from typing import Final

from attrs import frozen


class Prompt(StrEnum):
    """One thing that is spoken in a call; the clinic's script has its text."""

    GREETING = "greeting"
    """Who is calling and why; the clinic is named first."""
    MESSAGE = "message"
    """The reminder's message."""
    MENU = "menu"
    """Which key does what."""
    VOICEMAIL = "voicemail"
    """Everything that is spoken to a machine; it has nothing about the patient."""
    CONFIRMED = "confirmed"
    CANCEL_QUESTION = "cancel_question"
    """The question whether the patient really wants to cancel the appointment."""
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
    """No question was asked: a key shows that a person listens to the voicemail text."""


@frozen(kw_only=True)
class SpokenReply:
    """The prompts that are spoken next, in this order."""

    parts: tuple[Prompt, ...]
    """Empty if nothing is spoken and the call ends."""
    question: Question | None = None
    """The question that the next key answers; None if the call ends after the last prompt."""
    repeats: int = 0
    """How often the message has been repeated; it is sent along with the question."""
    language: str | None = None
    """The language of the call, a BCP 47 tag, which is sent along, too; None for the clinic's own."""


WORDS_PER_SECOND: Final = 2.5
"""150 a minute: the brisk end of ordinary conversation, which has 125 to 150. Amazon's own sample of a Polly voice
("Time-Driven Prosody", AWS blog, 2018) has 190, so a text that fits by this figure fits."""

CHARACTERS_PER_SECOND: Final = 15.0
"""The same pace where words are long: 6 characters a word, its space included; that sample has 18."""

_WITHOUT_SPACES: Final = (
    "\u0e00\u10a0\u1100\u1200\u1780\u1800\u3040\u3190\u31f0\u3200\u3400\u4dc0\u4e00\ua000\uac00\ud7b0\uf900\ufb00"
    "\uff66\uffa0\U0001b000\U0001b170\U00020000\U0003fffe"
)
"""Letters of scripts that put no spaces between words (Thai, Lao, Tibetan, Burmese, Khmer, kana, Han), and of Korean,
whose words are long. They are in ranges: the first letter of a range, then the first one after it, and so on. Source:
https://www.unicode.org/Public/UNIDATA/Blocks.txt."""


def seconds(text: str) -> float:
    """Return how long it takes to speak a text at a normal pace.

    A word is what stands between spaces, with three exceptions that take longer than their spelling shows. Each digit
    counts as a word, as numbers and times are read out. So does each letter of a script without spaces, where one is a
    syllable or a word. Long words count by their characters.
    """
    words = sum(max(sum(map(_is_a_word, token)), 1) for token in text.split())
    return max(words / WORDS_PER_SECOND, len(text) / CHARACTERS_PER_SECOND)


def _is_a_word(character: str) -> bool:
    is_letter = bisect(_WITHOUT_SPACES, character) % 2 == 1 and not unicodedata.combining(character)
    return is_letter or character.isdigit()
