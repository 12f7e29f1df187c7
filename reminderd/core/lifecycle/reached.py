"""Whether a call has reached the patient: a machine may have answered."""

from reminderd.core.reminder import Call
from reminderd.core.rules import Rules


def reached(call: Call, rules: Rules) -> bool:
    """Whether this call was completed, and not only by a machine where that does not count."""
    return call.status == "completed" and (rules.voicemail_is_reached or not call.by_machine)
