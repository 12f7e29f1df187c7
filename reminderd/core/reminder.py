"""The nouns: a reminder, its calls, and the words for their states."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from attrs import frozen

MESSAGE_LIMIT: Final = 4_000
"""Longest message, in characters, that is read out."""


class Status(StrEnum):
    """Where a reminder stands. The spelling is a public interface: the clinic's backend reads it."""

    SCHEDULED = "scheduled"
    DIALING = "dialing"
    PROCESSING = "processing"
    CALLED = "called"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will be dialled for this reminder unless staff ask for it."""
        return self in _FINAL


_FINAL: Final = frozenset({Status.CALLED, Status.FAILED, Status.EXPIRED, Status.CANCELLED})

# The words for a call. A provider's word that is in none of these sets is kept as it is and counts as progress.
PROGRESS: Final = frozenset({"queued", "initiated", "ringing", "in-progress", "answered"})
TERMINAL: Final = frozenset({"completed", "busy", "no-answer", "canceled", "failed"})
CLOSED_BY_US: Final = frozenset({"refused", "not-placed", "unreported"})
CLOSED: Final = TERMINAL | CLOSED_BY_US
UNANSWERED: Final = frozenset({"queued", "initiated", "ringing"})
"""Placed, and nobody has picked up yet."""


class Response(StrEnum):
    """What the patient has answered by a key. The spelling is a public interface."""

    CONFIRMED = "confirmed"
    CANCEL_REQUESTED = "cancel_requested"
    """Wants the appointment cancelled; staff decide."""
    OPTED_OUT = "opted_out"


OPTED_OUT: Final = "opted out"
"""The reason of a reminder that an opt-out has cancelled."""


@frozen(kw_only=True)
class Reminder:
    """One message to one phone number at one time: a row of `reminders`."""

    id: str
    phone_number: str
    message: str
    scheduled_at: datetime
    ref: str | None = None
    expires_at: datetime | None = None
    """Not rung after this; None: `max_lateness` after `scheduled_at`."""
    timezone: str | None = None
    """The patient's IANA zone; None: the clinic's."""
    status: Status = Status.SCHEDULED
    wake_at: datetime | None = None
    """When the row next needs someone; None once it is final and none of its calls is open."""
    hold_reason: str | None = None
    """Why a waiting reminder waits, in words for staff."""
    attempts: int = 0
    """Calls used up since it was scheduled, or called again by staff."""
    said_with: str | None = None
    """The id of another reminder's call in which it is said, too, or was to be; None: it has none but its own."""
    lease_token: str | None = None
    """Names the claim under which someone works on the row right now."""
    external_call_id: str | None = None
    """The provider's id of its newest call."""
    response: str | None = None
    """A `Response`, or whatever the clinic's own programs have written."""
    last_error: str | None = None
    """The reason of `failed`, `expired` and `cancelled`."""
    created_at: datetime | None = None
    updated_at: datetime | None = None


@frozen(kw_only=True)
class Call:
    """One attempt to ring a reminder's number: a row of `call_logs`.

    Its `id` travels to the provider as idempotency key and as `metadata.attempt_id`, and comes back in webhooks.
    """

    id: str
    reminder_id: str
    attempt: int | None
    """1, 2, 3 … within its reminder; None for a report that could not be matched to any of its calls."""
    status: str = "dialing"
    provider: str | None = None
    external_call_id: str | None = None
    tries: int = 0
    """Requests to place it, those given back (nothing sent, our account's fault) not counted."""
    checks: int = 0
    """Times the provider was asked what became of it."""
    not_found: int = 0
    """Times it answered then that it knows no such call."""
    transcript: str | None = None
    answered_by: str | None = None
    duration_seconds: int | None = None
    sip_response_code: int | None = None
    error_code: str | None = None
    """The provider's own number for what went wrong."""
    error: str | None = None
    said_digest: str | None = None
    """Of the words that it was first asked to say, if it says other reminders, too; None: it says its own alone."""
    created_at: datetime
    updated_at: datetime
    received_at: datetime | None = None
    """When its one terminal report came; None before."""

    @property
    def open(self) -> bool:
        """Whether it may still ring or be reported."""
        return self.attempt is not None and self.status not in CLOSED

    @property
    def by_machine(self) -> bool:
        """Whether a machine has answered: a voicemail, a fax."""
        return self.answered_by is not None and self.answered_by.startswith(("machine", "fax"))


def open_call(calls: tuple[Call, ...]) -> Call | None:
    """The one call of a reminder that is open, or None."""
    return next((call for call in calls if call.open), None)


def newest_call(calls: tuple[Call, ...]) -> Call | None:
    """The call with the highest attempt number, or None if there never was one."""
    return max((call for call in calls if call.attempt is not None), key=lambda call: call.attempt or 0, default=None)
