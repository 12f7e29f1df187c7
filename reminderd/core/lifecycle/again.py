"""A call that was never placed is taken up again with its key, instead of a new one."""

from reminderd.core.lifecycle.lookup import found_missing
from reminderd.core.reminder import Call, Reminder, newest_call


def taken_up_again(reminder: Reminder, calls: tuple[Call, ...]) -> Call | None:
    """The newest call if it was never placed, so that it is dialled with its key instead of a new one; or None."""
    newest = newest_call(calls)
    if newest is None or newest.status != "not-placed" or newest.received_at is not None or reminder.attempts == 0:
        return None
    return newest


def rests_on_look_ups(call: Call) -> bool:
    """Whether only look-ups say that the call was not placed."""
    return call.status == "not-placed" and call.received_at is None and found_missing(call)
