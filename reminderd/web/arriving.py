"""One request as it arrives: it is answered at once if it is whole, and else in a task of its own that receives it."""

from collections import deque
from collections.abc import Awaitable, Callable

import trio
from attrs import define, field
from hypercorn.typing import ASGIReceiveEvent


@define(eq=False)
class Arriving:
    """The parts of a request's body that the app has yet to receive. As `receive` of ASGI, it returns the next one."""

    begin: Callable[[], object]
    """Starts the task that answers."""
    answer_at_once: Callable[[], Awaitable[bool]]
    """Answers in this task, if that may be; returns whether it has."""
    hung_up: Callable[[], Awaitable[None]]
    """Waits until the client hangs up; only while this task answers, as nobody else notices it then."""
    most_parts: int
    """How many are kept; then the sender waits."""
    is_whole: bool = field(default=False, init=False)
    """Whether all of it was there when it began to be answered, so that nothing waits to receive it."""
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
        """Answer in a task of its own, unless it is being answered or is over."""
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
