"""Who did what, recorded in the transaction of the act; append-only."""

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
    """Record an act. Neither `act` nor `detail` may contain a phone number or a message: this table is kept forever."""
    connection.execute(
        "INSERT INTO audit (at, actor, act, reminder_id, detail) VALUES (:at, :actor, :act, :reminder_id, :detail)",
        {"at": to_ms(now), "actor": actor, "act": act, "reminder_id": reminder_id, "detail": detail},
    )
