"""The words that providers use for the status of a call and for who answered it, and how they are read.

docs/webhooks.md has both tables.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Final

from reminderd.core.model import PROGRESS, TERMINAL

STATUS_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "in-progress": ("inprogress",),
    "completed": ("complete",),
    "busy": ("user-busy", "line-busy"),
    "no-answer": (
        "noanswer",
        "not-answered",
        "unanswered",
        "no-reply",
        "missed",
        "timeout",
        "timed-out",
        "ring-timeout",
    ),
    "canceled": ("cancelled", "cancel"),
    "declined": ("decline", "rejected", "reject", "call-rejected"),
    "hung-up": ("hangup", "hang-up", "hungup", "user-hangup"),
    "failed": ("failure", "error"),
}
"""Other gateways' words for each status that has some."""

_STATUSES: Final = {word: word for word in PROGRESS | TERMINAL} | {
    word: status for status, words in STATUS_WORDS.items() for word in words
}


def spelled(status: str) -> str:
    """Return a provider's status in our spelling: lower case, `-` for `_`, and one word for each meaning.

    A word that is not known is kept.
    """
    word = status.strip().lower().replace("_", "-")
    return _STATUSES.get(word.replace(" ", "-"), word)


class Listener(StrEnum):
    """Who has answered a call."""

    PERSON = "person"
    MACHINE = "machine"
    FAX = "fax"


LISTENER_WORDS: Final[Mapping[Listener, tuple[str, ...]]] = {
    Listener.FAX: ("fax",),
    Listener.MACHINE: (
        "machine",
        "voicemail",
        "voicebox",
        "mailbox",
        "answerphone",
        "recording",
        "silence",
        "silent",
        "beep",
    ),
}
"""What an `answered_by` contains that says so. All others are people: a provider that can't tell must not be believed
to have heard a machine."""


_WORD: Final = re.compile(r"[^\W\d_]+")
_DENIALS: Final = frozenset({"no", "not", "non", "without", "off"})
"""As in `not_a_machine`: no machine has answered."""


@lru_cache(maxsize=64)
def listener(answered_by: str | None) -> Listener:
    """Return who has answered, by the provider's word in any case and with any separators; None: it said nothing."""
    text = (answered_by or "").casefold()
    if not _DENIALS.isdisjoint(_WORD.findall(text)):
        return Listener.PERSON
    letters = "".join(filter(str.isalpha, text))
    for who, words in LISTENER_WORDS.items():
        if any(word in letters for word in words):
            return who
    return Listener.PERSON
