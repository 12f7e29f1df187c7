"""Receive request bodies in Quart's place, and reject what Quart 0.22 and Quart-Trio 0.12 fail on.

Each part names its reason; when upstream has repaired it, the part goes:

* Quart bounds the length of one body, but not the memory of all together.
* Quart-Trio starts a nursery and two tasks for each request, one of them only to receive: a quarter of the time that a
  webhook takes. And it cancels its handler once Hypercorn 0.18 says that the request is over, which is before Hypercorn
  has closed the connection or started its idle timer. Here the handler itself receives, in one task.
* Hypercorn closes the connection after an answer to a request that is still being sent. The unread bytes reset it, and
  the client never sees the answer: the rest is read and dropped first.
* Quart fails on some targets that are not a path (`*`, a whole URL, nothing), and has no use for websockets.

A client that hangs up cancels nothing: what it has asked for is carried out.
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
"""What each body may hold without asking; most webhooks have less, so that large ones keep none of them out."""

_MEBIBYTE: Final = 1024 * 1024
_KEY: Final = "reminderd.body"


@define(eq=False)
class ArrivingRequest:
    """A request, with the parts of its body that the app has not received yet. Called as ASGI's `receive`.

    If it arrives whole, it is answered at once; otherwise in a task of its own, while it arrives.
    """

    begin: Callable[[], object]
    """Starts the task that answers."""
    answer_at_once: Callable[[], Awaitable[bool]]
    """Answers in the task that reads the connection, if it may; returns whether it has."""
    hung_up: Callable[[], Awaitable[None]]
    """Waits until the client hangs up. Needed only while the reading task answers: then nobody else notices it."""
    most_parts: int
    """How many parts are kept; then the client must wait."""
    is_whole: bool = field(default=False, init=False)
    """Whether all of it had arrived when the answer began, so that nothing is left to wait for."""
    _has_begun: bool = field(default=False, init=False)
    _is_over: bool = field(default=False, init=False)
    _parts: deque[ASGIReceiveEvent] = field(factory=deque, init=False)
    _changed: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot, init=False)

    async def take(self, event: ASGIReceiveEvent) -> None:
        """Take what has arrived, once there is a place for it; after `http.disconnect`, nobody waits anymore."""
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
        """Start the task that answers, unless the request is being answered already, or is over."""
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
    """Longest body. Sixteen of them, and 64 MiB at least, are kept at a time; and of one request, at most sixteen times
    as much is read."""
    body_seconds: float = 30.0
    """How long a body may take to arrive."""
    drain_seconds: float = 10.0
    """How long after its answer the rest of a request is still read."""
    in_work: int = 512
    """Requests that are verified and carried out at a time; the client of one more is asked to come again."""


class TooLargeError(Exception):
    """The body is longer than the limit."""


class IncompleteError(Exception):
    """The client hung up before the end of the body."""


class NoMemoryLeftError(Exception):
    """Other bodies hold all the memory that bodies may hold."""


@define(eq=False)
class BodyMemory:
    """The bytes that all bodies together may still hold, beyond the first `FREE_BYTES` of each."""

    left: int


@define(eq=False)
class Body:
    """One request's body as it arrives: kept up to a limit; dropped beyond it, and once an answer has been sent."""

    limit: int
    """Longest body, in bytes."""
    read_limit: int
    """Bytes that are read at most, kept or dropped."""
    memory: BodyMemory
    receive: ASGIReceiveCallable
    """Returns what arrives next."""
    is_over: bool = field(default=False, init=False)
    """Whether nothing more of it is read: it has ended, or more than `read_limit` has arrived."""
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
        """Return the whole body, once it is there; to be called once.

        Raises:
            TooLargeError: it is longer than the limit.
            NoMemoryLeftError: there is no memory for it now.
            IncompleteError: the client hung up before its end.
            trio.TooSlowError: it takes longer than so many seconds.
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
        """Return what arrives next, which is not kept; empty at the end. To be called instead of `read`.

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
        """Read the rest, and keep nothing of it."""
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
        """Free what is held, and keep nothing more of what arrives."""
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
    """Return the body of a request to an app that has bounded bodies."""
    return cast("Body", scope["state"][_KEY])


def with_bounded_bodies(app: QuartTrio, limits: RequestLimits) -> QuartTrio:
    """Let an app find its request's body with `body_of`; the app itself receives nothing.

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
    """Return the announced length of the body, else 0. Only digits come here: Hypercorn rejects anything else."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
    return 0


def _path_in(target: str) -> str:
    """Return the path in a target that is not one."""
    try:
        return urlsplit(target).path or "/"
    except ValueError:
        return "/"
