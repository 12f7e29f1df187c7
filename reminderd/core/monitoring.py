"""Whether all is well, as seen from outside: the numbers that are watched, and which of them are an error."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

from reminderd.core.changes import Backlog, undelivered
from reminderd.core.diagnosis import DISK_FULL_SOON
from reminderd.core.lifecycle.reconcile import UNREACHED
from reminderd.core.model import Call, CallOutcome, CallState, Reminder, Status
from reminderd.core.outcomes import Outcome
from reminderd.core.requests import zone_of
from reminderd.core.rules import Rules

STUCK_AFTER: Final = timedelta(minutes=2)
"""A call is checked when its `wake_at` comes; if it is so late, nothing checks it."""

LATE_AFTER: Final = timedelta(minutes=15)
"""A reminder that waits so long after it was due is late, also where many are due at once."""

BACKUP_LATE: Final = timedelta(hours=26)
"""Backups are made every night: an older one is late."""

ADDRESS: Final = "public address"
"""The part that is the address at which the provider asks us what to speak."""

LONG_PAUSE: Final = timedelta(hours=12)
"""A pause by staff that lasts longer may have been forgotten."""


@frozen(kw_only=True)
class Glance:
    """The work at one moment, in the database's numbers."""

    due_next_hour: int
    """Reminders that are due now or within an hour."""
    due: int
    """Reminders that are due now."""
    due_since: datetime | None
    """The moment of the oldest of them."""
    in_flight: int
    """Reminders whose call is being placed, or has no final report yet."""
    stuck: int
    """Those of them that should have been checked long ago."""
    held: Mapping[str, int]
    """How many reminders are held, by reason."""
    failed_today: int
    """Not reached, or expired, of those that were due today; without those that staff have called manually."""
    last_report: datetime | None
    """When the end of a call was last reported."""
    paused: bool
    """Staff have paused all dialing."""
    paused_since: datetime | None
    """None: they have not, or not by a command of ours."""
    unreached_since: datetime | None
    """Since when the provider does not reach our own address; None: it does."""


@frozen(kw_only=True)
class DaemonReport:
    """What the running daemon reports about itself."""

    version: str
    started_at: datetime
    provider: str
    parts: Mapping[str, str | None]
    """Each part that its process runs, with what is wrong with it."""
    last_poll: datetime | None
    """None: its process has no poll loop."""
    last_webhook: datetime | None
    """None: none since its start."""
    database_id: str | None
    """Which database it uses; None: it can't read it."""


def errors(
    *,
    daemon: DaemonReport | str,
    glance: Glance,
    uncallable: int,
    free_bytes: int,
    backup: timedelta | str | None,
    backlog: Backlog | None = None,
    now: datetime,
) -> list[str]:
    """Return a sentence for each error that somebody must fix; empty: all is well.

    Args:
        daemon: what it reports; or why it could not be asked.
        glance: the database's numbers.
        uncallable: how many waiting reminders can't be called.
        free_bytes: on the database's disk.
        backup: how old the newest one is; or why there is none, though there should be; None: none are wanted.
        backlog: of changes of outcomes; None: none are sent.
        now: the time at which all this was so.
    """
    found = []
    if isinstance(daemon, str):
        found.append(daemon)
    else:
        parts = {part: error for part, error in daemon.parts.items() if part != ADDRESS}
        found += [f"{part}: {error}" for part, error in parts.items() if error is not None]
    if glance.unreached_since is not None:
        found.append(f"{ADDRESS}: dialing is paused: {UNREACHED}")
    if glance.stuck:
        calls = "1 call is" if glance.stuck == 1 else f"{glance.stuck} calls are"
        found.append(f"{calls} stuck: placed, and not checked")
    is_paused = glance.paused or glance.unreached_since is not None
    if glance.due_since is not None and now - glance.due_since > LATE_AFTER and not is_paused:
        late = (now - glance.due_since) // timedelta(minutes=1)
        found.append(f"{_reminders(glance.due)} not dialed in time, the oldest has waited for {late} minutes")
    if uncallable:
        waiting = "1 waiting reminder" if uncallable == 1 else f"{uncallable} waiting reminders"
        found.append(f"{waiting} can't be called: correct them before they are due")
    if glance.paused_since is not None and now - glance.paused_since > LONG_PAUSE:
        hours = (now - glance.paused_since) // timedelta(hours=1)
        found.append(f"staff have paused all dialing for {hours} hours; reminderd resume ends it")
    if free_bytes < DISK_FULL_SOON:
        found.append(f"the disk is nearly full: {free_bytes // 1_000_000} MB free")
    if isinstance(backup, str):
        found.append(backup)
    elif backup is not None and backup > BACKUP_LATE:
        found.append(f"the newest backup is {backup // timedelta(hours=1)} hours old")
    return found + undelivered(backlog, now)


def _reminders(number: int) -> str:
    return f"{number} {'reminder is' if number == 1 else 'reminders are'}"


LAST_DAY: Final = timedelta(days=1)
"""Final reminders and ended calls are counted if the reminder's time is not longer ago."""

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
    """The oldest moment at which a call should have been checked; None: nothing is late."""
    paused: bool
    """Staff have paused all dialing."""


def lateness(reminder: Reminder, call: Call, *, is_first: bool, rules: Rules, now: datetime) -> timedelta | None:
    """Return how late a reminder is called, counted from its time within the calling hours; None: not the first call.

    A reminder that was added after its time is due when it is added.
    """
    if not is_first or call.requests != 1:
        return None
    due = max(reminder.scheduled_at, reminder.created_at or reminder.scheduled_at)
    opens = rules.calling_hours.next_open(due, zone_of(reminder, rules))
    return None if opens is None else max(now - opens, timedelta(0))
