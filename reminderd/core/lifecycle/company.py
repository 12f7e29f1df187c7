"""Several reminders in one call: what such a call says, and whose call it is."""

from collections.abc import Iterable
from typing import Final

from attrs import frozen

from reminderd.core.reminder import Call, Reminder, Response, Status, newest_call

_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。")


@frozen(kw_only=True)
class Leading:
    """The call in which another reminder is said, too, and the reminder that it was placed for."""

    call: Call
    reminder: Reminder
    calls: tuple[Call, ...]
    """All calls of that reminder."""

    @property
    def has_told(self) -> bool:
        """Whether its own reminder was said by this very call, whatever was reported of the call since."""
        newest, leader = newest_call(self.calls), self.reminder
        has_answered = leader.status is Status.CANCELLED and leader.response in frozenset(Response)
        return (leader.status is Status.CALLED or has_answered) and newest is not None and newest.id == self.call.id


def rides(reminder: Reminder) -> bool:
    """Whether a reminder that belongs to another one's call still wants to be said in it."""
    return reminder.status is Status.PROCESSING


def together(messages: Iterable[str]) -> str:
    """What one call says for several reminders, each message a sentence of its own; a single one is left as it is."""
    texts = tuple(messages)
    if len(texts) == 1:
        return texts[0]
    return " ".join(text if text.endswith(_SENTENCE_ENDS) else f"{text}." for text in map(str.strip, texts))
