"""Why a reminder waits, why it ended, why dialing is paused: codes that decide, and the sentences that people read."""

from enum import StrEnum
from typing import Final


class HoldCode(StrEnum):
    """Why a scheduled reminder waits longer than its time."""

    HOURS = "hours"
    LIMITS = "limits"
    NUMBER_BUSY = "number_busy"
    BUNDLE = "bundle"
    REDIAL = "redial"
    NOT_PLACED = "not_placed"
    ACCOUNT = "account"
    NOT_SENT = "not_sent"
    PLANNING = "planning"
    """Its appointment was changed, and is not planned anew yet."""
    NUMBER_CHANGED = "number_changed"
    """Until staff accept the new number, or cancel the reminder."""

    @property
    def sentence(self) -> str:
        """Return the sentence that staff read."""
        return _HOLDS[self]


_HOLDS: Final = {
    HoldCode.HOURS: "outside the calling hours",
    HoldCode.LIMITS: "this number was reached as often as the limits allow",
    HoldCode.NUMBER_BUSY: "another call to this number is under way",
    HoldCode.BUNDLE: "waits for another reminder of the same number",
    HoldCode.REDIAL: "not reached yet; will be called again",
    HoldCode.NOT_PLACED: "the call could not be placed; will be tried again",
    HoldCode.ACCOUNT: "the provider refuses us; will be tried again",
    HoldCode.NOT_SENT: "the request was not sent; will be tried again",
    HoldCode.PLANNING: "its appointment was changed, and is being planned anew",
    HoldCode.NUMBER_CHANGED: "its phone number was changed: accept the new number, or cancel the reminder",
}


class EndCode(StrEnum):
    """Why a reminder failed, expired or was cancelled."""

    INVALID = "invalid"
    PROGRAM_ERROR = "program_error"
    TOO_LATE = "too_late"
    REFUSED = "refused"
    NOT_PLACED = "not_placed"
    MAX_CALLS = "max_calls"
    NOT_ANSWERED = "not_answered"
    NOT_HEARD = "not_heard"
    HUNG_UP = "hung_up"
    VOICEMAIL = "voicemail"
    DECLINED = "declined"
    PROVIDER_FAILED = "provider_failed"
    UNCONFIRMED = "unconfirmed"
    NO_REPORT = "no_report"
    RESTORED = "restored"
    OPTED_OUT = "opted_out"
    CANCELLED_BY_STAFF = "cancelled_by_staff"
    WITHDRAWN = "withdrawn"
    APPOINTMENT_CANCELLED = "appointment_cancelled"
    APPOINTMENT_MOVED = "appointment_moved"
    ANSWERED = "answered"
    """The patient has answered another call for the same appointment."""
    NOT_PLANNED = "not_planned"
    """The clinic's rules plan no such call anymore."""
    DONE_BY_STAFF = "done_by_staff"
    CANCELLED_ELSEWHERE = "cancelled_elsewhere"

    @property
    def sentence(self) -> str:
        """Return the sentence that staff read if nothing more is known."""
        return _ENDS[self]


_ENDS: Final = {
    EndCode.INVALID: "this reminder can't be called",
    EndCode.PROGRAM_ERROR: "unexpected error in the program, see the log",
    EndCode.TOO_LATE: "too late",
    EndCode.REFUSED: "refused by the provider",
    EndCode.NOT_PLACED: "the call could not be placed",
    EndCode.MAX_CALLS: "called as often as configured, but not reached",
    EndCode.NOT_ANSWERED: "not answered",
    EndCode.NOT_HEARD: "answered, but the message was not heard",
    EndCode.HUNG_UP: "hung up during the message",
    EndCode.VOICEMAIL: "answered by voicemail",
    EndCode.DECLINED: "the call was declined",
    EndCode.PROVIDER_FAILED: "the provider reported: failed",
    EndCode.UNCONFIRMED: "outcome unknown: call the patient manually",
    EndCode.NO_REPORT: "no report from the provider: call the patient manually",
    EndCode.RESTORED: "may have been called before the database was restored: call the patient manually",
    EndCode.OPTED_OUT: "opted out",
    EndCode.CANCELLED_BY_STAFF: "cancelled by staff",
    EndCode.WITHDRAWN: "cancelled over the API",
    EndCode.APPOINTMENT_CANCELLED: "its appointment was cancelled",
    EndCode.APPOINTMENT_MOVED: "its appointment was moved",
    EndCode.ANSWERED: "the patient has answered for this appointment",
    EndCode.NOT_PLANNED: "[reminders] plans no such call anymore",
    EndCode.DONE_BY_STAFF: "done by staff: the patient was called manually",
    EndCode.CANCELLED_ELSEWHERE: "ended by another program",
}

CANCELS: Final = frozenset(
    {
        EndCode.OPTED_OUT,
        EndCode.CANCELLED_BY_STAFF,
        EndCode.WITHDRAWN,
        EndCode.APPOINTMENT_CANCELLED,
        EndCode.APPOINTMENT_MOVED,
        EndCode.ANSWERED,
        EndCode.NOT_PLANNED,
        EndCode.DONE_BY_STAFF,
        EndCode.CANCELLED_ELSEWHERE,
    }
)
"""The codes of cancelled reminders."""

UNREACHED: Final = (
    "answered calls never asked what to say, so patients heard nothing: "
    "the provider does not reach the address in [web].public_base_url"
)
"""Why dialing is paused while our address is failing."""
