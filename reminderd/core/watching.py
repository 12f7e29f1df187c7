"""What those who watch are told of the database: how much waits, and what has become of the last day's reminders."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

from reminderd.core.intake import zone_of
from reminderd.core.outcomes import Outcome
from reminderd.core.reminder import CLOSED, PROGRESS, Call, Reminder, Status
from reminderd.core.rules import Rules

LAST_DAY: Final = timedelta(days=1)
"""What is over is counted for reminders whose time lies so far back at most."""

OTHER_WORD: Final = "other"
CALL_WORDS: Final = ("dialing", "unconfirmed", *sorted(PROGRESS), *sorted(CLOSED), OTHER_WORD)
"""Every word for a call under which it may be counted; a provider's own words are `other`."""


@frozen(kw_only=True)
class Counts:
    """The database at one moment, in numbers."""

    waiting: Mapping[Status, int]
    """Reminders that are not final, whatever their time."""
    ended: Mapping[Status, int]
    """Final ones of the last day."""
    calls: Mapping[str, int]
    """Calls for reminders of the last day, by `CALL_WORDS`."""
    need_human: Mapping[Outcome, int]
    """Reminders of the last day that somebody must act on."""
    due: int
    """Reminders to be dialled whose moment has come."""
    due_since: datetime | None
    """The moment of the oldest of them."""
    unattended_since: datetime | None
    """The oldest moment at which a reminder that was dialled should have been looked after; None: nothing is late."""
    paused: bool
    """Staff have paused all dialing."""


def call_word(status: str) -> str:
    """The word under which a call is counted: there are only so many, whatever a provider says."""
    return status if status in CALL_WORDS else OTHER_WORD


def lateness(reminder: Reminder, call: Call, *, rules: Rules, now: datetime) -> timedelta | None:
    """How much later than its time and the calling hours ask for is this reminder dialled; None: not the first time.

    What is handed in after its time is due when it is handed in.
    """
    if call.attempt != 1 or call.tries != 1:
        return None
    due = max(reminder.scheduled_at, reminder.created_at or reminder.scheduled_at)
    opens = rules.window.next_open(due, zone_of(reminder, rules))
    return None if opens is None else max(now - opens, timedelta(0))
