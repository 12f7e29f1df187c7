"""The last look: whether a claimed request may still go out, right before it does."""

from datetime import timedelta

from reminderd.core.lifecycle.step import OUTSIDE
from reminderd.core.reminder import OPTED_OUT, Reminder


def kept_back(
    reminder: Reminder | None,
    *,
    token: str,
    opted_out: bool,
    parted: bool,
    paused: bool,
    window_open: bool,
    stopping: bool,
    lease_left: timedelta,
    needed: timedelta,
) -> str | None:
    """Why the request must not be sent, or None if it may.

    Args:
        reminder: the row as it is now; None if it is gone.
        token: the lease under which it was claimed.
        opted_out: its number has opted out.
        parted: a reminder that the call was to say, too, has ended meanwhile.
        paused: staff have paused all dialing.
        window_open: its phone may ring at this hour.
        stopping: this process is about to end.
        lease_left: the smaller of what the wall clock and the monotonic clock leave of the lease.
        needed: how long the request may take.
    """
    if reminder is None:
        return "the reminder is gone"
    if reminder.status.final:
        return f"the reminder is {reminder.status}"
    if reminder.lease_token != token:
        return "the lease was lost"
    if opted_out:
        return OPTED_OUT
    if parted:
        return "a reminder that it says, too, is not wanted any more"
    if paused:
        return "dialing is paused"
    if not window_open:
        return OUTSIDE
    if stopping:
        return "stopping"
    if lease_left <= needed:
        return "too little of the lease is left"
    return None
