"""Why a reminder waits, why it ended, why dialing is paused: codes that decide, and the sentences that people read."""

from enum import StrEnum
from typing import Final, Self


class _Code(StrEnum):
    """A code, with the sentence that staff read if no further details are known."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> Self:
        """Return a code with its sentence."""
        member = str.__new__(cls, code)
        member._value_, member.sentence = code, sentence
        return member

    def details(self, reason: str | None) -> str | None:
        """Return what a reason adds to the sentence of this code; None if nothing."""
        if reason is None or reason == self.sentence:
            return None
        details = reason.removeprefix(f"{self.sentence} (")
        return reason if details == reason else details.removesuffix(")")


class HoldCode(_Code):
    """Why a scheduled reminder waits longer than its time."""

    HOURS = "hours", "outside the calling hours"
    LIMITS = "limits", "this number was reached as often as the limits allow"
    NUMBER_BUSY = "number_busy", "another call to this number is under way"
    BUNDLE = "bundle", "waits for another reminder of the same number"
    REDIAL = "redial", "not reached yet; will be called again"
    NOT_PLACED = "not_placed", "the call could not be placed; will be tried again"
    ACCOUNT = "account", "the provider refuses us; will be tried again"
    NOT_SENT = "not_sent", "the request was not sent; will be tried again"
    PLANNING = "planning", "its appointment was changed, and is being planned again"
    NUMBER_CHANGED = "number_changed", "its phone number was changed: accept the new number, or cancel the reminder"


class EndCode(_Code):
    """Why a reminder failed, expired or was cancelled."""

    INVALID = "invalid", "this reminder can't be called"
    PROGRAM_ERROR = "program_error", "unexpected error in the program, see the log"
    TOO_LATE = "too_late", "too late"
    REFUSED = "refused", "refused by the provider"
    NOT_PLACED = "not_placed", "the call could not be placed"
    MAX_CALLS = "max_calls", "called as often as configured, but not reached"
    NOT_ANSWERED = "not_answered", "not answered"
    NOT_HEARD = "not_heard", "answered, but the message was not heard"
    HUNG_UP = "hung_up", "hung up during the message"
    VOICEMAIL = "voicemail", "answered by voicemail"
    DECLINED = "declined", "the call was declined"
    PROVIDER_FAILED = "provider_failed", "the provider reported: failed"
    UNCONFIRMED = "unconfirmed", "outcome unknown: call the patient manually"
    NO_REPORT = "no_report", "no report from the provider: call the patient manually"
    RESTORED = "restored", "may have been called before the database was restored: call the patient manually"
    OPTED_OUT = "opted_out", "opted out"
    CANCELLED_BY_STAFF = "cancelled_by_staff", "cancelled by staff"
    WITHDRAWN = "withdrawn", "cancelled over the API"
    APPOINTMENT_CANCELLED = "appointment_cancelled", "its appointment was cancelled"
    APPOINTMENT_MOVED = "appointment_moved", "its appointment was moved"
    ANSWERED = "answered", "the patient has answered for this appointment"
    NOT_PLANNED = "not_planned", "[reminders] plans no such call anymore"
    DONE_BY_STAFF = "done_by_staff", "done by staff: the patient was called manually"
    CANCELLED_ELSEWHERE = "cancelled_elsewhere", "ended by another program"


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

SHOWN_BY_CALLS: Final[frozenset[EndCode | HoldCode]] = frozenset(
    {EndCode.NOT_ANSWERED, EndCode.NOT_HEARD, EndCode.VOICEMAIL, HoldCode.REDIAL}
)
"""The codes whose reasons add only how often the patient was called, and how the last call ended."""

UNREACHED: Final = (
    "answered calls never asked what to say, so patients heard nothing: "
    "the provider does not reach the address in [web].public_base_url"
)
"""Why dialing is paused while our address is failing."""
