"""What is said to whoever answers a call, and what a key that they press means. Pure: no words, no XML, no I/O."""

from enum import StrEnum

from attrs import frozen


class Part(StrEnum):
    """One thing that is said; its words are the clinic's."""

    GREETING = "greeting"
    """Who is calling and why, the clinic first."""
    MESSAGE = "message"
    """The reminder's own words."""
    MENU = "menu"
    """Which key does what."""
    VOICEMAIL = "voicemail"
    """All that a machine is told: nothing of the patient's."""
    CONFIRMED = "confirmed"
    CANCEL_QUESTION = "cancel_question"
    """Whether the appointment is really to be cancelled."""
    CANCEL_REQUESTED = "cancel_requested"
    OPTED_OUT = "opted_out"
    NOT_NEEDED = "not_needed"
    """The call is not needed any more: neutral, and nothing of why."""
    UNKNOWN_KEY = "unknown_key"
    GOODBYE = "goodbye"


class Question(StrEnum):
    """What the next key answers."""

    MENU = "menu"
    CANCEL = "cancel"
    VOICEMAIL = "voicemail"
    """None was asked: a key shows that a person listens to the text for a machine."""


@frozen(kw_only=True)
class Reply:
    """What is said next, in this order."""

    parts: tuple[Part, ...]
    """Empty: the call ends without a word."""
    question: Question | None = None
    """The next key answers this; None: the call ends after the last part."""
    repeats: int = 0
    """How often the message has been repeated; it travels along with the question."""
