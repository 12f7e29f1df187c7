"""What a reminder has come to, in the front desk's words, and whether somebody must act on it."""

from enum import StrEnum
from typing import Final

from reminderd.core.model import Response, Status
from reminderd.core.reasons import EndCode, HoldCode


class Outcome(StrEnum):
    """One word for each; those that need a human come first, the most urgent of them at the top."""

    WANTS_TO_CANCEL = "wants to cancel"
    """The patient has asked for it by key; the appointment still stands."""
    NOT_REACHED = "not reached"
    """Refused, never answered, or nobody knows whether the phone rang."""
    NUMBER_CHANGED = "number changed"
    """It waits for staff to accept its new phone number, or to cancel it."""
    EXPIRED = "expired"
    """Its limit passed before the patient could be called."""
    UNDER_WAY = "under way"
    WAITING = "waiting"
    CONFIRMED = "confirmed"
    REACHED = "reached"
    """A call was completed; the patient has said nothing, or can't with this provider."""
    OPTED_OUT = "opted out"
    CANCELLED = "cancelled"


NEED_A_HUMAN: Final = frozenset({Outcome.WANTS_TO_CANCEL, Outcome.NOT_REACHED, Outcome.NUMBER_CHANGED, Outcome.EXPIRED})
"""The patient does not know, or wants something that only staff can do."""

_BY_STATUS: Final = {
    Status.SCHEDULED: Outcome.WAITING,
    Status.DIALING: Outcome.UNDER_WAY,
    Status.PROCESSING: Outcome.UNDER_WAY,
    Status.CALLED: Outcome.REACHED,
    Status.FAILED: Outcome.NOT_REACHED,
    Status.EXPIRED: Outcome.EXPIRED,
    Status.CANCELLED: Outcome.CANCELLED,
}
_BY_RESPONSE: Final = {
    Response.CONFIRMED: Outcome.CONFIRMED,
    Response.CANCEL_REQUESTED: Outcome.WANTS_TO_CANCEL,
    Response.OPTED_OUT: Outcome.OPTED_OUT,
}


def outcome(
    status: Status, response: str | None, end_code: EndCode | None, hold_code: HoldCode | None = None
) -> Outcome:
    """Return what a reminder has come to.

    A response counts once the reminder is `called`, as whoever cancelled it knows more.

    Args:
        status: the reminder's.
        response: a `Response`, whatever another program has written, or None.
        end_code: why it ended.
        hold_code: why it waits.
    """
    if status is Status.SCHEDULED and hold_code is HoldCode.NUMBER_CHANGED:
        return Outcome.NUMBER_CHANGED
    if status is Status.CALLED and response in set(Response):
        return _BY_RESPONSE[Response(response)]
    if status is Status.CANCELLED and end_code is EndCode.OPTED_OUT:
        return Outcome.OPTED_OUT
    return _BY_STATUS[status]
