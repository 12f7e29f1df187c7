"""Whether a call has reached the patient: a machine may have answered."""

from reminderd.core.lifecycle.step import at_rest, ended
from reminderd.core.reminder import Call, Reminder, Status
from reminderd.core.rules import Rules


def reached(call: Call, rules: Rules) -> bool:
    """Whether this call was completed, and not only by a machine where that does not count."""
    return call.status == "completed" and (rules.voicemail_is_reached or not call.by_machine)


def after_reaching(reminder: Reminder, calls: tuple[Call, ...]) -> Reminder:
    """The reminder after one of its calls was completed: the truth wins over every state but `cancelled`."""
    if reminder.status in {Status.CALLED, Status.CANCELLED}:
        return at_rest(reminder, calls)
    return ended(reminder, calls, Status.CALLED, None)
