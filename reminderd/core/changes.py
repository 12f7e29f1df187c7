"""Changes of outcomes as other systems receive them, and the cursor that shows how far a system has read."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from attrs import frozen

from reminderd.core.model import CallOutcome, Status
from reminderd.core.outcomes import BY_RESPONSE, Outcome, end_code_of, outcome, outcome_of_message
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
    """The last change that a reader has received; all later changes are new to it."""

    seq: int = 0
    """The number of that change; 0 if there was no change yet."""
    event_id: str = ""
    """The random id of that change, which differs in another or a restored database."""

    def __str__(self) -> str:
        return f"{self.seq}-{self.event_id}" if self.seq else _BEGINNING


class CursorError(Exception):
    """The changes after a cursor are not known; the message says why, and what to do."""


_AGAIN: Final = "start again without after: the oldest change that is kept comes first, and each is known by its id"


def read_cursor(text: str) -> Cursor:
    """Return the cursor that a reader was given as `next`.

    Raises:
        ValueError: the text is not a cursor; the message says what is expected.
    """
    if text == _BEGINNING:
        return Cursor()
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise ValueError("not a cursor; expected the value of next in the last answer")
    return Cursor(int(found[1]), found[2])


def check_cursor(cursor: Cursor, *, found: str | None, oldest: int | None) -> None:
    """Check that no change after the cursor is missing.

    `found` is the id of the stored change with the cursor's number; None if there is no such change. `oldest` is the
    number of the oldest change that is kept; None if there are no changes.

    Raises:
        CursorError: changes may be missing, or the cursor is from another database.
    """
    is_first = cursor.seq == 0 and (oldest is None or oldest == 1)
    if is_first or (cursor.seq and found == cursor.event_id):
        return
    if oldest is not None and cursor.seq < oldest:
        raise CursorError(f"changes after this cursor are no longer kept; {_AGAIN}")
    raise CursorError(f"this cursor is not of this database, which may have been restored from a backup; {_AGAIN}")


@frozen(kw_only=True)
class Change:
    """A change of the outcome of a reminder or an appointment, with its values right after the change."""

    seq: int
    event_id: str
    at: datetime
    kind: ChangeKind
    subject_id: str
    """The id of what has changed."""
    ref: str | None
    """The clinic's own name for it."""
    appointment_id: str | None = None
    """The appointment to which the reminder belongs."""
    appointment_ref: str | None = None
    appointment_at: datetime | None = None
    """The appointment's time at the change; it may have been moved since."""
    status: str
    response: str | None = None
    end_code: EndCode | None = None
    is_done: bool = False
    attempts: int | None = None
    call_outcome: CallOutcome | None = None
    """The outcome of the last call for it."""
    spoken: bool = False
    """Whether its message was spoken in that call."""

    @property
    def cursor(self) -> Cursor:
        """Return the cursor of a reader that has received this change last."""
        return Cursor(self.seq, self.event_id)

    @property
    def outcome(self) -> str:
        """Return its outcome, in the words of the report."""
        if self.kind is ChangeKind.REMINDER:
            return outcome(Status(self.status), self.response, self.end_code, is_done=self.is_done)
        if self.status == Status.CANCELLED:
            return Outcome.CANCELLED
        if self.response == EndCode.DONE_BY_STAFF:
            return Outcome.DONE_BY_STAFF
        return BY_RESPONSE.get(self.response, self.status)

    @property
    def event(self) -> dict[str, str | int | None]:
        """Return the change as other systems receive it, without phone number and message."""
        is_reminder = self.kind is ChangeKind.REMINDER
        call_outcome = outcome_of_message(self.call_outcome, is_spoken=self.spoken)
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
        """Return why it ended; if another program ended it, the code that the daemon will record."""
        if self.kind is ChangeKind.APPOINTMENT or not Status(self.status).final:
            return None
        code = end_code_of(Status(self.status), self.end_code)
        return None if code is None else code.value


UNDELIVERED_AFTER: Final = timedelta(minutes=30)
"""How long a change may wait for the clinic's own system to receive it."""


@frozen(kw_only=True)
class Backlog:
    """The changes of outcomes that the clinic's own system has not received yet."""

    waiting: int
    oldest: datetime | None
    """When the oldest of them happened; None if nothing waits."""
    error: str | None
    """Why the last delivery failed; None if it did not fail."""


def undelivered_warning(backlog: Backlog | None, now: datetime) -> Sentence | None:
    """Return a sentence if changes have waited too long, else None; the backlog is None if no changes are sent."""
    if backlog is None or backlog.oldest is None or now - backlog.oldest <= UNDELIVERED_AFTER:
        return None
    values = {"count": backlog.waiting, "minutes": (now - backlog.oldest) // timedelta(minutes=1)}
    late = Sentence(
        "1 change was not received by [results].url, the oldest for %(minutes)s minutes",
        values,
        "%(count)s changes were not received by [results].url, the oldest for %(minutes)s minutes",
    )
    return late if backlog.error is None else Sentence("%(late)s: %(error)s", {"late": late, "error": backlog.error})
