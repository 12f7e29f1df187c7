"""Receive a request. If it arrives whole, it is answered at once; otherwise in a task of its own, while it arrives."""

from collections import deque
from collections.abc import Awaitable, Callable

import trio
from attrs import define, field
from hypercorn.typing import ASGIReceiveEvent


@define(eq=False)
class ArrivingRequest:
    """A request, with the parts of its body that the app has not received yet. Called as ASGI's `receive`."""

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
