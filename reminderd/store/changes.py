"""The changes of outcomes, in the order of their commits: pages of them for readers, and their retention.

Triggers of the schema record them, in the transaction that changes an outcome.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from attrs import frozen

from reminderd.core.changes import Change, ChangeKind, Cursor, check_cursor
from reminderd.core.model import CallOutcome
from reminderd.core.reasons import EndCode
from reminderd.store.rows import Connection, Row, from_ms, to_ms

_NAMES: Final = (
    "seq",
    "event_id",
    "at",
    "kind",
    "subject_id",
    "ref",
    "appointment_id",
    "appointment_at",
    "status",
    "response",
    "end_code",
    "done",
    "attempts",
    "call_outcome",
    "spoken",
)

_APPOINTMENT_REF: Final = "(SELECT ref FROM appointments WHERE id = {}.appointment_id)"


def columns_of(alias: str) -> str:
    """Return the columns of `changes` for a SELECT that `change_of` reads."""
    return ", ".join(f"{alias}.{name}" for name in _NAMES) + f", {_APPOINTMENT_REF.format(alias)} AS appointment_ref"


# What was erased is nobody's anymore.
_AFTER: Final = f"""
SELECT {columns_of("c")} FROM changes AS c WHERE c.seq > :after AND c.subject_id <> '' ORDER BY c.seq LIMIT :limit
"""
_FACTS: Final = ("phone_number", "timezone", "language", "patient_ref", "appointment_type", "name", "provider", "place")
_MOMENTS: Final = ("scheduled_at", "expires_at")
_ANSWERS: Final = f"""
SELECT {columns_of("c")}, coalesce(r.phone_number, a.phone_number) AS phone_number,
       coalesce(r.timezone, a.timezone) AS timezone, coalesce(r.language, a.language) AS language,
       a.patient_ref, a.type AS appointment_type, a.name, a.provider, a.place,
       r.scheduled_at, r.expires_at
  FROM changes AS c
  LEFT JOIN reminders AS r ON r.id = c.subject_id AND c.kind = 'reminder'
  LEFT JOIN appointments AS a ON a.id = CASE c.kind WHEN 'appointment' THEN c.subject_id ELSE c.appointment_id END
 WHERE c.seq > :after AND c.seq <= :until AND c.subject_id <> '' ORDER BY c.seq LIMIT :limit
"""
_NEWEST: Final = "SELECT seq FROM changes WHERE subject_id <> '' ORDER BY seq DESC LIMIT 1"
_BOUNDS: Final = """
SELECT (SELECT min(seq) FROM changes) AS oldest, (SELECT event_id FROM changes WHERE seq = :seq) AS found
"""
# The newest of the old ones stays, so that a reader who has it knows that none is missing after it.
_TRIM: Final = """
DELETE FROM changes
 WHERE seq IN (SELECT seq FROM changes WHERE seq < :read ORDER BY seq LIMIT :limit)
   AND seq < (SELECT seq FROM changes WHERE at < :before AND seq < :read ORDER BY seq DESC LIMIT 1)
   AND seq NOT IN (SELECT seq FROM deliveries)
"""
_TRIM_BATCH: Final = 1_000
_AS_THEY_ARE: Final = (
    "seq",
    "event_id",
    "subject_id",
    "ref",
    "appointment_id",
    "appointment_ref",
    "status",
    "response",
    "attempts",
)
_CODES: Final = {str(code): code for code in EndCode}
_CALL_OUTCOMES: Final = {str(one): one for one in CallOutcome}


@frozen(kw_only=True)
class Answer:
    """A change, with what the clinic's practice software knows it by."""

    change: Change
    facts: Mapping[str, str | datetime | None]
    """Columns of its reminder and its appointment, by the names that an import has for them."""

    @property
    def appointment_ref(self) -> str | None:
        """Return the appointment's own name."""
        is_appointment = self.change.kind is ChangeKind.APPOINTMENT
        return self.change.ref if is_appointment else self.change.appointment_ref


@frozen(kw_only=True)
class Page:
    """Some changes, oldest first."""

    changes: Sequence[Change]
    cursor: Cursor
    """Of a reader who has them."""


def changes_after(connection: Connection, *, cursor: Cursor | None, limit: int) -> Page:
    """Return the first changes after a cursor; None: the oldest that are kept.

    Raises:
        CursorError: changes may be missing in between, or the cursor is of another database.
    """
    bounds = connection.execute(_BOUNDS, {"seq": 0 if cursor is None else cursor.seq}).fetchone()
    if cursor is not None:
        check_cursor(cursor, found=bounds["found"], oldest=bounds["oldest"])
    after = 0 if cursor is None else cursor.seq
    rows = connection.execute(_AFTER, {"after": after, "limit": limit}).fetchall()
    changes = [change_of(row) for row in rows]
    return Page(changes=changes, cursor=changes[-1].cursor if changes else cursor or Cursor())


def answers_between(connection: Connection, *, after: int, until: int, limit: int) -> list[Answer]:
    """Return the first changes after one number, up to another, with what they are about."""
    bounds = {"after": after, "until": until, "limit": limit}
    return [_answer(row) for row in connection.execute(_ANSWERS, bounds).fetchall()]


def _answer(row: Row) -> Answer:
    facts = {name: row[name] for name in _FACTS}
    moments = {name: None if row[name] is None else from_ms(row[name]) for name in _MOMENTS}
    change = change_of(row)
    return Answer(change=change, facts=facts | moments | {"appointment_at": change.appointment_at})


def newest_change(connection: Connection) -> int:
    """Return the number of the newest change that was not erased; 0: there is none."""
    row = connection.execute(_NEWEST).fetchone()
    return 0 if row is None else int(row["seq"])


def trim_changes(connection: Connection, _now: datetime, *, before: datetime, read: int | None) -> int:
    """Delete some of the changes from before a moment, and return how many.

    Args:
        connection: in a write transaction.
        before: younger ones are kept.
        read: the number of the newest change that is delivered everywhere: later ones are kept, however old they are.
            None: nothing has to be delivered.
    """
    bounds = {"before": to_ms(before), "read": 2**62 if read is None else read, "limit": _TRIM_BATCH}
    return connection.execute(_TRIM, bounds).rowcount


def forget_subjects(connection: Connection, ids: Sequence[str]) -> None:
    """Remove from all changes what shows that they were changes of these reminders or appointments.

    The changes stay, as a reader may have one of them as its cursor.
    """
    subjects = [{"id": one} for one in ids]
    connection.executemany("DELETE FROM deliveries WHERE subject_id = :id", subjects)
    connection.executemany("UPDATE changes SET subject_id = '', ref = NULL WHERE subject_id = :id", subjects)
    connection.executemany("UPDATE changes SET appointment_id = NULL WHERE appointment_id = :id", subjects)


def change_of(row: Row) -> Change:
    """Return the change in a row with the columns of `columns_of`."""
    values: dict[str, Any] = {name: row[name] for name in _AS_THEY_ARE}
    return Change(
        **values,
        at=from_ms(row["at"]),
        appointment_at=None if row["appointment_at"] is None else from_ms(row["appointment_at"]),
        kind=ChangeKind(row["kind"]),
        end_code=_CODES.get(row["end_code"]),
        is_done=bool(row["done"]),
        call_outcome=_CALL_OUTCOMES.get(row["call_outcome"]),
        spoken=bool(row["spoken"]),
    )
