"""Send more than the daemon can accept: memory is bounded, the rest gets 503, and all that got 200 is stored."""

import json
import resource
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from attrs import frozen
from standardwebhooks import Webhook

from reminderd.clock import SystemClock
from reminderd.store.sqlite.opening import open_sync
from reminderd.web.bodies import FREE_BYTES
from reminderd.web.server import MAX_CONNECTIONS
from tests.support.clinic import Clinic, a_clinic
from tests.support.generic_server import SECRET
from tests.support.program import Program, running
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.chaos

MEBIBYTE = 1024 * 1024
LARGE_BODIES = 300
HELD_BODIES = 64 * MEBIBYTE // (MEBIBYTE - FREE_BYTES)
"""The number of these bodies for which the memory for bodies has room."""


@frozen
class Said:
    status: int
    head: str


@frozen
class Flooded:
    """The port of a daemon; every request comes on a separate connection."""

    clinic: Clinic
    program: Program
    host: str
    port: int

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream(self.host, self.port)

    async def ask(self, request: bytes) -> Said:
        with trio.fail_after(PATIENCE):
            async with await self.connect() as stream:
                await stream.send_all(request)
                return await said(stream)

    def peak_mebibytes(self) -> float:
        """Return the most memory that the daemon has used so far, in MiB."""
        status = Path(f"/proc/{self.program.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024


async def said(stream: trio.SocketStream) -> Said:
    """Return the answer, read to the end of the connection, or to its reset if the client does not stop sending."""
    answer = b""
    with suppress(trio.BrokenResourceError):
        async for some in stream:
            answer += some
    head = answer.partition(b"\r\n\r\n")[0].decode()
    return Said(int(head.split(" ", 2)[1]), head.lower())


@asynccontextmanager
async def a_flooded_clinic(folder: Path) -> AsyncIterator[Flooded]:
    """Run a daemon with one reminder, `r1`, that is not due for centuries."""
    async with a_clinic(folder) as clinic, running("run", cwd=folder) as program:
        address = urlsplit(await program.url())
        clinic.insert("r1", scheduled_at=32_503_680_000_000)
        assert address.hostname is not None
        assert address.port is not None
        yield Flooded(clinic, program, address.hostname, address.port)
        assert await program.terminate() == 0
        assert not [line for line in program.lines if "Traceback" in line or "ERROR" in line]


def report(call_id: str, transcript: str = "") -> bytes:
    """Return a valid, signed webhook as bytes: the end of a call, for which a receipt is stored."""
    body: dict[str, Any] = {"call_id": call_id, "status": "completed", "metadata": {"reminder_id": "r1"}}
    content = json.dumps(body | {"transcript": transcript})
    now = SystemClock().now()
    signed = {
        "webhook-id": f"msg_{call_id}",
        "webhook-timestamp": f"{now:%s}",
        "webhook-signature": Webhook(SECRET).sign(f"msg_{call_id}", now, content),
    }
    return post(signed, f"Content-Length: {len(content)}\r\n", content.encode())


def post(headers: dict[str, str], length: str, content: bytes = b"") -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST /webhooks/call-status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}{length}\r\n"
    return head.encode() + content


def receipts(clinic: Clinic) -> set[str]:
    with open_sync(clinic.folder / "clinic.db") as connection:
        return {row["call_id"] for row in connection.execute("SELECT call_id FROM webhook_receipts").fetchall()}


async def flood(
    flooded: Flooded, requests: Mapping[str, bytes], *, at_503: Callable[[], object] | None = None
) -> dict[str, Said]:
    """Send all requests at once, and return each answer; `at_503` is called at the first 503."""
    answers: dict[str, Said] = {}

    async def one(name: str, request: bytes) -> None:
        nonlocal at_503
        answers[name] = await flooded.ask(request)
        if answers[name].status == 503 and at_503 is not None:
            at_503()
            at_503 = None

    async with trio.open_nursery() as nursery:
        for name, request in requests.items():
            nursery.start_soon(one, name, request)
    return answers


async def test_in_a_flood_every_webhook_is_stored_or_answered_with_503(tmp_path: Path) -> None:
    """The disk hangs while 900 webhooks come; without a limit on those that wait, memory would be the limit."""
    async with a_flooded_clinic(tmp_path) as flooded:
        before = flooded.peak_mebibytes()
        transcript = "I'll come. " * 2_000
        requests = {f"call-{number}": report(f"call-{number}", transcript) for number in range(900)}
        with open_sync(tmp_path / "clinic.db") as elsewhere:
            elsewhere.execute("BEGIN IMMEDIATE")
            answers = await flood(flooded, requests, at_503=lambda: elsewhere.execute("ROLLBACK"))
        taken = {name for name, answer in answers.items() if answer.status == 200}
        refused = {name for name, answer in answers.items() if answer.status == 503}
        assert taken | refused == requests.keys()
        assert taken
        assert refused
        assert all("retry-after: 5" in answers[name].head for name in refused)
        assert receipts(flooded.clinic) == taken
        while refused:
            answers = await flood(flooded, {name: requests[name] for name in refused})
            refused = {name for name, answer in answers.items() if answer.status != 200}
        assert receipts(flooded.clinic) == requests.keys()
        assert flooded.peak_mebibytes() - before < 200


async def test_the_memory_for_large_bodies_does_not_grow_with_their_number(tmp_path: Path) -> None:
    """Anybody may send them, as only a whole body's signature can be checked: one limit applies to all together."""
    async with a_flooded_clinic(tmp_path) as flooded, AsyncExitStack() as crowd, trio.open_nursery() as nursery:
        before = flooded.peak_mebibytes()
        body = b"x" * MEBIBYTE
        verdicts: list[int] = []
        all_told = trio.Event()
        waiting = [await crowd.enter_async_context(await flooded.connect()) for _ in range(LARGE_BODIES)]

        async def send_all_but_the_last_byte(stream: trio.SocketStream) -> None:
            nursery.start_soon(listen, stream)
            with suppress(trio.BrokenResourceError):
                await stream.send_all(post({}, f"Content-Length: {len(body)}\r\n", body)[:-1])

        async def listen(stream: trio.SocketStream) -> None:
            verdicts.append((await said(stream)).status)
            waiting.remove(stream)
            if len(verdicts) in {LARGE_BODIES - HELD_BODIES, LARGE_BODIES}:
                all_told.set()

        for stream in tuple(waiting):
            nursery.start_soon(send_all_but_the_last_byte, stream)
        with trio.fail_after(PATIENCE):
            await all_told.wait()
        assert set(verdicts) == {503}
        all_told = trio.Event()
        for stream in tuple(waiting):
            await stream.send_all(body[-1:])
        with trio.fail_after(PATIENCE):
            await all_told.wait()
        assert verdicts.count(401) == HELD_BODIES
        assert flooded.peak_mebibytes() - before < 0.8 * LARGE_BODIES
        assert (await flooded.ask(report("good"))).status == 200


async def test_a_good_webhook_gets_through_among_idle_slow_and_endless_connections(tmp_path: Path) -> None:
    """The others take all connections that are served at the same time; each has a limit in time or in bytes."""
    async with a_flooded_clinic(tmp_path) as flooded, AsyncExitStack() as crowd, trio.open_nursery() as nursery:
        before = flooded.peak_mebibytes()
        verdicts: list[Said] = []
        all_told = trio.Event()

        async def never_end(stream: trio.SocketStream) -> None:
            nursery.start_soon(listen, stream)
            with suppress(trio.BrokenResourceError):
                await stream.send_all(post({}, "Transfer-Encoding: chunked\r\n"))
                while True:
                    await stream.send_all(b"10000\r\n" + b"x" * 65536 + b"\r\n")

        async def listen(stream: trio.SocketStream) -> None:
            verdicts.append(await said(stream))
            if len(verdicts) == 10:
                all_told.set()

        for number in range(served_at_a_time()):
            stream = await crowd.enter_async_context(await flooded.connect())
            match number % 50:
                case 0 if number < 500:
                    nursery.start_soon(never_end, stream)
                case 1:
                    await stream.send_all(b"POST /webhooks/call-status HTTP/1.1\r\nHo")
                case 2:
                    await stream.send_all(post({}, "Content-Length: 1000\r\n", b"{"))
        assert (await flooded.ask(report("good"))).status == 200
        assert receipts(flooded.clinic) == {"good"}
        with trio.fail_after(PATIENCE):
            await all_told.wait()
        assert {verdict.status for verdict in verdicts} == {413}
        assert flooded.peak_mebibytes() - before < 200


async def test_a_thousand_idle_connections_delay_a_good_webhook_by_seconds_only(tmp_path: Path) -> None:
    """Each is closed after 20 s without a request; without that limit, the daemon would be unreachable."""
    async with a_flooded_clinic(tmp_path) as flooded, AsyncExitStack() as crowd:
        for _ in range(served_at_a_time()):
            await crowd.enter_async_context(await flooded.connect())
        with trio.fail_after(25):
            assert (await flooded.ask(report("good"))).status == 200
        assert receipts(flooded.clinic) == {"good"}


def served_at_a_time() -> int:
    """Return how many connections are served at a time here: half of the allowed open files are for other things."""
    return min(MAX_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
