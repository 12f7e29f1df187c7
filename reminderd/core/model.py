"""The nouns: an appointment, a reminder, a call, a reminder's membership in a call, and the words for their states."""

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import frozen

from reminderd.core.reasons import EndCode, HoldCode

T = TypeVar("T")

if TYPE_CHECKING:
    from attrs import evolve as evolve  # noqa: PLC0414 - the names and types of the changes are checked as attrs' are
else:

    def evolve(row: T, **changes: Any) -> T:  # noqa: ANN401 - each attribute has its own type
        """Return a reminder, call or membership with some other values, in a fraction of the time that attrs takes."""
        changed = object.__new__(type(row))
        changed.__dict__.update(row.__dict__, **changes)
        return changed


MESSAGE_LIMIT: Final = 4_000
"""Longest message of one call, in characters."""

ERASED: Final = "erased:"
"""The prefix of the keyed hash that replaces an erased number in a call."""

UNNUMBERED: Final = 2**62
"""The `seq` of a call that is not stored yet: newer than every stored call."""


class Status(StrEnum):
    """Where a reminder stands. The spelling is a public interface: the clinic's other programs read it."""

    SCHEDULED = "scheduled"
    DIALING = "dialing"
    PROCESSING = "processing"
    CALLED = "called"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Return whether no call follows unless staff ask for one, or the reminder is moved."""
        return self in _FINAL

    @property
    def can_be_called_again(self) -> bool:
        """Return whether the reminder ended without reaching the patient, so that staff may ask for another call."""
        return self in _FINAL and self is not Status.CALLED

    @property
    def in_call(self) -> bool:
        """Return whether the reminder belongs to a call that is being placed or is under way."""
        return self in _IN_CALL


_IN_CALL: Final = frozenset({Status.DIALING, Status.PROCESSING})
_FINAL: Final = frozenset(Status) - _IN_CALL - {Status.SCHEDULED}
"""A new status is final unless it is listed here, so that nobody is called by mistake."""


class CallState(StrEnum):
    """What we have concluded about a call; the provider's own word is its `status`."""

    DIALING = "dialing"
    """The request is being sent."""
    UNCONFIRMED = "unconfirmed"
    """It may or may not have been placed."""
    PLACED = "placed"
    """The provider has accepted it."""
    STRAY = "stray"
    """Alive while another call to the same number is open: we had closed this call, or do not know it."""
    ENDED = "ended"
    """The provider has reported its end."""
    REFUSED = "refused"
    """The provider will never place it."""
    NOT_PLACED = "not_placed"
    """It certainly was not placed."""
    UNREPORTED = "unreported"
    """Given up: its end was never reported."""

    @property
    def open(self) -> bool:
        """Return whether it is the one open call that its number can have."""
        return self in _OPEN

    @property
    def alive(self) -> bool:
        """Return whether its phone may be ringing, or somebody may be listening to it."""
        return self in _OPEN or self is CallState.STRAY

    @property
    def may_not_exist(self) -> bool:
        """Return whether the call may not exist: we only know that we asked for it, or are about to."""
        return self in {CallState.DIALING, CallState.UNCONFIRMED}


_OPEN: Final = frozenset({CallState.DIALING, CallState.UNCONFIRMED, CallState.PLACED})


class CallOutcome(StrEnum):
    """How a call ended for the patient. `core/outcomes.py` decides it."""

    CONFIRMED = "confirmed"
    """Heard, and answered with key 1."""
    HEARD = "heard"
    """The message was spoken to a person to its end."""
    HUNG_UP = "hung_up"
    """The message was being spoken to a person, and the line ended before it did."""
    VOICEMAIL = "voicemail"
    """The voicemail text was spoken to a machine."""
    NOT_HEARD = "not_heard"
    """Answered, but no part of the message was spoken."""
    NOT_ANSWERED = "not_answered"
    DECLINED = "declined"
    FAILED = "failed"

    @property
    def words(self) -> str:
        """Return the outcome as people read it."""
        return self.replace("_", " ")


# The provider's words for a call, in our spelling. Any other word is kept as it is and counts as progress.
PROGRESS: Final = frozenset({"queued", "initiated", "ringing", "in-progress", "answered"})
TERMINAL: Final = frozenset({"completed", "hung-up", "busy", "no-answer", "canceled", "declined", "failed"})
UNANSWERED: Final = frozenset({"queued", "initiated", "ringing"})
"""Placed, and nobody has answered yet."""


class Response(StrEnum):
    """What the patient has answered by a key. The spelling is a public interface."""

    CONFIRMED = "confirmed"
    CANCEL_REQUESTED = "cancel_requested"
    """Wants the appointment cancelled; staff decide."""
    OPTED_OUT = "opted_out"


RESPONSES: Final = frozenset(Response)


# Each event makes several of the next three, and a dictionary is filled in half the time that slots take.
@frozen(kw_only=True, slots=False)
class Reminder:
    """One message to one phone number at one time: a row of `reminders`."""

    id: str
    phone_number: str
    message: str
    scheduled_at: datetime
    ref: str | None = None
    expires_at: datetime | None = None
    """The clinic's limit for the start of a call; None if it is `max_lateness` after `scheduled_at`."""
    timezone: str | None = None
    """The patient's time zone, as the tz database names it; None for the clinic's zone."""
    language: str | None = None
    """The language in which its call is spoken, a BCP 47 tag; None for the clinic's own."""
    appointment_id: str | None = None
    """The appointment for which it was planned; None if there is no appointment."""
    status: Status = Status.SCHEDULED
    wake_at: datetime | None = None
    """When the row is checked next, and nothing more; None if it is final, or its call is checked instead."""
    retry_at: datetime | None = None
    """No call starts before this time, after a redial delay or a backoff; None if there is no delay."""
    attempts: int = 0
    """The number of its calls that ended, since it was scheduled or staff asked to call again."""
    tries: int = 0
    """The number of requests in a row that placed no call."""
    again_until: datetime | None = None
    """The limit that was set when staff asked to call again; this or the clinic's limit applies, whichever is later."""
    again_seq: int = 0
    """The `seq` of the newest call when staff asked to call again: this and earlier calls no longer count."""
    hold_code: HoldCode | None = None
    """Why a scheduled reminder waits longer than its time."""
    end_code: EndCode | None = None
    """Why it failed, expired or was cancelled."""
    ended_at: datetime | None = None
    """When it became final."""
    done_at: datetime | None = None
    """When staff noted that nobody needs to call the patient anymore; None if they have not."""
    last_error: str | None = None
    """The last reason as a sentence, for people."""
    response: str | None = None
    """A `Response`, or whatever the clinic's own programs have written."""
    planned_at: datetime | None = None
    """The appointment's time for which it was planned; None if there is no appointment."""
    cadence: str | None = None
    """The entry of `before` by which it was planned, like "3 days"."""
    source: str | None = None
    """The import profile of the last file that named it; None if no such file did."""
    revision: int = 0
    """Counts our own writes; if a row changes and this does not, another program wrote it."""
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def purged(self) -> bool:
        """Return whether personal data was removed after the retention time."""
        return not (self.phone_number or self.message)


class AppointmentStatus(StrEnum):
    """Whether an appointment takes place. The spelling is a public interface."""

    BOOKED = "booked"
    CANCELLED = "cancelled"


@frozen(kw_only=True, slots=False)
class Appointment:
    """A patient's appointment, for which reminders are planned: a row of `appointments`."""

    id: str
    phone_number: str
    at: datetime
    ref: str | None = None
    patient_ref: str | None = None
    """The clinic's own name for the patient."""
    timezone: str | None = None
    """The patient's time zone, as the tz database names it; None for the clinic's zone."""
    type: str | None = None
    """The clinic's word for what kind of appointment it is."""
    template: str | None = None
    """The name of the template for its messages; None for the template of its type, or of all appointments."""
    language: str | None = None
    """The patient's language, a BCP 47 tag; None for the clinic's own."""
    name: str | None = None
    """The patient's name, as it is spoken."""
    provider: str | None = None
    """Who the patient sees."""
    place: str | None = None
    status: AppointmentStatus = AppointmentStatus.BOOKED
    response: str | None = None
    """The patient's answer: a `Response`, or whatever the clinic's own programs have written. Then no call follows."""
    source: str | None = None
    """The import profile of the last file that named it; None if no such file did."""
    wake_at: datetime | None = None
    """Since when its reminders must be planned again; None if there is nothing to plan."""
    planned_at: datetime | None = None
    """The time for which its reminders were planned last; None if they never were."""
    former_number: str | None = None
    """A salted hash of its former number, until staff accept the new number; None if they need not."""
    end_code: EndCode | None = None
    """Who cancelled it."""
    last_error: str | None = None
    """Why not all of its calls are planned, for people."""
    revision: int = 0
    """Counts our own writes; a change without it is another program's."""
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def is_answered(self) -> bool:
        """Return whether the patient has answered; a blank response, as some programs write for none, is no answer."""
        return bool(self.response and not self.response.isspace())


@frozen(kw_only=True, slots=False)
class Call:
    """One call to a phone number, for one or more reminders: a row of `call_logs`.

    Its `id` travels to the provider as idempotency key and as `metadata.attempt_id`, and comes back in webhooks.
    """

    id: str
    reminder_id: str
    """The reminder that is named to the provider."""
    phone_number: str
    seq: int = UNNUMBERED
    """The order in which calls were stored."""
    provider: str | None = None
    """The kind of provider."""
    account: str | None = None
    """The account at the provider with which it was placed."""
    state: CallState = CallState.DIALING
    status: str | None = None
    """The provider's own word for how the call stands; None before the first report."""
    outcome: CallOutcome | None = None
    """How it ended for the patient; None until it has ended, or the message was heard."""
    external_call_id: str | None = None
    requests: int = 0
    """The number of requests that may have been sent."""
    checks: int = 0
    """The number of look-ups since the last sign of life."""
    evidence: bool = False
    """The provider has shown that it has accepted the call."""
    adopted: bool = False
    """Recorded from a report about a call that we do not know."""
    lease_token: str | None = None
    """Identifies the claim of the process that works on the row right now; None if no process does."""
    wake_at: datetime | None = None
    """When it is checked next; None once it is closed."""
    last_sign_at: datetime
    """When we last sent its request, or the provider last reported that it is alive."""
    fetched_at: datetime | None = None
    """When the provider first asked what to speak in it; None if it did not ask."""
    hung_up_at: datetime | None = None
    """When the line ended, as far as the report shows, if the patient hung up; otherwise None."""
    transcript: str | None = None
    answered_by: str | None = None
    duration_seconds: int | None = None
    sip_response_code: int | None = None
    error_code: str | None = None
    """The provider's own code for the error."""
    error: str | None = None
    """The error, as a sentence."""
    created_at: datetime
    updated_at: datetime | None = None
    received_at: datetime | None = None
    """When its terminal report came, of which only the first counts; None before."""

    @property
    def anonymous(self) -> bool:
        """Return whether its number was purged or erased: nothing recorded later may show whose number it was."""
        return not self.phone_number or self.phone_number.startswith(ERASED)

    @property
    def storable(self) -> "Call":
        """Return the call as it may be stored: a late report does not bring back what was purged or erased."""
        if not self.anonymous:
            return self
        return evolve(self, transcript=None if self.transcript is None else "", answered_by=None)


@frozen(kw_only=True, slots=False)
class Member:
    """A reminder's part in a call: a row of `call_reminders`, which records what the call was made for."""

    call_id: str
    reminder_id: str
    position: int
    """The order in which the call speaks its messages, from 0."""
    scheduled_at: datetime
    """The reminder's time when the call was made; if the reminder was moved since, the call is no longer about it."""
    message_digest: str
    spoken: bool = False
    """Whether its message, or the voicemail text, was spoken, or given to the provider to be spoken."""
    spoken_by: datetime | None = None
    """When its message will have been spoken to its end, if the line stays open; None if it was not for a person."""
    deleted: bool = False
    """Whether the reminder was deleted since."""


def digest(message: str, language: str | None = None) -> str:
    """Return a hash that distinguishes a message and its language from any other, and reveals neither in the logs."""
    text = message if language is None else f"{language}\n{message}"
    return sha256(text.encode(errors="surrogatepass")).hexdigest()
