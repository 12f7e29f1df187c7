"""A reload builds everything again while work continues: requests to the web server, requests in flight, an alert."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Event

import httpx
import pytest
import trio
import trio.testing
from attrs import define, field
from loguru import logger

from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.config.load import load_config
from reminderd.daemon import Reload, run
from tests.support.api import TOKEN
from tests.support.clinic import Clinic, a_clinic
from tests.support.generic_server import send, signed, webhook
from tests.support.hostile_provider import HostileProvider, Line, answering, hear, hostile
from tests.support.waiting import PATIENCE, until

AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
AGAIN = "unexpected error; tried again in a minute"
API = f'[api]\ntoken = "{TOKEN}"\n'


@define
class ReloadingClinic:
    """A daemon in this process, whose configuration the test rewrites."""

    clinic: Clinic
    url: str = ""
    stopping: trio.Event = field(factory=trio.Event)
    ended: trio.Event = field(factory=trio.Event)
    loads: int = 0
    """How often the configuration was read again."""
    may_load: Event = field(factory=Event)
    """Until it is set, reading it does not end; it is set unless the test clears it."""
    has_bug: bool = False
    lines: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.may_load.set()

    def load(self) -> Config:
        return load_config(self.clinic.folder / "config.toml", {}, self.clinic.folder)

    def load_again(self) -> Config:
        self.loads += 1
        assert self.may_load.wait(PATIENCE)
        if self.has_bug:
            raise RuntimeError("a bug")
        return self.load()

    def write(self, more: str) -> None:
        self.clinic.configure()
        with (self.clinic.folder / "config.toml").open("a") as file:
            file.write(more)

    async def line(self, text: str, times: int = 1) -> None:
        """Wait until this number of lines of the log contain this text."""
        await until(lambda: sum(text in line for line in self.lines) >= times)

    async def until_loading(self, times: int) -> None:
        await until(lambda: self.loads >= times)

    async def reload(self, more: str = "") -> None:
        """Reload with this at the end of the configuration, and return once it is in force."""
        before = sum("configuration reloaded" in line for line in self.lines)
        self.write(more)
        signal.raise_signal(signal.SIGHUP)
        await self.line("configuration reloaded", before + 1)


@define
class BodyThatWaits(httpx.AsyncByteStream):
    """Sends a part of a body, and the rest when the test says so."""

    content: bytes
    begun: trio.Event = field(factory=trio.Event)
    rest: trio.Event = field(factory=trio.Event)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.content and not self.begun.is_set():
            self.begun.set()
            return self.content[:10]
        await self.rest.wait()
        left, self.content = self.content[10:], b""
        if not left:
            raise StopAsyncIteration
        return left


@asynccontextmanager
async def started(folder: Path, more: str = "") -> AsyncIterator[ReloadingClinic]:
    """Start a daemon with this at the end of its configuration."""
    async with a_clinic(folder) as clinic, trio.open_nursery() as nursery:
        running = ReloadingClinic(clinic)
        running.write(more)
        sink = logger.add(running.lines.append, format="{level} {message}")
        reload = Reload(load=running.load_again, set_level=lambda _level: None)

        async def run_to_the_end(*, task_status: trio.TaskStatus[str]) -> None:
            async with trio.open_nursery() as inner:
                start = partial(run, running.load(), clock=SystemClock(), stopping=running.stopping, reload=reload)
                task_status.started((await inner.start(start)).web_url or "")
            running.ended.set()

        running.url = await nursery.start(run_to_the_end)
        try:
            yield running
        finally:
            running.may_load.set()
            running.stopping.set()
            with trio.fail_after(PATIENCE):
                await running.ended.wait()
            logger.remove(sink)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[ReloadingClinic]:
    async with started(tmp_path) as made:
        yield made


async def test_an_open_connection_is_answered_by_the_new_configuration(running: ReloadingClinic) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", int(running.url.rpartition(":")[2])) as stream:

        async def asked() -> bytes:
            head = f"GET /api/reminders/r1 HTTP/1.1\r\nHost: clinic\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            await stream.send_all(head.encode())
            answer = b""
            with trio.fail_after(PATIENCE):
                while not answer.rstrip().endswith(b"}"):
                    received = await stream.receive_some()
                    assert received, "the connection was closed"
                    answer += received
            return answer

        assert b"no reminder has this id" not in await asked()
        await running.reload(API)
        assert b"no reminder has this id" in await asked()


async def test_a_webhook_received_partly_before_a_reload_is_recorded(running: ReloadingClinic) -> None:
    running.clinic.insert("r1")
    [ring] = await running.clinic.provider.rang(1)
    await running.clinic.until("r1", "processing")
    request = signed(running.clinic.client, running.url, webhook(ring))
    request.stream = body = BodyThatWaits(json.dumps(webhook(ring)).encode())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(running.clinic.client.send, request))
        await body.begun.wait()
        await running.reload(API)
        body.rest.set()
    await running.clinic.until("r1", "called")


async def test_webhooks_and_requests_are_answered_throughout_many_reloads(running: ReloadingClinic) -> None:
    running.clinic.insert("r1")
    [ring] = await running.clinic.provider.rang(1)
    codes: set[int] = set()
    times = 0
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            nonlocal times
            while True:
                codes.add((await send(running.clinic.client, running.url, webhook(ring, "ringing"))).status_code)
                codes.add((await running.clinic.client.get(f"{running.url}/health")).status_code)
                times += 1

        nursery.start_soon(ask)

        async def reload(number: int) -> None:
            before = times
            await running.reload(f"[redial]\nmax_calls = {number + 2}\n")
            await until(lambda: times > before)

        for number in range(10):
            await reload(number)
        nursery.cancel_scope.cancel()
    assert codes == {200}


async def test_the_api_starts_at_once_even_if_a_request_of_the_old_configuration_hangs(
    running: ReloadingClinic,
) -> None:
    running.clinic.provider.hold()
    running.clinic.insert("r1")
    await running.clinic.provider.rang(1)
    await running.reload(API)
    answer = await running.clinic.client.get(f"{running.url}/api/reminders/r1", headers=AUTHORIZED)
    assert (answer.status_code, answer.json()["status"]) == (200, "dialing")
    running.clinic.provider.answers.set()
    await running.clinic.until("r1", "processing")


async def test_a_stop_during_a_reload_stops_and_the_new_configuration_is_not_used(running: ReloadingClinic) -> None:
    running.may_load.clear()
    running.write(API)
    signal.raise_signal(signal.SIGHUP)
    await running.until_loading(1)
    running.stopping.set()
    running.may_load.set()
    with trio.fail_after(PATIENCE):
        await running.ended.wait()
    assert not [line for line in running.lines if "reloaded" in line]
    assert running.lines[-1].strip() == "INFO stopped"


async def test_a_stop_waits_for_a_request_of_an_earlier_configuration(running: ReloadingClinic) -> None:
    running.clinic.provider.hold()
    running.clinic.insert("r1")
    await running.clinic.provider.rang(1)
    await running.reload("[redial]\nmax_calls = 2\n")
    await running.reload("[redial]\nmax_calls = 3\n")
    running.stopping.set()
    await trio.testing.wait_all_tasks_blocked(0.05)
    assert not running.ended.is_set()
    running.clinic.provider.answers.set()
    with trio.fail_after(PATIENCE):
        await running.ended.wait()
    assert running.clinic.reminder("r1").status == "processing"
    assert running.lines[-1].strip() == "INFO stopped"


async def test_signals_during_a_reload_cause_one_more_reload(running: ReloadingClinic) -> None:
    running.may_load.clear()
    running.write(API)
    signal.raise_signal(signal.SIGHUP)
    await running.until_loading(1)
    for _ in range(3):
        signal.raise_signal(signal.SIGHUP)
    running.may_load.set()
    await running.line("configuration reloaded, changed: [api].token")
    await running.line("configuration reloaded, changed: nothing")
    assert running.loads == 2


async def test_an_unexpected_error_during_a_reload_changes_nothing(running: ReloadingClinic) -> None:
    running.has_bug = True
    running.write(API)
    signal.raise_signal(signal.SIGHUP)
    await running.line("configuration not reloaded (unexpected error); still using the previous one")
    running.has_bug = False
    url = f"{running.url}/api/openapi.json"
    assert (await running.clinic.client.get(url)).status_code == 404
    running.clinic.insert("r1")
    await running.clinic.provider.rang(1)
    await running.reload(API)
    assert (await running.clinic.client.get(url)).status_code == 200


async def test_an_alert_in_flight_during_a_reload_is_sent_once(running: ReloadingClinic) -> None:
    answer = trio.Event()

    async def slow(line: Line) -> None:
        await hear(line)
        await answer.wait()
        await line.stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async with hostile((slow,)) as receiver:
        alerts = f'[alerts]\nurls = ["{receiver.url.replace("http", "json")}"]\nevery_seconds = 1\n'
        await running.reload(alerts)
        running.clinic.insert("r1", "not a number")
        await receiver.heard(1)
        await running.reload(f"{alerts}[redial]\nmax_calls = 2\n")
        with trio.move_on_after(0.5):  # time to send it again, were nobody waiting for the first
            await receiver.heard(2)
        answer.set()
        await running.line("an alert was sent: 1 reminder needs a human")
        running.clinic.insert("r2", "not a number")
        first, second = await receiver.heard(2)
        assert (b"r1:" in first.body, b"r1:" in second.body, b"r2:" in second.body) == (True, False, True)


@pytest.mark.parametrize(
    ("section", "broken", "line"),
    [
        ('[alerts]\nurls = ["json://127.0.0.1"]\n', "reminderd.daemon.alerts.reminders_to_alert", f"alerts: {AGAIN}"),
        ('[import]\nfolder = "inbox"\n', "reminderd.imports.folder.Folder.complete_files", f"[import].folder: {AGAIN}"),
        (
            "",
            "reminderd.staff.obstacles.Examined.examine",
            "not examined whether waiting reminders can be called: unexpected error",
        ),
    ],
    ids=["alerts", "folder", "examination"],
)
async def test_an_unexpected_error_in_a_side_job_does_not_stop_the_calls(
    running: ReloadingClinic, monkeypatch: pytest.MonkeyPatch, section: str, broken: str, line: str
) -> None:
    (running.clinic.folder / "inbox").mkdir()
    monkeypatch.setattr(broken, lambda *_arguments, **_named: 1 / 0)
    await running.reload(section)
    await running.line(line)
    running.clinic.insert("r1")
    await running.clinic.until("r1", "processing")


async def test_a_new_backup_folder_is_used_at_once(running: ReloadingClinic) -> None:
    (running.clinic.folder / "copies").mkdir()
    await running.reload('[backup]\nfolder = "copies"\n')
    await running.line("backup made: ")


async def test_a_larger_body_limit_applies_at_once(running: ReloadingClinic) -> None:
    body = b" " * 2_000_000

    async def sent() -> int:
        return (await send(running.clinic.client, running.url, body)).status_code

    assert await sent() == 413
    running.clinic.configure()
    config = running.clinic.folder / "config.toml"
    config.write_text(config.read_text().replace("[web]\n", "[web]\nmax_body_bytes = 3_000_000\n"))
    signal.raise_signal(signal.SIGHUP)
    await running.line("configuration reloaded, changed: [web].max_body_bytes")
    assert await sent() == 400


async def test_a_recipient_added_after_a_failed_alert_is_alerted_at_once(running: ReloadingClinic) -> None:
    def alerts(receiver: HostileProvider) -> str:
        return f'[alerts]\nurls = ["{receiver.url.replace("http", "json")}"]\n'

    async with hostile(answering(500)) as failing, hostile(answering(200)) as working:
        running.clinic.insert("r1", "not a number")
        await running.clinic.until("r1", "failed")
        await running.reload(alerts(failing))
        await running.line("an alert could not be sent")
        await running.reload(alerts(working))
        await running.line("an alert was sent: 1 reminder needs a human")
