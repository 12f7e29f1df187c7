"""The web server on loopback, with a fake provider and a fake recorder."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import trio
from attrs import define, field, frozen
from loguru import logger

from reminderd.core.answers import Report
from reminderd.core.script.scripts import Scripts
from reminderd.providers.base import Route, Webhook
from reminderd.providers.generic.webhooks import routes
from reminderd.web.app import Health, Webhooks, build_app
from reminderd.web.bodies import RequestLimits
from reminderd.web.server import bind, serve
from tests.support.waiting import PATIENCE

PATH = "/webhooks/call-status"
REMINDER = "reminder-1"
SIGNED = {"X-Signature": "ours"}
PAYLOAD = json.dumps({"call_id": "ext-1", "status": "completed", "metadata": {"reminder_id": REMINDER}}).encode()
LIMIT = 64 * 1024


@define
class SigningProvider:
    """Speaks the generic contract; `X-Signature: ours` signs a webhook."""

    forged_status = 401

    def verified(self, webhook: Webhook) -> bool:
        return webhook.headers.get("x-signature") == "ours" and webhook.body != b"forged"

    def routes(self, recorder: Any) -> list[Route]:
        return routes(recorder)


@frozen
class Recorded:
    duplicate: bool


@define
class Recorder:
    """Keeps reports; can answer that one is a duplicate, fail, or wait."""

    reports: list[Report] = field(factory=list)
    duplicate: bool = False
    error: Exception | None = None
    begun: trio.Event = field(factory=trio.Event)
    cancelled: trio.Event = field(factory=trio.Event)
    go_on: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.go_on.set()

    def hold(self) -> None:
        self.go_on = trio.Event()

    scripts: Scripts = field(factory=Scripts)

    async def report(self, report: Report) -> Recorded:
        self.begun.set()
        try:
            await self.go_on.wait()
        except trio.Cancelled:
            self.cancelled.set()
            raise
        if self.error is not None:
            raise self.error
        self.reports.append(report)
        return Recorded(self.duplicate)

    async def pick_up(self, report: Report) -> Any:
        raise NotImplementedError

    async def press(self, report: Report, key: Any) -> Any:
        raise NotImplementedError

    async def unspoken(self, call_id: str) -> None:
        raise NotImplementedError


@frozen(kw_only=True)
class WebServer:
    url: str
    port: int
    client: httpx.AsyncClient
    recorder: Recorder
    parts: dict[str, str | None]
    log: list[str]
    """Every log line with its level and any traceback."""
    stopping: trio.Event
    stopped: trio.Event

    async def post(self, body: Any = PAYLOAD, path: str = PATH, **headers: str) -> httpx.Response:
        """POST a signed webhook; header names have `_` for `-`."""
        given = SIGNED | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, content=body, headers=given)

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def begin(self, *headers: str, method: str = "POST", path: str = PATH) -> trio.SocketStream:
        """Open a connection and send the head of a signed request."""
        stream = await self.connect()
        lines = [f"{method} {path} HTTP/1.1", "Host: test", "X-Signature: ours", *headers, "", ""]
        await stream.send_all("\r\n".join(lines).encode())
        return stream


@asynccontextmanager
async def a_web_server(*, grace: float = 5, max_connections: int = 100, **limits: Any) -> AsyncIterator[WebServer]:
    """Serve webhooks until the end of the block; then every connection must end."""
    recorder, log = Recorder(), list[str]()
    parts: dict[str, str | None] = {"database": None, "poll loop": None}
    stopping, stopped = trio.Event(), trio.Event()

    async def readiness() -> Mapping[str, str | None]:
        return parts

    given: dict[str, Any] = {"body_bytes": LIMIT, "drain_seconds": 5.0} | limits
    health = Health(readiness=readiness, doings=given.pop("doings", None))
    answered = given.pop("answered", lambda _status: None)
    webhooks = Webhooks(provider=SigningProvider(), recorder=recorder, answered=answered)
    app = build_app(webhooks=webhooks, health=health, limits=RequestLimits(**given))
    serving = partial(
        serve,
        app,
        bind("127.0.0.1", 0),
        shutdown_trigger=stopping.wait,
        grace=timedelta(seconds=grace),
        max_connections=max_connections,
    )

    async def serve_to_the_end(*, task_status: trio.TaskStatus[str]) -> None:
        await serving(task_status=task_status)
        stopped.set()

    sink = logger.add(log.append, format="{level} {message}", diagnose=False)
    try:
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                url = await nursery.start(serve_to_the_end)
                async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False) as client:
                    yield WebServer(
                        url=url,
                        port=int(url.rpartition(":")[2]),
                        client=client,
                        recorder=recorder,
                        parts=parts,
                        log=log,
                        stopping=stopping,
                        stopped=stopped,
                    )
                stopping.set()
    finally:
        logger.remove(sink)


async def read_until(stream: trio.SocketStream, ended: Callable[[bytes], bool]) -> bytes:
    """Return what is received until it satisfies the condition, or the server closes."""
    received = b""
    while not ended(received):
        chunk = await stream.receive_some()
        if not chunk:
            break
        received += chunk
    return received


async def read_answer(stream: trio.SocketStream) -> bytes:
    """Return an answer whose body is a JSON object."""
    return await read_until(stream, lambda received: received.endswith(b"}"))


async def read_to_the_end(stream: trio.SocketStream) -> bytes:
    return b"".join([chunk async for chunk in stream])
