"""Changes of outcomes as other systems receive them, and the cursor that says how far one has read."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from attrs import frozen

from reminderd.core.model import CallOutcome, Status
from reminderd.core.outcomes import BY_RESPONSE, Outcome, as_spoken, end_code_of, outcome
from reminderd.core.reasons import EndCode
from reminderd.core.sentences import Sentence

_CURSOR: Final = re.compile(r"([1-9][0-9]{0,17})-([0-9a-f]{32})", re.ASCII)
_BEGINNING: Final = "0"


class ChangeKind(StrEnum):
    """What has changed."""

    REMINDER = "reminder"
    APPOINTMENT = "appointment"


@frozen
class Cursor:
    """The last change that a reader has; all later ones are new to it."""

    seq: int = 0
    """Its number; 0: the reader has none, as there was none."""
    event_id: str = ""
    """Its random id, by which a restored or another database is noticed."""

    def __str__(self) -> str:
        return f"{self.seq}-{self.event_id}" if self.seq else _BEGINNING


class CursorError(Exception):
    """Changes after a cursor can't be told; the message says why, and what to do."""


_AGAIN: Final = "start again without after: the oldest change that is kept comes first, and each is known by its id"


def read_cursor(text: str) -> Cursor:
    """Return the cursor that a reader was given as `next`.

    Raises:
        ValueError: it is none; the message says what is expected.
    """
    if text == _BEGINNING:
        return Cursor()
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise ValueError("not a cursor; expected the value of next in the last answer")
    return Cursor(int(found[1]), found[2])


def check_cursor(cursor: Cursor, *, found: str | None, oldest: int | None) -> None:
    """Check that no change after the cursor is missing.

    `found` is the id of the change with its number (None: there is none), and `oldest` the number of the oldest change
    that is kept (None: there is no change at all).

    Raises:
        CursorError: some may be missing, or the cursor is of another database.
    """
    is_first = cursor.seq == 0 and (oldest is None or oldest == 1)
    if is_first or (cursor.seq and found == cursor.event_id):
        return
    if oldest is not None and cursor.seq < oldest:
        raise CursorError(f"changes after this cursor are no longer kept; {_AGAIN}")
    raise CursorError(f"this cursor is not of this database, which may have been restored from a backup; {_AGAIN}")


@frozen(kw_only=True)
class Change:
    """One change of the outcome of a reminder or an appointment: what it was right after it."""

    seq: int
    event_id: str
    at: datetime
    kind: ChangeKind
    subject_id: str
    """The id of what has changed."""
    ref: str | None
    """The clinic's own name for it."""
    appointment_id: str | None = None
    """Of a reminder: the appointment that it belongs to."""
    appointment_ref: str | None = None
    appointment_at: datetime | None = None
    """The appointment's time that it is about, which may have been moved since."""
    status: str
    response: str | None = None
    end_code: EndCode | None = None
    is_done: bool = False
    attempts: int | None = None
    call_outcome: CallOutcome | None = None
    """How the last call for it has ended."""
    spoken: bool = False
    """Its message was spoken in that call."""

    @property
    def cursor(self) -> Cursor:
        """Return the cursor of a reader whose last change this is."""
        return Cursor(self.seq, self.event_id)

    @property
    def outcome(self) -> str:
        """Return what it has come to, in the words of the report."""
        if self.kind is ChangeKind.REMINDER:
            return outcome(Status(self.status), self.response, self.end_code, is_done=self.is_done)
        if self.status == Status.CANCELLED:
            return Outcome.CANCELLED
        if self.response == EndCode.DONE_BY_STAFF:
            return Outcome.DONE_BY_STAFF
        return BY_RESPONSE.get(self.response, self.status)

    @property
    def event(self) -> dict[str, str | int | None]:
        """Return it as other systems receive it. It has no phone number and no message."""
        is_reminder = self.kind is ChangeKind.REMINDER
        call_outcome = as_spoken(self.call_outcome, is_spoken=self.spoken)
        return {
            "id": self.event_id,
            "at": self.at.isoformat(timespec="milliseconds"),
            "kind": self.kind.value,
            "reminder_id": self.subject_id if is_reminder else None,
            "reminder_ref": self.ref if is_reminder else None,
            "appointment_id": self.appointment_id if is_reminder else self.subject_id,
            "appointment_ref": self.appointment_ref if is_reminder else self.ref,
            "appointment_at": None if self.appointment_at is None else self.appointment_at.isoformat(),
            "status": self.status,
            "outcome": str(self.outcome),
            "response": self.response,
            "end_code": self._end_code,
            "attempts": self.attempts,
            "call_outcome": None if call_outcome is None else call_outcome.value,
        }

    @property
    def _end_code(self) -> str | None:
        """Return why it ended, as the daemon notes it once it has looked at what another program has written."""
        if self.kind is ChangeKind.APPOINTMENT or not Status(self.status).final:
            return None
        code = end_code_of(Status(self.status), self.end_code)
        return None if code is None else code.value


UNDELIVERED_AFTER: Final = timedelta(minutes=30)
"""How long a change may wait until the clinic's own system has received it."""


@frozen(kw_only=True)
class Backlog:
    """The changes of outcomes that the clinic's own system has not received yet."""

    waiting: int
    oldest: datetime | None
    """When the oldest of them happened; None: nothing waits."""
    error: str | None
    """Why the last delivery failed; None: none of them has failed."""


def undelivered(backlog: Backlog | None, now: datetime) -> Sentence | None:
    """Return a sentence if changes have not been received for long; a backlog of None: none are sent."""
    if backlog is None or backlog.oldest is None or now - backlog.oldest <= UNDELIVERED_AFTER:
        return None
    values = {"count": backlog.waiting, "minutes": (now - backlog.oldest) // timedelta(minutes=1)}
    late = Sentence(
        "1 change was not received by [results].url, the oldest for %(minutes)s minutes",
        values,
        "%(count)s changes were not received by [results].url, the oldest for %(minutes)s minutes",
    )
    return late if backlog.error is None else Sentence("%(late)s: %(error)s", {"late": late, "error": backlog.error})
