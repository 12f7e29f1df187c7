"""Several reminders in one call: what such a call says, and whose call it is."""

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Final

from attrs import frozen

from reminderd.core.intake import expiry
from reminderd.core.reminder import Call, Reminder, Status
from reminderd.core.rules import Rules

_SENTENCE_ENDS: Final = (".", "!", "?", "…", "。")


@frozen
class Waiting:
    """A reminder that waits for, or is said in, the call of another one, with all calls of its own."""

    reminder: Reminder
    calls: tuple[Call, ...] = ()


@frozen(kw_only=True)
class Leading:
    """The call in which another reminder is said, too, and the reminder that it was placed for."""

    call: Call
    reminder: Reminder
    calls: tuple[Call, ...]
    """All calls of that reminder."""


def rides(reminder: Reminder, rules: Rules, now: datetime) -> bool:
    """Whether a reminder that belongs to another one's call is still to be said in it."""
    return reminder.status is Status.PROCESSING and now < expiry(reminder, rules)


def counts(reminder: Reminder, begun: datetime) -> bool:
    """Whether a shared call that was begun then is one of the reminder's calls: not if that was before its own time."""
    return reminder.scheduled_at <= begun


def riding(riders: Iterable[Waiting], rules: Rules, now: datetime) -> tuple[Reminder, ...]:
    """Those of a call's riders that are still to be said in it."""
    return tuple(one.reminder for one in riders if rides(one.reminder, rules, now))


def together(messages: Iterable[str]) -> str:
    """What one call says for several reminders, each message a sentence of its own; a single one is left as it is."""
    texts = tuple(messages)
    if len(texts) == 1:
        return texts[0]
    return " ".join(text if text.endswith(_SENTENCE_ENDS) else f"{text}." for text in map(str.strip, texts))


def digest(leader: Reminder, riders: tuple[Reminder, ...]) -> str | None:
    """Tells the words of a call that says several from any others; None: it says one alone."""
    if not riders:
        return None
    return sha256(together(one.message for one in (leader, *riders)).encode(errors="surrogatepass")).hexdigest()


def says_the_same(call: Call, leader: Reminder, riders: tuple[Reminder, ...]) -> bool:
    """Whether these are the words with which the call was first asked for; always so if it says one alone."""
    return call.said_digest is None or call.said_digest == digest(leader, riders)
