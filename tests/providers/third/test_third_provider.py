"""A provider that the package does not know is registered, configured, called through, and checked."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from reminderd.clock import SystemClock
from reminderd.config import Config, ConfigError
from reminderd.config.load import load_config
from reminderd.core.diagnosis import Mark
from reminderd.daemon import run
from reminderd.doctor.connections import check_provider, check_webhooks, open_doctor_client
from reminderd.providers.base_settings import ProviderSettings
from reminderd.providers.registry import PROVIDERS
from reminderd.store.any_engine import open_sync
from tests.providers.third.provider import HEADER, PATH, ThirdSettings
from tests.support.hostile_provider import Line, answer, hear, hostile
from tests.support.waiting import PATIENCE, until

TOML = """
[web]
port = 0
[worker]
poll_interval_seconds = 0.1
[provider.third]
exchange = "{exchange}"
password = "a-password"
"""
SIGNED = {HEADER: "a-password"}


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROVIDERS, ThirdSettings.name, ThirdSettings)


@pytest.fixture
async def exchange() -> AsyncIterator[str]:
    """Serve the API of the provider, and yield its URL."""

    async def take(line: Line) -> None:
        _, call_id, _ = [*line.server.requests[-1].body.decode().split(" ", 2), "", ""][:3]
        await line.stream.send_all(answer(200, f"third-{call_id}".encode()))

    async with hostile((hear, take)) as server:
        yield server.url


def configured(folder: Path, exchange: str, more: str = "") -> Config:
    (folder / "config.toml").write_text(TOML.format(exchange=exchange) + more)
    return load_config(None, {}, folder)


def test_a_third_providers_section_is_read_and_checked(tmp_path: Path) -> None:
    config = configured(tmp_path, "https://exchange.example")
    assert config.provider.kind == "third"
    assert config.provider.settings == ThirdSettings(exchange="https://exchange.example", password="a-password")
    assert "a-password" not in repr(config)
    with pytest.raises(ConfigError, match=r"REMINDERD__PROVIDER__THIRD__PASSWORD: is missing; expected the secret"):
        load_config(None, {"REMINDERD__PROVIDER__KIND": "third"}, tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"\[provider.third\].pasword: unknown key"):
        configured(tmp_path, "https://exchange.example", 'pasword = "x"\n')


async def test_a_third_provider_places_a_call_and_its_webhook_ends_it(tmp_path: Path, exchange: str) -> None:
    config, stopping = configured(tmp_path, exchange), trio.Event()
    with trio.fail_after(PATIENCE), open_sync(config.database.target) as connection:
        connection.execute(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (?, ?, ?, ?)",
            ("r1", "+12025550147", "Tomorrow at nine.", int(SystemClock().now().timestamp() * 1000)),
        )
        async with trio.open_nursery() as nursery:
            running = await nursery.start(partial(run, config, clock=SystemClock(), stopping=stopping))
            placed = "SELECT id FROM call_logs WHERE state = 'placed' AND provider = 'third'"
            [(call_id,)] = await until(lambda: connection.execute(placed).fetchall())
            async with httpx.AsyncClient(base_url=running.web_url, trust_env=False, timeout=PATIENCE) as client:
                forged = await client.post(f"{PATH}/{call_id}", content=b"completed 31")
                assert forged.status_code == 401
                replies = [
                    await client.post(f"{PATH}/{call_id}", content=b"completed 31", headers=SIGNED) for _ in range(2)
                ]
            assert [reply.text for reply in replies] == ["thanks", "again"]
            assert replies[0].headers["content-type"] == "text/plain"
            async with open_doctor_client(5) as ask:
                sent = partial(check_webhooks, config, ask, public=None, now=SystemClock().now())
                assert (await sent(local=running.web_url)).mark is Mark.GOOD
            stopping.set()
        [row] = connection.execute("SELECT status FROM reminders").fetchall()
        assert row["status"] == "called"


async def test_the_doctor_runs_a_third_providers_account_check(tmp_path: Path, exchange: str) -> None:
    (found,) = await check_provider(configured(tmp_path, exchange), seconds=5)
    assert found.mark is Mark.GOOD


def test_settings_that_leave_out_what_a_provider_must_offer_are_refused_when_they_are_made() -> None:
    class WithoutClient(ThirdSettings):
        client = ProviderSettings.client

    with pytest.raises(TypeError, match=r"abstract method .*client"):
        WithoutClient()
