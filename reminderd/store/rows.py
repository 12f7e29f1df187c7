"""Rows and nouns: reading reminders and calls, and writing what a step changed. Milliseconds live here only."""

from datetime import UTC, datetime, timedelta
from typing import Final

from reminderd.core.lifecycle import Step
from reminderd.core.reminder import Call, Reminder, Status
from reminderd.store.driver import Connection, Row

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
# A foreign program may have written any integer; what is read is bounded so that sums of times never overflow.
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
_EARLIEST_MS: Final = (_EARLIEST - _EPOCH) // _MILLISECOND
_LATEST_MS: Final = (_LATEST - _EPOCH) // _MILLISECOND


def to_ms(moment: datetime) -> int:
    """Unix milliseconds of an aware moment, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The UTC moment of Unix milliseconds, bounded to the years 1900 to 9000."""
    return _EPOCH + min(max(milliseconds, _EARLIEST_MS), _LATEST_MS) * _MILLISECOND


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_ms(milliseconds)


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def reminder_from(row: Row) -> Reminder:
    """The reminder in a whole row of `reminders`."""
    return Reminder(
        id=row["id"],
        ref=row["ref"],
        phone_number=row["phone_number"],
        message=row["message"],
        scheduled_at=from_ms(row["scheduled_at"]),
        expires_at=_moment(row["expires_at"]),
        timezone=row["timezone"],
        status=Status(row["status"]),
        wake_at=_moment(row["wake_at"]),
        hold_reason=row["hold_reason"],
        attempts=row["attempts"],
        said_with=row["said_with"],
        lease_token=row["lease_token"],
        external_call_id=row["external_call_id"],
        response=row["response"],
        last_error=row["last_error"],
        created_at=_moment(row["created_at"]),
        updated_at=_moment(row["updated_at"]),
    )


def call_from(row: Row) -> Call:
    """The call in a whole row of `call_logs`."""
    return Call(
        id=row["id"],
        reminder_id=row["reminder_id"],
        attempt=row["attempt"],
        status=row["status"],
        provider=row["provider"],
        external_call_id=row["external_call_id"],
        tries=row["tries"],
        checks=row["checks"],
        not_found=row["not_found"],
        transcript=row["transcript"],
        answered_by=row["answered_by"],
        duration_seconds=row["duration_seconds"],
        sip_response_code=row["sip_response_code"],
        error_code=row["error_code"],
        error=row["error"],
        said_digest=row["said_digest"],
        created_at=from_ms(row["created_at"]),
        updated_at=from_ms(row["updated_at"]),
        received_at=_moment(row["received_at"]),
    )


def load_reminder(connection: Connection, reminder_id: str) -> Reminder | None:
    """The reminder with this id, or None."""
    row = connection.execute("SELECT * FROM reminders WHERE id = ?", (reminder_id,)).fetchone()
    return None if row is None else reminder_from(row)


def load_calls(connection: Connection, reminder_id: str) -> tuple[Call, ...]:
    """All calls of a reminder, oldest first; reports that match none of them last."""
    rows = connection.execute(
        "SELECT * FROM call_logs WHERE reminder_id = ? ORDER BY attempt IS NULL, attempt, created_at", (reminder_id,)
    ).fetchall()
    return tuple(call_from(row) for row in rows)


def save(connection: Connection, before: Reminder, calls_before: tuple[Call, ...], step: Step, now: datetime) -> None:
    """Write what a step changed; rows that it left alone are not touched."""
    known = {call.id: call for call in calls_before}
    for call in step.calls:
        if call.id not in known:
            _insert_call(connection, call, now)
        elif call != known[call.id]:
            _update_call(connection, call, now)
    if step.reminder != before:
        _update_reminder(connection, step.reminder, now)


def save_other(connection: Connection, step: Step, now: datetime) -> None:
    """Write what has become of a reminder along with another one's call; its own calls are as they were."""
    _update_reminder(connection, step.reminder, now)


def _update_reminder(connection: Connection, after: Reminder, now: datetime) -> None:
    connection.execute(
        "UPDATE reminders SET status = ?, expires_at = ?, wake_at = ?, hold_reason = ?, attempts = ?,"
        " said_with = ?, lease_token = ?, external_call_id = ?, response = ?, last_error = ?, updated_at = ?"
        " WHERE id = ?",
        (
            after.status,
            _ms(after.expires_at),
            _ms(after.wake_at),
            after.hold_reason,
            after.attempts,
            after.said_with,
            after.lease_token,
            after.external_call_id,
            after.response,
            after.last_error,
            to_ms(now),
            after.id,
        ),
    )


def _insert_call(connection: Connection, call: Call, now: datetime) -> None:
    connection.execute(
        "INSERT INTO call_logs (id, reminder_id, attempt, provider, external_call_id, status, tries, checks,"
        " not_found, transcript, answered_by, duration_seconds, sip_response_code, error_code, error, said_digest,"
        " created_at, updated_at, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            call.id,
            call.reminder_id,
            call.attempt,
            call.provider,
            call.external_call_id,
            call.status,
            call.tries,
            call.checks,
            call.not_found,
            call.transcript,
            call.answered_by,
            call.duration_seconds,
            call.sip_response_code,
            call.error_code,
            call.error,
            call.said_digest,
            to_ms(now),
            to_ms(now),
            _ms(call.received_at),
        ),
    )


def _update_call(connection: Connection, call: Call, now: datetime) -> None:
    connection.execute(
        "UPDATE call_logs SET provider = ?, external_call_id = ?, status = ?, tries = ?, checks = ?,"
        " not_found = ?, transcript = ?, answered_by = ?, duration_seconds = ?, sip_response_code = ?, error_code = ?,"
        " error = ?, updated_at = ?, received_at = ? WHERE id = ?",
        (
            call.provider,
            call.external_call_id,
            call.status,
            call.tries,
            call.checks,
            call.not_found,
            call.transcript,
            call.answered_by,
            call.duration_seconds,
            call.sip_response_code,
            call.error_code,
            call.error,
            to_ms(now),
            _ms(call.received_at),
            call.id,
        ),
    )
