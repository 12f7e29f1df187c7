"""Lists of reminders, as the front desk asks for them."""

from datetime import datetime
from typing import Final

from attrs import frozen

from reminderd.core.reminder import Status
from reminderd.store.driver import Connection
from reminderd.store.queries import Value, named
from reminderd.store.rows import to_ms

_EARLIEST, _LATEST = -(2**63), 2**63 - 1


@frozen(kw_only=True)
class Wanted:
    """Which reminders staff want to see; what is None, or not asked for, takes all."""

    status: Status | None = None
    since: datetime | None = None
    """Their time is this moment or later …"""
    until: datetime | None = None
    """… and before this one."""
    phone_ending: str | None = None
    """The last digits of the number."""
    response: str | None = None
    needs_human: bool = False


_WANTED: Final = """
 WHERE (:status IS NULL OR status = :status)
   AND scheduled_at >= :since AND scheduled_at < :until
   AND (:ending IS NULL OR substr(phone_number, -length(:ending)) = :ending)
   AND (:response IS NULL OR response = :response)
   AND (NOT :needs_human OR status IN ('failed', 'expired') OR (status = 'called' AND response = 'cancel_requested'))
"""


def list_reminders(connection: Connection, *, wanted: Wanted, limit: int | None) -> list[dict[str, Value]]:
    """Whole rows of `reminders` by column name, by scheduled time; `limit` None takes every one."""
    rows = connection.execute(
        f"SELECT * FROM reminders {_WANTED} ORDER BY scheduled_at, id LIMIT :limit",
        {**_parameters(wanted), "limit": -1 if limit is None else limit},
    ).fetchall()
    return [named(row) for row in rows]


def count_reminders(connection: Connection, *, wanted: Wanted) -> int:
    """How many rows `list_reminders` would give without a limit."""
    row = connection.execute(f"SELECT count(*) FROM reminders {_WANTED}", _parameters(wanted))
    return int(row.fetchone()[0])


def _parameters(wanted: Wanted) -> dict[str, str | int | None]:
    return {
        "status": wanted.status,
        "since": _EARLIEST if wanted.since is None else to_ms(wanted.since),
        "until": _LATEST if wanted.until is None else to_ms(wanted.until),
        "ending": wanted.phone_ending,
        "response": wanted.response,
        "needs_human": wanted.needs_human,
    }
