"""What those who watch are told of the database: how much waits, and what has become of the last day's reminders."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

from reminderd.core.intake import zone_of
from reminderd.core.model import Call, CallOutcome, CallState, Reminder, Status
from reminderd.core.outcomes import Outcome
from reminderd.core.rules import Rules

LAST_DAY: Final = timedelta(days=1)
"""What is over is counted for reminders whose time lies so far back at most."""

CALL_WORDS: Final = tuple(CallState)
"""Every state under which a call is counted."""


@frozen(kw_only=True)
class Counts:
    """The database at one moment, in numbers."""

    waiting: Mapping[Status, int]
    """Reminders that are not final, whatever their time."""
    ended: Mapping[Status, int]
    """Final ones of the last day."""
    calls: Mapping[str, int]
    """Calls for reminders of the last day, by `CALL_WORDS`."""
    outcomes: Mapping[CallOutcome, int]
    """The same calls, by how they have ended for the patient."""
    need_human: Mapping[Outcome, int]
    """Reminders of the last day that somebody must act on, and all that wait for staff to accept a number."""
    due: int
    """Reminders that wait for a call and are due."""
    due_since: datetime | None
    """The moment of the oldest of them."""
    unattended_since: datetime | None
    """The oldest moment at which a reminder that was dialled should have been looked after; None: nothing is late."""
    paused: bool
    """Staff have paused all dialing."""


def lateness(reminder: Reminder, call: Call, *, is_first: bool, rules: Rules, now: datetime) -> timedelta | None:
    """How much later than its time and the calling hours ask for is this reminder dialled; None: not the first time.

    What is handed in after its time is due when it is handed in.
    """
    if not is_first or call.requests != 1:
        return None
    due = max(reminder.scheduled_at, reminder.created_at or reminder.scheduled_at)
    opens = rules.window.next_open(due, zone_of(reminder, rules))
    return None if opens is None else max(now - opens, timedelta(0))
