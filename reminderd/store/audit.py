"""Who did what, in the act's own transaction; append-only."""

from datetime import datetime

from reminderd.store.connection import Connection
from reminderd.store.rows import to_ms


def audit(
    connection: Connection,
    now: datetime,
    *,
    actor: str,
    act: str,
    reminder_id: str | None = None,
    detail: str | None = None,
) -> None:
    """Note an act. Neither `act` nor `detail` may hold a phone number or a message: this table is kept for ever."""
    connection.execute(
        "INSERT INTO audit (at, actor, act, reminder_id, detail) VALUES (:at, :actor, :act, :reminder_id, :detail)",
        {"at": to_ms(now), "actor": actor, "act": act, "reminder_id": reminder_id, "detail": detail},
    )
