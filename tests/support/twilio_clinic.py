"""A clinic whose provider is the sandbox in Twilio's dialect."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import trio
from attrs import frozen

from reminderd.sandbox.behaviors import example_number
from reminderd.sandbox.switchboard import serve_sandbox
from reminderd.sandbox.twilio.call import TwilioCall
from reminderd.sandbox.twilio.rest_api import TwilioSandbox
from tests.support.clinic import Clinic
from tests.support.generic_server import GenericServer
from tests.support.ports import a_free_port
from tests.support.twilio_sandbox import ACCOUNT, FROM, TOKEN
from tests.support.waiting import until

_CONFIG = """
[database]
url = "sqlite:///clinic.db"
[worker]
lease_seconds = {lease_seconds}
confirm_after_seconds = 0.3
outcome_timeout_seconds = {outcome_timeout_seconds}
[web]
port = {port}
public_base_url = "http://127.0.0.1:{port}"
[clinic]
country = "US"
[calling]
timezone = "Africa/Abidjan"
[provider]
timeout_seconds = {timeout_seconds}
calls_per_second = 0
[provider.twilio]
api_url = "{api_url}"
account_sid = "{account}"
auth_token = "{token}"
from_number = "{sender}"
[retry]
first_delay_seconds = 0.05
max_delay_seconds = 0.2
[redial]
delay_minutes = 0.001
max_calls = 2
[messages]
clinic = "Doctor Brown's practice"
phone = "+12025550191"
"""


@frozen
class TwilioClinic:
    """The folder in which the program runs, and the Twilio that it calls."""

    twilio: TwilioSandbox
    database: Clinic
    """Writes and reads the database; its own provider is not used."""
    url: str
    """Our public base URL."""

    def insert(self, behavior: str, *, area: int = 202, name: str | None = None, **columns: Any) -> str:
        """Insert a reminder for a patient with this behavior; return its id, by default the behavior's name."""
        self.database.insert(name or behavior, example_number(behavior, area=area), **columns)
        return name or behavior

    def calls_to(self, behavior: str, *, area: int = 202) -> list[TwilioCall]:
        """Return Twilio's calls to a patient with this behavior."""
        number = example_number(behavior, area=area)
        return [call for call in self.twilio.calls if call.phone_number == number]

    async def rings(self, behavior: str) -> TwilioCall:
        """Return the first call to a patient with this behavior, as soon as its phone rings."""
        ringing = await until(lambda: [call for call in self.calls_to(behavior) if call.status == "ringing"])
        return ringing[0]


@asynccontextmanager
async def a_twilio_clinic(
    folder: Path,
    *,
    pace: float = 0.01,
    lease_seconds: float = 10,
    timeout_seconds: float = 5,
    outcome_timeout_seconds: float = 900,
) -> AsyncIterator[TwilioClinic]:
    async with trio.open_nursery() as nursery, httpx.AsyncClient(timeout=30) as client:
        twilio = TwilioSandbox(ACCOUNT, TOKEN, pace=pace)
        api_url = await nursery.start(partial(serve_sandbox, twilio))
        port = a_free_port()
        (folder / "config.toml").write_text(
            _CONFIG.format(
                port=port,
                api_url=api_url,
                account=ACCOUNT,
                token=TOKEN,
                sender=FROM,
                lease_seconds=lease_seconds,
                outcome_timeout_seconds=outcome_timeout_seconds,
                timeout_seconds=timeout_seconds,
            )
        )
        yield TwilioClinic(twilio, Clinic(folder, GenericServer(), client), f"http://127.0.0.1:{port}")
        nursery.cancel_scope.cancel()
