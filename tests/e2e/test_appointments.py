"""Appointments, end to end: another program writes them, the real program plans them, calls, and settles them."""

from datetime import timedelta
from functools import partial
from typing import Any

from reminderd.clock import SystemClock
from reminderd.core.model import Status
from reminderd.core.reasons import EndCode
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync
from tests.support.clinic import Clinic
from tests.support.generic_server import send, webhook
from tests.support.program import running
from tests.support.waiting import until

PLANNING = """
[calling]
timezone = "Africa/Abidjan"
[messages.templates]
visit = "Your appointment is at {{time}}."
[reminders]
before = {before}
template = "visit"
"""
HOUR = timedelta(hours=1)


def configure(clinic: Clinic, before: str = '["1 hour", "2 hours"]') -> None:
    clinic.configure()
    with (clinic.folder / "config.toml").open("a") as file:
        file.write(PLANNING.format(before=before))


def sql(clinic: Clinic, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    with open_sync(clinic.folder / "clinic.db") as connection:
        return [tuple(row) for row in connection.execute(statement, values).fetchall()]


def insert(clinic: Clinic, appointment_id: str, after: timedelta) -> None:
    at = to_ms(SystemClock().now() + after)
    sql(
        clinic,
        "INSERT INTO appointments (id, phone_number, at) VALUES (:id, '+12025550001', :at)",
        id=appointment_id,
        at=at,
    )


async def planned(clinic: Clinic, appointment_id: str, count: int) -> list[tuple[Any, ...]]:
    """Return the waiting reminders of an appointment, as soon as there are this many."""
    statement = "SELECT id, cadence, status FROM reminders WHERE appointment_id = :id AND status = 'scheduled'"
    found = partial(sql, clinic, statement, id=appointment_id)
    await until(lambda: len(found()) == count)
    return found()


async def test_an_appointment_of_another_program_is_planned_called_and_moved(clinic: Clinic) -> None:
    configure(clinic)
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        insert(clinic, "a1", 2 * HOUR + timedelta(seconds=5))
        waiting = await planned(clinic, "a1", 2)
        [ring] = await clinic.provider.rang(1)
        assert (ring.reminder_id, "2 hours") in [(one, cadence) for one, cadence, _ in waiting]
        await clinic.until(ring.reminder_id, "processing")
        await send(clinic.client, url, webhook(ring, "no-answer"))
        sql(clinic, "UPDATE appointments SET at = at + 86400000 WHERE id = 'a1'")
        reminder = await clinic.until(ring.reminder_id, "cancelled")
        assert reminder.end_code is EndCode.APPOINTMENT_MOVED
        await planned(clinic, "a1", 2)
        sql(clinic, "DELETE FROM appointments WHERE id = 'a1'")
        await planned(clinic, "a1", 0)
        assert await program.terminate() == 0
    assert len(clinic.provider.rings) == 1


async def test_a_kill_between_the_insert_and_the_plan_loses_nothing(clinic: Clinic) -> None:
    configure(clinic)
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        await program.kill()
    insert(clinic, "a1", 2 * HOUR + timedelta(seconds=15))  # time enough to start
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        [ring] = await clinic.provider.rang(1)
        await clinic.until(ring.reminder_id, "processing")
        await program.kill()
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        await send(clinic.client, url, webhook(ring))
        assert clinic.reminder(ring.reminder_id).status is Status.CALLED
    assert len(clinic.provider.rings) == 1


async def test_changed_rules_plan_appointments_again_at_a_reload_and_at_a_start(clinic: Clinic) -> None:
    configure(clinic)
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        insert(clinic, "a1", 50 * HOUR)
        await planned(clinic, "a1", 2)
        configure(clinic, '["3 hours"]')
        await program.reload(r"changed: \[reminders\]\.before$")
        await program.line("appointments are planned again")
        assert [cadence for _, cadence, _ in await planned(clinic, "a1", 1)] == ["3 hours"]
    configure(clinic, '["1 day", "4 hours", "3 hours"]')
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        await planned(clinic, "a1", 3)
