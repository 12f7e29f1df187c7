"""The audit, which only grows: record who did what, and read what was done to a reminder, or who has looked at data."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from attrs import frozen

from reminderd.store.connection import Connection
from reminderd.store.queries import ListPlace, ShownValue, is_comparable, row_by_name
from reminderd.store.rows import Value, attribute_names, from_ms, insert_rows, read_as, to_ms

LOOK_ACTS: Final = (
    "download",
    "export",
    "log-in",
    "log-in-refused",
    "log-out",
    "search",
    "user-add",
    "user-passwd",
    "user-remove",
    "view",
)
"""The `act` of the lines about looks at data, log-ins, and changes of accounts."""

IS_LOOK: Final = f"act IN ({', '.join(repr(act) for act in LOOK_ACTS)})"
"""The condition for these lines; the index `audit_of_looks` has the same condition, so that the engine uses it."""

PAGE: Final = 100
"""The number of lines on a page."""


@frozen
class Act:
    """What was done to a reminder or an appointment, for the audit.

    Neither `act` nor `detail` may contain a phone number or a message: this table is kept forever.
    """

    act: str
    reminder_id: str | None = None
    appointment_id: str | None = None
    detail: str | None = None


def audit(
    connection: Connection,
    now: datetime,
    *,
    actor: str,
    act: str,
    reminder_id: str | None = None,
    appointment_id: str | None = None,
    detail: str | None = None,
) -> None:
    """Record who did what, in the transaction of the act; see `Act`."""
    audit_all(connection, now, [Act(act, reminder_id, appointment_id, detail)], actor=actor)


def audit_all(connection: Connection, now: datetime, acts: Sequence[Act], *, actor: str) -> None:
    """Record what somebody did, in the transaction of the acts."""
    columns: dict[str, Sequence[Value]] = {name: [getattr(one, name) for one in acts] for name in attribute_names(Act)}
    same: dict[str, Sequence[Value]] = {"at": [to_ms(now)] * len(acts), "actor": [actor] * len(acts)}
    insert_rows(connection, "audit", same | columns)


def acts_on(connection: Connection, reminder_id: str) -> list[dict[str, ShownValue]]:
    """Return the rows of `audit` for a reminder: who did what to it, oldest first."""
    sql = "SELECT id, at, actor, act, reminder_id, detail FROM audit WHERE reminder_id = :id ORDER BY id"
    return [row_by_name(row) for row in connection.execute(sql, {"id": reminder_id}).fetchall()]


def acts_on_appointment(connection: Connection, appointment_id: str) -> list[dict[str, ShownValue]]:
    """Return the rows of `audit` for an appointment: who did what to it, oldest first."""
    sql = "SELECT id, at, actor, act, appointment_id, detail FROM audit WHERE appointment_id = :id ORDER BY id"
    return [row_by_name(row) for row in connection.execute(sql, {"id": appointment_id}).fetchall()]


@frozen(kw_only=True)
class LookLine:
    """One line of the audit with an act of `LOOK_ACTS`."""

    id: int
    at: datetime
    actor: str
    act: str
    reminder_id: str | None
    ref: str | None
    """The name by which staff know the reminder now; None if it has none, or was deleted."""
    detail: str | None


_LOOKS: Final = """
SELECT a.id, a.at, a.actor, a.act, a.reminder_id, a.detail, coalesce(r.ref, p.ref) AS ref
  FROM (SELECT id, at, actor, act, reminder_id, detail FROM audit WHERE {} ORDER BY at DESC, id DESC LIMIT :limit) AS a
  LEFT JOIN reminders AS r ON r.id = a.reminder_id LEFT JOIN appointments AS p ON p.id = r.appointment_id
 ORDER BY a.at DESC, a.id DESC
"""


def page_of_looks(
    connection: Connection, *, actor: str | None = None, until: datetime | None = None, after: ListPlace | None = None
) -> tuple[Sequence[LookLine], ListPlace | None]:
    """Return the page of lines that follows `after`, or the first page, and where the next begins (None at the end).

    With `actor`, it has only what this user did; with `until`, only lines from before this moment.
    """
    if actor is not None and not is_comparable(actor):
        return (), None
    conditions = [IS_LOOK]
    parameters: dict[str, str | int] = {"limit": PAGE + 1}
    if actor is not None:
        conditions.append("actor = :actor")
        parameters["actor"] = actor
    if until is not None:
        conditions.append("at < :until")
        parameters["until"] = to_ms(until)
    if after is not None:
        conditions.append("(at, id) < (:after, :after_id)")
        parameters |= {"after": to_ms(after.at), "after_id": int(after.id)}
    rows = connection.execute(_LOOKS.format(" AND ".join(conditions)), parameters).fetchall()
    found = [read_as(LookLine, row, at=from_ms) for row in rows[:PAGE]]
    return found, ListPlace(found[-1].at, str(found[-1].id)) if len(rows) > PAGE else None
