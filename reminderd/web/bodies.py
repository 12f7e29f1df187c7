"""Receive request bodies in Quart's place, and reject what Quart 0.22 and Quart-Trio 0.12 fail on.

Each part has one of these reasons, and is to be deleted once upstream has fixed it:

* Quart bounds the length of one body, but not the memory of all together.
* Quart-Trio starts a nursery and two tasks for each request, one of them only to receive: a quarter of the time that a
  webhook takes. And it cancels its handler once Hypercorn 0.18 says that the request is over, which is before Hypercorn
  has closed the connection or started its idle timer. Here the handler itself receives, in one task.
* Hypercorn closes the connection after an answer to a request that is still being sent. The unread bytes reset it, and
  the client never sees the answer: the rest is read and dropped first.
* Quart fails on some targets that are not a path (`*`, a whole URL, nothing), and has no use for websockets.

If a client hangs up, its request is carried out anyway.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, cast
from urllib.parse import urlsplit

import trio
from attrs import define, field, frozen
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    Scope,
    WWWScope,
)
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection

FREE_BYTES: Final = 16 * 1024
"""The bytes of each body that need no shared memory; most webhooks are smaller, so large bodies can't block them."""

_MEBIBYTE: Final = 1024 * 1024
_KEY: Final = "reminderd.body"


@define(eq=False)
class ArrivingRequest:
    """A request, with the parts of its body that the app has not received yet; it is called as ASGI's `receive`.

    A request that has arrived completely is answered at once; another one is answered in a new task while it arrives.
    """

    begin: Callable[[], object]
    """Starts the task that answers."""
    answer_at_once: Callable[[], Awaitable[bool]]
    """Answers in the task that reads the connection, if that is allowed; returns whether it did."""
    hung_up: Callable[[], Awaitable[None]]
    """Waits until the client hangs up; needed only while the reading task answers, and can't notice it."""
    most_parts: int
    """How many parts are kept; with more, the client must wait."""
    is_whole: bool = field(default=False, init=False)
    """Whether the whole request had arrived when the answer began, so that there is nothing to wait for."""
    _has_begun: bool = field(default=False, init=False)
    _is_over: bool = field(default=False, init=False)
    _parts: deque[ASGIReceiveEvent] = field(factory=deque, init=False)
    _changed: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot, init=False)

    async def take(self, event: ASGIReceiveEvent) -> None:
        """Keep what has arrived, once there is room for it; after `http.disconnect`, don't wait."""
        if event["type"] == "http.disconnect":
            self._is_over = True
            self._wake()
            return
        if len(self._parts) >= self.most_parts:
            self.begin_now()
        while len(self._parts) >= self.most_parts and not self._is_over:
            await self._changed.park()
        self._parts.append(event)
        if self._has_begun:
            self._wake()
        elif event["type"] == "http.request" and not event["more_body"]:
            self._has_begun = self.is_whole = True
            if not await self.answer_at_once():
                self.is_whole = False
                self.begin()

    def begin_now(self) -> None:
        """Start the task that answers, unless the request is already being answered, or has ended."""
        if not self._has_begun and not self._is_over:
            self._has_begun = True
            self.begin()

    async def __call__(self) -> ASGIReceiveEvent:
        """Return what arrives next."""
        while not self._parts and not self._is_over:
            if self.is_whole:
                await self.hung_up()
                self._is_over = True
            else:
                await self._changed.park()
        self._wake()
        return self._parts.popleft() if self._parts else {"type": "http.disconnect"}

    def _wake(self) -> None:
        if self._changed:  # somebody waits
            self._changed.unpark_all()


@frozen(kw_only=True)
class RequestLimits:
    """What no request may exceed."""

    body_bytes: int
    """The longest body. Memory is for sixteen of them, but for at least 64 MiB. Of one request, at most sixteen times
    this length is read."""
    body_seconds: float = 30.0
    """The seconds within which a body must arrive."""
    drain_seconds: float = 10.0
    """The seconds after the answer in which the rest of a request is still read."""
    in_work: int = 512
    """The most requests that are verified and carried out at a time; other clients are asked to send theirs again."""


class TooLargeError(Exception):
    """The body is longer than the limit."""


class IncompleteError(Exception):
    """The client hung up before the end of the body."""


class NoMemoryLeftError(Exception):
    """Other bodies use all the memory for bodies."""


@define(eq=False)
class BodyMemory:
    """The shared memory of all bodies: how many bytes are `left` for what each has beyond its first `FREE_BYTES`."""

    left: int


@define(eq=False)
class Body:
    """The body of one request while it arrives: it is dropped beyond a limit, and once an answer has been sent."""

    limit: int
    """The longest body, in bytes."""
    read_limit: int
    """The most bytes that are read, kept or dropped."""
    memory: BodyMemory
    receive: ASGIReceiveCallable
    """Returns what arrives next."""
    is_over: bool = field(default=False, init=False)
    """Whether no more of the body is read: it has ended, or more than `read_limit` has arrived."""
    _kept: bytearray = field(factory=bytearray, init=False)
    _borrowed: int = field(default=0, init=False)
    _arrived: int = field(default=0, init=False)
    _keeping: bool = field(default=True, init=False)
    _error: type[TooLargeError | NoMemoryLeftError | IncompleteError] | None = field(default=None, init=False)

    def announce(self, length: int) -> None:
        """Reject the body if its announced length is above the limit."""
        if length > self.limit:
            self._give_up(TooLargeError)

    def add(self, chunk: bytes, *, more: bool) -> None:
        """Add what has arrived; `more` is False at the end of the body."""
        self._arrived += len(chunk)
        if self._keeping:
            self._keep(chunk)
        if not more or self._arrived > self.read_limit:
            self.is_over = True

    async def read(self, seconds: float) -> bytes:
        """Return the whole body, once it has arrived; call this only once.

        Raises:
            TooLargeError: the body is longer than the limit.
            NoMemoryLeftError: there is no memory for the body now.
            IncompleteError: the client hung up before the end of the body.
            trio.TooSlowError: the body takes longer than these seconds.
        """
        if isinstance(self.receive, ArrivingRequest) and self.receive.is_whole:
            await self._receive_all()  # without a deadline, as nothing is waited for
        else:
            with trio.fail_after(seconds):
                await self._receive_all()
        if self._error is not None:
            raise self._error
        body = bytes(self._kept)
        self._kept.clear()
        return body

    async def receive_some(self) -> bytes:
        """Return what arrives next, without keeping it; empty at the end. Call this instead of `read`.

        Raises:
            IncompleteError: the client hung up before the end.
        """
        self.drop()
        while not self.is_over:
            message = await self.receive()
            if message["type"] != "http.request":  # the client has hung up
                self.is_over = True
                raise IncompleteError
            self.add(message["body"], more=message["more_body"])
            if message["body"]:
                return message["body"]
        return b""

    async def drain(self) -> None:
        """Read the rest of the body without keeping it."""
        self.drop()
        while not self.is_over:
            await self._receive()

    async def hung_up(self) -> None:
        """Drop the body, and wait until the client hangs up."""
        self.drop()
        while self._error is not IncompleteError:
            if self._arrived > self.read_limit:
                await trio.sleep_forever()
            await self._receive()

    async def _receive_all(self) -> None:
        while self._error is None and not self.is_over:
            await self._receive()

    async def _receive(self) -> None:
        message = await self.receive()
        if message["type"] == "http.request":
            self.add(message["body"], more=message["more_body"])
        else:  # the client has hung up
            self.is_over = True
            self._give_up(IncompleteError)

    def drop(self) -> None:
        """Free the memory of the body, and keep nothing that arrives later."""
        self._keeping = False
        self._kept.clear()
        self.memory.left += self._borrowed
        self._borrowed = 0

    def _keep(self, chunk: bytes) -> None:
        length = len(self._kept) + len(chunk)
        needed = max(0, length - FREE_BYTES) - self._borrowed
        if length > self.limit:
            self._give_up(TooLargeError)
        elif needed > self.memory.left:
            self._give_up(NoMemoryLeftError)
        else:
            self.memory.left -= needed
            self._borrowed += needed
            self._kept += chunk

    def _give_up(self, error: type[TooLargeError | NoMemoryLeftError | IncompleteError]) -> None:
        self._error = error
        self.drop()


def body_of(scope: WWWScope) -> Body:
    """Return the body of a request to an app from `with_bounded_bodies`."""
    return cast("Body", scope["state"][_KEY])


def with_bounded_bodies(app: QuartTrio, limits: RequestLimits) -> QuartTrio:
    """Make an app get its request's body from `body_of`; the app itself receives nothing.

    A client that is still sending gets the answer at once; then the rest of its request is read and dropped.
    """
    app.asgi_http_class = _Connection
    answer: ASGIFramework = app.asgi_app
    memory = BodyMemory(max(16 * limits.body_bytes, 64 * _MEBIBYTE))
    read_limit = 16 * max(limits.body_bytes, _MEBIBYTE)

    async def receive_body_first(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": None})
        elif scope["type"] == "lifespan":
            await answer(scope, receive, send)
        else:
            if not scope["path"].startswith("/"):
                scope["path"] = _path_in(scope["path"])
            body = Body(limits.body_bytes, read_limit, memory, receive)
            body.announce(_length(scope))
            scope["state"][_KEY] = body
            try:
                await answer(scope, receive, _sending(body, send, limits.drain_seconds))
            finally:
                body.drop()

    app.asgi_app = receive_body_first  # type: ignore[method-assign]  # Quart's way to wrap an app
    return app


class _Connection(TrioASGIHTTPConnection):
    """Answers one request in the task that Hypercorn has started for it."""

    async def __call__(self, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        response = await self.app.handle_request(self._create_request_from_scope(send))
        await self._send_response(send, response)


def _sending(body: Body, send: ASGISendCallable, drain_seconds: float) -> ASGISendCallable:
    async def send_and_drain(message: ASGISendEvent) -> None:
        if message["type"] == "http.response.body" and not message["more_body"]:
            if not body.is_over:
                with trio.move_on_after(drain_seconds):
                    await body.drain()
        elif message["type"] == "http.response.start":
            body.drop()
        await send(message)

    return send_and_drain


def _length(scope: HTTPScope) -> int:
    """Return the announced length of the body, or 0. Hypercorn has rejected a length that is not a number."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
    return 0


def _path_in(target: str) -> str:
    """Return the path in a request target that is not a path."""
    try:
        return urlsplit(target).path or "/"
    except ValueError:
        return "/"
