"""A server on a raw socket that plays scripts: it answers, hangs, cuts the connection, or sends garbage."""

import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import trio
from attrs import define, field, frozen

from reminderd.providers.base import Webhook
from tests.support.waiting import PATIENCE

Move: TypeAlias = Callable[["Line"], Awaitable[None]]
Script: TypeAlias = tuple[Move, ...]


@frozen
class ReceivedRequest:
    method: str
    target: str
    headers: Mapping[str, str]
    """The headers, with names in lower case."""
    body: bytes

    @property
    def webhook(self) -> Webhook:
        return Webhook(target=self.target, headers=self.headers, body=self.body)


@define
class HostileProvider:
    """The server's URL and the requests that it has received."""

    url: str
    scripts: list[Script]
    """The script for each connection in turn; the last script repeats."""
    requests: list[ReceivedRequest] = field(factory=list)
    connections: int = 0
    _news: trio.Event = field(factory=trio.Event)

    async def heard(self, count: int) -> list[ReceivedRequest]:
        """Return the requests, as soon as there are `count` of them."""
        with trio.fail_after(PATIENCE):
            while len(self.requests) < count:
                await self._news.wait()
        return self.requests

    def keep(self, request: ReceivedRequest) -> None:
        self.requests.append(request)
        self._news.set()
        self._news = trio.Event()

    def next_script(self) -> Script:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        return script


@define
class Line:
    """One connection."""

    stream: trio.SocketStream
    server: HostileProvider
    unread: bytes = b""


@asynccontextmanager
async def hostile(*scripts: Script) -> AsyncIterator[HostileProvider]:
    """Serve these scripts, one for each connection; the last script repeats."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    server = HostileProvider(url=f"http://127.0.0.1:{port}", scripts=list(scripts))

    async def play(stream: trio.SocketStream) -> None:
        line = Line(stream, server)
        async with stream:
            try:
                for move in server.next_script():
                    await move(line)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # the client has closed its connection

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, play, [listener])
        yield server
        nursery.cancel_scope.cancel()


async def hear(line: Line) -> None:
    """Read one whole request; if the stream ends earlier, the script ends."""
    while b"\r\n\r\n" not in line.unread:
        line.unread += await _some(line)
    head, _, line.unread = line.unread.partition(b"\r\n\r\n")
    first, *others = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (other.partition(":") for other in others)}
    length = int(headers.get("content-length", "0"))
    while len(line.unread) < length:
        line.unread += await _some(line)
    body, line.unread = line.unread[:length], line.unread[length:]
    line.server.keep(ReceivedRequest(method, target, headers, body))


async def _some(line: Line) -> bytes:
    received = bytes(await line.stream.receive_some())
    if not received:
        raise trio.ClosedResourceError
    return received


def say(text: bytes) -> Move:
    async def move(line: Line) -> None:
        await line.stream.send_all(text)

    return move


def say_forever(text: bytes) -> Move:
    async def move(line: Line) -> None:
        while True:
            await line.stream.send_all(text)

    return move


def repeat(text: bytes) -> Move:
    """Send the same text every 20 ms forever."""

    async def move(line: Line) -> None:
        while True:
            await line.stream.send_all(text)
            await trio.sleep(0.02)

    return move


def drip(text: bytes) -> Move:
    """Send a byte every 20 ms: each resets a timeout for one operation."""

    async def move(line: Line) -> None:
        for at in range(len(text)):
            await line.stream.send_all(text[at : at + 1])
            await trio.sleep(0.02)

    return move


async def hang(_line: Line) -> None:
    await trio.sleep_forever()


async def cut(line: Line) -> None:
    """Reset the connection, as a dying process or a firewall does."""
    line.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await line.stream.aclose()


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return an HTTP answer that closes the connection; `_` in a header's name stands for `-`."""
    named = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def answering(status: int, body: bytes = b"", **headers: str) -> Script:
    return hear, say(answer(status, body, **headers))


@contextmanager
def nobody_listens() -> Iterator[str]:
    """Yield a URL whose port refuses every connection."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def no_connection_is_accepted() -> Iterator[str]:
    """Yield a URL that neither accepts nor refuses connections: its queue is full, so the kernel drops them."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        connecting = [socket.socket() for _ in range(4)]
        for client in connecting:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        try:
            yield f"http://127.0.0.1:{full.getsockname()[1]}"
        finally:
            for client in connecting:
                client.close()
