"""Reminders whose numbers the clinic does not call, in the running program."""

from datetime import timedelta

from reminderd.clock import SystemClock
from reminderd.core.model import Status
from reminderd.store.rows import to_ms
from tests.support.clinic import Clinic
from tests.support.program import running


def in_country(clinic: Clinic, code: str) -> None:
    clinic.configure()
    with (clinic.folder / "config.toml").open("a") as file:
        file.write(f'[clinic]\ncountry = "{code}"\n')


async def test_waiting_reminders_that_cannot_be_called_are_counted_at_start_and_reload(clinic: Clinic) -> None:
    tomorrow = to_ms(SystemClock().now() + timedelta(days=1))
    for number in range(2):  # as an import leaves them
        clinic.insert(f"r{number}", scheduled_at=tomorrow, wake_at=tomorrow)
    in_country(clinic, "DE")
    async with running("run", cwd=clinic.folder) as program:
        await program.line(
            r"WARNING .*2 waiting reminders can't be called: phone_number: a number of United States \(US\), and"
        )
        in_country(clinic, "US")
        await program.reload(r"changed: \[clinic\]\.country$")
        in_country(clinic, "FR")
        await program.reload(r"changed: \[clinic\]\.country$")
        await program.line(r"WARNING .*2 waiting reminders can't be called")
        assert await program.terminate() == 0
    assert len([line for line in program.lines if "can't be called" in line]) == 2
    assert clinic.reminder("r0").status is Status.SCHEDULED


async def test_an_invalid_row_of_another_program_fails_long_before_it_is_due(clinic: Clinic) -> None:
    next_week = to_ms(SystemClock().now() + timedelta(days=7))
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        clinic.insert("bad zone", scheduled_at=next_week, timezone="EST")
        clinic.insert("bad number", "12025550147", scheduled_at=next_week)
        clinic.insert("good", scheduled_at=next_week)
        zone = await clinic.until("bad zone", "failed")
        number = await clinic.until("bad number", "failed")
        assert (zone.last_error or "").startswith("timezone: EST has no daylight saving time")
        assert (number.last_error or "").startswith("phone_number: without country code")
        assert clinic.reminder("good").status is Status.SCHEDULED
        assert await program.terminate() == 0
