"""A clinic: a folder with a configuration, its own provider, and access to the database from outside."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from attrs import define

from reminderd.clock import SystemClock
from reminderd.core.model import Call, Reminder
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync
from tests.support.engine import calls_of, reminder_of
from tests.support.generic_server import KEY, SECRET, GenericServer, generic_server
from tests.support.rows import insert_row

CONFIG = """
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
        (self.folder / "config.toml").write_text(CONFIG.format(**values | changes))

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
        """Return the reminder, as soon as it has this status; another process's database must be polled."""
        with trio.fail_after(100):
            while self.reminder(reminder_id).status != status:  # noqa: ASYNC110 - no event crosses processes
                await trio.sleep(0.02)
        return self.reminder(reminder_id)


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    timeout = httpx.Timeout(timedelta(seconds=30).total_seconds())
    async with generic_server(GenericServer()) as provider, httpx.AsyncClient(timeout=timeout) as client:
        clinic = Clinic(tmp_path, provider, client)
        clinic.configure()
        yield clinic
