"""A clinic: a folder with a configuration, its own provider, its database seen from outside, what monitors see."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import define

from reminderd.clock import SystemClock
from reminderd.core.model import Call, Reminder
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync
from tests.support.engine import calls_of, reminder_of
from tests.support.generic_server import KEY, SECRET, GenericServer, generic_server
from tests.support.rows import insert_row
from tests.support.waiting import PATIENCE, until

_CONFIG = """
[database]
url = "sqlite:///clinic.db"
[worker]
poll_interval_seconds = 60
dialers = 4
lease_seconds = {lease_seconds}
confirm_after_seconds = {confirm_after_seconds}
outcome_timeout_seconds = {outcome_timeout_seconds}
[web]
port = 0
[provider]
kind = "generic"
timeout_seconds = {timeout_seconds}
[provider.generic]
api_url = "{api_url}"
api_key = "{api_key}"
webhook_secret = "{secret}"
honors_idempotency_key = {honors}
look_up = {look_up}
[retry]
first_delay_seconds = 0.2
max_delay_seconds = 1
"""


@define
class Clinic:
    """The folder in which the program runs, and the provider that it calls."""

    folder: Path
    provider: GenericServer
    client: httpx.AsyncClient

    def configure(self, **changes: Any) -> None:
        values = {
            "lease_seconds": 10,
            "confirm_after_seconds": 1,
            "outcome_timeout_seconds": 900,
            "timeout_seconds": 5,
            "api_url": self.provider.url,
            "api_key": KEY,
            "secret": SECRET,
            "honors": str(self.provider.honors_keys).lower(),
            "look_up": str(self.provider.look_up).lower(),
        }
        (self.folder / "config.toml").write_text(_CONFIG.format(**values | changes))

    def insert(self, reminder_id: str, phone_number: str = "+12025550001", **columns: Any) -> None:
        """Insert a row as the clinic's own system does: four columns, due now."""
        now = to_ms(SystemClock().now())
        row = {"id": reminder_id, "phone_number": phone_number, "message": "Tomorrow at nine.", "scheduled_at": now}
        row |= columns
        with open_sync(self.folder / "clinic.db") as connection:
            insert_row(connection, "reminders", row)

    def reminder(self, reminder_id: str) -> Reminder:
        with open_sync(self.folder / "clinic.db") as connection:
            found = reminder_of(connection, reminder_id)
        assert found is not None
        return found

    def calls(self, reminder_id: str) -> tuple[Call, ...]:
        with open_sync(self.folder / "clinic.db") as connection:
            return calls_of(connection, reminder_id)

    def count(self, table: str) -> int:
        with open_sync(self.folder / "clinic.db") as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    async def until(self, reminder_id: str, status: str) -> Reminder:
        """Return the reminder, as soon as it has this status."""
        await until(lambda: self.reminder(reminder_id).status == status)
        return self.reminder(reminder_id)


@asynccontextmanager
async def a_clinic(folder: Path, **changes: Any) -> AsyncIterator[Clinic]:
    """Set up a clinic with its own provider; `changes` are those of `Clinic.configure`."""
    async with generic_server(GenericServer()) as provider, httpx.AsyncClient(timeout=PATIENCE) as client:
        clinic = Clinic(folder, provider, client)
        clinic.configure(**changes)
        yield clinic


async def until_ready(clinic: Clinic, url: str) -> None:
    """Wait until every part of the daemon is ready."""

    async def is_ready() -> bool:
        return not await failing_parts(clinic, url)

    await until(is_ready)


async def until_failing(clinic: Clinic, url: str, part: str) -> str:
    """Return the reason why this part fails, as soon as the daemon reports it."""

    async def reason() -> str | None:
        return (await failing_parts(clinic, url)).get(part)

    return await until(reason)


async def failing_parts(clinic: Clinic, url: str) -> Mapping[str, str]:
    """Return each failing part with its reason, as monitors see it."""
    answer = await clinic.client.get(f"{url}/health/ready")
    body = answer.json()
    assert answer.status_code == (503 if "failing" in body else 200)
    failing: dict[str, str] = body.get("failing", {})
    return failing
