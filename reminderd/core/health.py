"""Decide whether all is well, as seen from outside: what is seen, and which of it is an error."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

from reminderd.core.diagnosis import DISK_FULL_SOON
from reminderd.core.lifecycle.address import UNREACHED

STUCK_AFTER: Final = timedelta(minutes=2)
"""So long after its `wake_at`, nobody is checking an alive call."""

LATE_AFTER: Final = timedelta(minutes=15)
"""So long after its time a reminder should have been dialed, also where many are due at once."""

BACKUP_LATE: Final = timedelta(hours=26)
"""A backup that is made every night is never so old."""

ADDRESS: Final = "public address"
"""The part by which the provider asks us what to speak."""

LONG_PAUSE: Final = timedelta(hours=12)
"""A pause by staff that is so old was perhaps forgotten."""


@frozen(kw_only=True)
class Glance:
    """What the database shows of the work."""

    due_next_hour: int
    """To be dialed now or within an hour."""
    due: int
    """Whose time has come."""
    due_since: datetime | None
    """The time of the oldest of them."""
    in_flight: int
    """Being dialed, or dialed and without a terminal report yet."""
    stuck: int
    """Dialed, and should have been checked long ago."""
    held: Mapping[str, int]
    """How many wait for a reason of their own, by reason."""
    failed_today: int
    """Not reached, or expired, of those that were due today."""
    last_report: datetime | None
    """When the end of a call was last reported."""
    paused: bool
    """Staff have paused all dialing."""
    paused_since: datetime | None
    """None: they have not, or another program has."""
    unreached_since: datetime | None
    """Since when the provider does not reach our own address; None: it does."""


@frozen(kw_only=True)
class Daemon:
    """What the running daemon says of itself."""

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
    daemon: Daemon | str,
    glance: Glance,
    uncallable: int,
    free_bytes: int,
    backup: timedelta | str | None,
    now: datetime,
) -> list[str]:
    """Return a sentence for each thing that somebody should see to; empty: all is well.

    Args:
        daemon: what it says; or why nobody could be asked.
        glance: what the database shows.
        uncallable: how many waiting reminders can't be called.
        free_bytes: on the database's disk.
        backup: how old the newest one is; or why there is none, though there should be; None: none are wanted.
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
    return found


def _reminders(number: int) -> str:
    return f"{number} {'reminder is' if number == 1 else 'reminders are'}"
