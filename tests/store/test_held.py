from datetime import timedelta
from pathlib import Path

from reminderd.store.held import look_again
from reminderd.store.rows import to_ms
from tests.support.desk import a_desk

IN_A_DAY = timedelta(days=1)


def test_what_waits_for_hours_or_limits_is_due_at_once_and_nothing_else_is(tmp_path: Path) -> None:
    with a_desk(tmp_path / "reminderd.db") as desk:
        waiting = {
            "hours": ("scheduled", "outside the calling hours"),
            "limits": ("scheduled", "this number was reached as often as the limits allow"),
            "redial": ("scheduled", "busy, to be rung again"),
            "its time": ("scheduled", None),
            "open": ("processing", "outside the calling hours"),
        }
        later = desk.now + IN_A_DAY
        for name in waiting:
            desk.insert(name, scheduled_at=to_ms(later))
        for name, (status, reason) in waiting.items():
            desk.connection.execute(
                "UPDATE reminders SET status = ?, hold_reason = ? WHERE id = ?", (status, reason, name)
            )
        desk.write(look_again)
        woken = {name for name in waiting if desk.reminder(name).wake_at == desk.now}
    assert woken == {"hours", "limits"}
