"""Who has looked at what, and who has logged in: the lines of the audit that say so, newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from attrs import frozen

from reminderd.store.connection import Connection
from reminderd.store.queries import is_text
from reminderd.store.rows import from_ms, to_ms

ACTS: Final = (
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
"""What the audit calls them."""

IS_LOOK: Final = f"act IN ({', '.join(repr(act) for act in ACTS)})"
"""The condition; the index `audit_of_looks` has the same one, so that it is used."""

PAGE: Final = 100


@frozen(kw_only=True)
class LookLine:
    """One line."""

    id: int
    at: datetime
    actor: str
    act: str
    reminder_id: str | None
    ref: str | None
    """The name by which staff know the reminder now; None: it has none, or was deleted."""
    detail: str | None


@frozen
class LookPlace:
    """Where a page ends."""

    at: datetime
    id: int


_LOOKS: Final = """
SELECT a.id, a.at, a.actor, a.act, a.reminder_id, a.detail, coalesce(r.ref, p.ref) AS ref
  FROM (SELECT id, at, actor, act, reminder_id, detail FROM audit WHERE {} ORDER BY at DESC, id DESC LIMIT :limit) AS a
  LEFT JOIN reminders AS r ON r.id = a.reminder_id LEFT JOIN appointments AS p ON p.id = r.appointment_id
 ORDER BY a.at DESC, a.id DESC
"""


def looks(
    connection: Connection, *, actor: str | None = None, until: datetime | None = None, after: LookPlace | None = None
) -> tuple[Sequence[LookLine], LookPlace | None]:
    """Return a page of lines, and where the next one begins; None: this is the last one.

    Args:
        connection: in a transaction.
        actor: only what this user did; None: anybody.
        until: only what was before this moment; None: everything.
        after: where the page before it ends; None: the first page.
    """
    if actor is not None and not is_text(actor):
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
        parameters |= {"after": to_ms(after.at), "after_id": after.id}
    rows = connection.execute(_LOOKS.format(" AND ".join(conditions)), parameters).fetchall()
    found = [
        LookLine(
            id=row["id"],
            at=from_ms(row["at"]),
            actor=row["actor"],
            act=row["act"],
            reminder_id=row["reminder_id"],
            ref=row["ref"],
            detail=row["detail"],
        )
        for row in rows[:PAGE]
    ]
    return found, LookPlace(found[-1].at, found[-1].id) if len(rows) > PAGE else None
