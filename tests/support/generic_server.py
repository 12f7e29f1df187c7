"""Serve a provider of the generic contract that records every phone that rings, and fails on request."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import Enum, auto
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
import trio
from attrs import define, field, frozen
from standardwebhooks import Webhook

from reminderd.clock import SystemClock
from tests.support.hostile_provider import Line, ReceivedRequest, cut, hang, hear, hostile
from tests.support.waiting import PATIENCE

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = "a-provider-key"


class Fault(Enum):
    """The fault of one `POST /calls`."""

    NONE = auto()
    LOST_ANSWER = auto()
    """The phone rings, then the connection is cut."""
    ERROR_BUT_PLACED = auto()
    """The phone rings and the answer is 500."""
    HANGS_AFTER_PLACING = auto()
    """The phone rings and no answer ever comes."""
    ERROR = auto()
    """The answer is 500, and no phone rings."""
    REFUSED = auto()
    """The answer is 422."""
    DOWN = auto()
    """The answer is 503 with Retry-After: 0."""
    UNAUTHORIZED = auto()
    """The answer is 401."""
    TOO_MANY = auto()
    """The answer is 429 with Retry-After: 1."""


@frozen(kw_only=True)
class Ring:
    """One phone that rang."""

    call_id: str
    key: str
    phone_number: str
    reminder_id: str
    attempt_id: str
    at: float
    """Unix seconds."""


@define(kw_only=True)
class GenericServer:
    """The server's behavior and its record."""

    fault: Callable[[int, ReceivedRequest], Fault] = lambda _number, _request: Fault.NONE
    """Returns the fault for the request with this number, from 0."""
    latency: float = 0.0
    answers: trio.Event = field(factory=trio.Event)
    """Until it is set, phones ring and no request is answered; it is set unless `hold` was called."""
    honors_keys: bool = False
    look_up: bool = False
    url: str = ""
    rings: list[Ring] = field(factory=list)
    requests: list[ReceivedRequest] = field(factory=list)
    look_ups: list[str] = field(factory=list)
    """The targets of all look-ups."""
    on_ring: Callable[[Ring], None] = lambda _ring: None
    statuses: dict[str, str] = field(factory=dict)
    """The status in look-ups by call id; `queued` if missing."""
    _numbers: "count[int]" = field(factory=count)
    _news: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.answers.set()

    def hold(self) -> None:
        """Answer no more requests."""
        self.answers = trio.Event()

    async def serve(self, line: Line) -> None:
        while True:
            await hear(line)
            request = line.server.requests[-1]
            if request.method == "POST":
                await self._place(line, request)
            else:
                self.look_ups.append(request.target)
                await self._say(line, *self._looked_up(request))

    async def rang(self, times: int) -> list[Ring]:
        """Return the rings, as soon as there are this many."""
        with trio.fail_after(PATIENCE):
            while len(self.rings) < times:
                await self._news.wait()
        return self.rings

    async def _place(self, line: Line, request: ReceivedRequest) -> None:
        self.requests.append(request)
        fault = self.fault(next(self._numbers), request)
        refusals: dict[Fault, tuple[int, dict[str, Any], str]] = {
            Fault.ERROR: (500, {}, ""),
            Fault.REFUSED: (422, {"error": "no such number"}, ""),
            Fault.DOWN: (503, {}, "Retry-After: 0\r\n"),
            Fault.UNAUTHORIZED: (401, {}, ""),
            Fault.TOO_MANY: (429, {}, "Retry-After: 1\r\n"),
        }
        if fault in refusals:
            await self._say(line, *refusals[fault])
            return
        call_id = self._ring(request)
        await trio.sleep(self.latency)
        await self.answers.wait()
        if fault is Fault.LOST_ANSWER:
            await cut(line)
            raise trio.ClosedResourceError
        if fault is Fault.HANGS_AFTER_PLACING:
            await hang(line)
        if fault is Fault.ERROR_BUT_PLACED:
            await self._say(line, 500, {})
        else:
            await self._say(line, 201, {"call_id": call_id, "status": "queued"})

    def _ring(self, request: ReceivedRequest) -> str:
        order = json.loads(request.body)
        key = request.headers["idempotency-key"]
        known = next((ring.call_id for ring in self.rings if ring.key == key), None)
        if known is not None and self.honors_keys:
            return known
        ring = Ring(
            call_id=str(uuid4()),
            key=key,
            phone_number=order["phone_number"],
            reminder_id=order["metadata"]["reminder_id"],
            attempt_id=order["metadata"]["attempt_id"],
            at=SystemClock().now().timestamp(),
        )
        self.rings.append(ring)
        self._news.set()
        self._news = trio.Event()
        self.on_ring(ring)
        return ring.call_id

    def _looked_up(self, request: ReceivedRequest) -> tuple[int, dict[str, Any]]:
        if not self.look_up:
            return 404, {}
        if "attempt_id=" in request.target:
            wanted = request.target.partition("attempt_id=")[2]
            return 200, {"calls": [self._shown(ring) for ring in self.rings if ring.attempt_id == wanted]}
        wanted = request.target.rpartition("/")[2]
        shown = [self._shown(ring) for ring in self.rings if ring.call_id == wanted]
        return (200, shown[0]) if shown else (404, {})

    def _shown(self, ring: Ring) -> dict[str, Any]:
        metadata = {"reminder_id": ring.reminder_id, "attempt_id": ring.attempt_id}
        return {"call_id": ring.call_id, "status": self.statuses.get(ring.call_id, "queued"), "metadata": metadata}

    async def _say(self, line: Line, status: int, body: dict[str, Any], more: str = "") -> None:
        text = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n{more}\r\n"
        await line.stream.send_all(head.encode() + text)


@asynccontextmanager
async def generic_server(server: GenericServer) -> AsyncIterator[GenericServer]:
    """Serve it on a free loopback port."""
    async with hostile((server.serve,)) as listening:
        server.url = listening.url
        yield server


def webhook(ring: Ring, status: str = "completed", **more: Any) -> dict[str, Any]:
    """Return the body of a report about a ring."""
    metadata = {"reminder_id": ring.reminder_id, "attempt_id": ring.attempt_id}
    return {"call_id": ring.call_id, "status": status, "metadata": metadata} | more


def signed(
    client: httpx.AsyncClient, base_url: str, body: dict[str, Any] | bytes, secret: str = SECRET
) -> httpx.Request:
    """Return a request that POSTs a signed webhook."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    message_id, at = f"msg_{uuid4()}", datetime.now(UTC)  # noqa: TID251 - the real program checks the real time
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, content.decode()),
    }
    request = client.build_request("POST", f"{base_url}/webhooks/call-status", content=content, headers=headers)
    request.stream = Body(content)
    return request


async def send(
    client: httpx.AsyncClient, base_url: str, body: dict[str, Any] | bytes, secret: str = SECRET
) -> httpx.Response:
    """POST a signed webhook."""
    return await client.send(signed(client, base_url, body, secret))


class Body(httpx.AsyncByteStream):
    """A request's body. httpx's own is a generator, which Trio finds unfinished when the other side dies meanwhile."""

    def __init__(self, content: bytes) -> None:
        self._parts = iter((content,))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration
