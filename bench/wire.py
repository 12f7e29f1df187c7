"""Speak just enough HTTP/1.1 for a load client and a provider that must not be the bottleneck: only Content-Length."""

import re
from collections.abc import Callable, Sequence
from statistics import quantiles
from urllib.parse import urlsplit

import trio
from attrs import define, field, frozen

_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNK = 65536


@frozen
class Message:
    """A request or an answer."""

    head: bytes
    """The first line and the headers, without the blank line after them."""
    body: bytes


@define(eq=False)
class Wire:
    """A connection that is read message by message."""

    stream: trio.SocketStream
    _unread: bytearray = field(factory=bytearray, init=False)

    async def receive(self) -> Message | None:
        """Return the next message; None if the other side closed the connection before the message was complete."""
        while (end := self._unread.find(b"\r\n\r\n")) < 0:
            if not await self._more():
                return None
        head = bytes(self._unread[:end])
        length = _LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        while len(self._unread) < whole:
            if not await self._more():
                return None
        body = bytes(self._unread[end + 4 : whole])
        del self._unread[:whole]
        return Message(head, body)

    async def _more(self) -> bool:
        chunk = await self.stream.receive_some(_CHUNK)
        self._unread += chunk
        return bool(chunk)


def rendered(method: str, url: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return a request as the bytes that are sent."""
    parts = urlsplit(url)
    lines = [f"{method} {parts.path or '/'} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


@frozen
class Burst:
    """The answers to requests that were sent all at once."""

    refused: int
    """How many were answered with another status than 200."""
    slowest: float
    """Seconds from the first byte of a request to its answer, for the slowest."""


def burst(url: str, requests: Sequence[bytes], *, connections: int) -> Burst:
    """Send all requests over these connections; each sends its next one as soon as it has an answer of any status."""
    return trio.run(_burst, url, requests, connections)


async def _burst(url: str, requests: Sequence[bytes], connections: int) -> Burst:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    queue, took, refused = iter(requests), [0.0], [0]

    async def send_one_after_another(host: str, port: int) -> None:
        wire = Wire(await trio.open_tcp_stream(host, port))
        for request in queue:
            began = trio.current_time()
            await wire.stream.send_all(request)
            answer = await wire.receive()
            assert answer is not None, "the server hung up"
            took.append(trio.current_time() - began)
            refused[0] += not answer.head.startswith(b"HTTP/1.1 200")
        await wire.stream.aclose()

    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(send_one_after_another, parts.hostname, parts.port)
    return Burst(refused[0], max(took))


@frozen
class Drive:
    """How fast requests over a few connections were answered."""

    seconds: float
    """Seconds from the first byte to the last answer."""
    took: list[float]
    """Seconds from the first byte of each request to its answer, in no particular order."""

    @property
    def a_second(self) -> float:
        """Return how many requests were answered a second."""
        return len(self.took) / self.seconds

    @property
    def p99(self) -> float:
        """Return the seconds in which 99 of 100 requests were answered."""
        return quantiles(self.took, n=100)[98]


def paced(
    url: str, requests: Sequence[bytes], *, a_second: float, connections: int, meanwhile: Callable[[], object]
) -> Drive:
    """Send this number of requests a second until `meanwhile` returns.

    The time of a request counts from the moment at which it is due: if the previous answer on its connection is slow,
    it is late, too.
    """
    return trio.run(_paced, url, requests, a_second, connections, meanwhile)


async def _paced(
    url: str, requests: Sequence[bytes], a_second: float, connections: int, meanwhile: Callable[[], object]
) -> Drive:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    wires = [Wire(await trio.open_tcp_stream(parts.hostname, parts.port)) for _ in range(connections)]
    began, queue, took, is_over = trio.current_time(), iter(enumerate(requests)), list[float](), trio.Event()

    async def send_one_after_another(wire: Wire) -> None:
        for number, request in queue:
            due = began + number / a_second
            await trio.sleep_until(due)
            if is_over.is_set():
                break
            await wire.stream.send_all(request)
            answer = await wire.receive()
            assert answer is not None, "the server hung up"
            assert answer.head.startswith(b"HTTP/1.1 200"), (answer.head, answer.body)
            took.append(trio.current_time() - due)
        await wire.stream.aclose()

    async with trio.open_nursery() as nursery:
        for wire in wires:
            nursery.start_soon(send_one_after_another, wire)
        await trio.to_thread.run_sync(meanwhile)
        is_over.set()
    assert len(took) < len(requests), "there were too few requests"
    return Drive(trio.current_time() - began, took)


def drive(url: str, requests: Sequence[bytes], *, connections: int) -> Drive:
    """Send all requests over these keep-alive connections.

    Each connection sends its next request when it has its answer. An answer other than 200 ends the benchmark.
    """
    return trio.run(_drive, url, requests, connections)


async def _drive(url: str, requests: Sequence[bytes], connections: int) -> Drive:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    wires = [Wire(await trio.open_tcp_stream(parts.hostname, parts.port)) for _ in range(connections)]
    queue, took = iter(requests), list[float]()

    async def send_one_after_another(wire: Wire) -> None:
        for request in queue:
            sent = trio.current_time()
            await wire.stream.send_all(request)
            answer = await wire.receive()
            assert answer is not None, "the server hung up"
            assert answer.head.startswith(b"HTTP/1.1 200"), (answer.head, answer.body)
            took.append(trio.current_time() - sent)
        await wire.stream.aclose()

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for wire in wires:
            nursery.start_soon(send_one_after_another, wire)
    return Drive(trio.current_time() - began, took)
