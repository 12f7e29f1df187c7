"""Keep a sandbox's calls, in any dialect: remember them, decide how they end, and start each in a task of its own."""

import math
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Final, Generic, Protocol, TypeVar

import trio

from reminderd.sandbox.behaviors import Behavior

REMEMBERED: Final = 10_000
"""Calls, and rejected requests, that are kept; the oldest are forgotten."""

_EARLY_STEPS: Final = 20
"""How long an "early" call's answer is held back at most, should nobody accept its webhooks."""


class PlacedCall(Protocol):
    """A call of some dialect."""

    @property
    def id(self) -> str:
        """The sandbox's own id of it."""

    @property
    def attempt_id(self) -> str | None:
        """The client's id of it; None if the request had none."""

    @property
    def phone_number(self) -> str:
        """The number that is called."""

    @property
    def status(self) -> str:
        """Its status, as the dialect names it."""


CallT = TypeVar("CallT", bound=PlacedCall)
ItemT = TypeVar("ItemT")


class Switchboard(Generic[CallT]):
    """Everything that a sandbox knows of its calls, in memory only and bounded; no call starts before `play_calls`."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._calls: dict[str, CallT] = {}
        self._rejections: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self._to_start, self._started = trio.open_memory_channel[tuple[CallT, trio.Event]](math.inf)

    @property
    def calls(self) -> tuple[CallT, ...]:
        """Every call kept and not yet forgotten, oldest first."""
        return tuple(self._calls.values())

    def call(self, call_id: str) -> CallT | None:
        """Return the call with this id; None if there was none or it is forgotten."""
        return self._calls.get(call_id)

    def rejection(self, behavior: Behavior, *, request: str) -> int | None:
        """Return the generic contract's HTTP status with which to reject this request; None: accept it.

        Args:
            behavior: that of the number to call.
            request: an id that is the same for a repeated request.
        """
        if behavior.answer == "refused":
            return 422
        rejected = self._rejections.get(request, 0)
        if rejected == len(behavior.rejections):
            return None
        self._rejections[request] = rejected + 1
        self._forget(self._rejections)
        return behavior.rejections[rejected]

    def next_end(self, behavior: Behavior, *, group: str) -> str:
        """Return how the next call of a group ends: the calls of a reminder, or to a number."""
        earlier = self._ended.get(group, 0)
        self._ended[group] = earlier + 1
        self._forget(self._ended)
        return behavior.ends[min(earlier, len(behavior.ends) - 1)]

    def keep(self, call: CallT) -> list[CallT]:
        """Remember a new call; return those that are forgotten in exchange."""
        self._calls[call.id] = call
        return self._forget(self._calls)

    def update(self, call_id: str, change: Callable[[CallT], CallT]) -> CallT | None:
        """Change a call; return it as it is then, or None if it is forgotten by now."""
        call = self._calls.get(call_id)
        if call is None:
            return None
        self._calls[call_id] = change(call)
        return self._calls[call_id]

    def start(self, call: CallT) -> trio.Event:
        """Start a call; the event is set when its last webhook is delivered or given up."""
        over = trio.Event()
        self._to_start.send_nowait((call, over))
        return over

    async def play_calls(
        self,
        play: Callable[[CallT, trio.Event], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Play each call from its start to its end, until cancelled."""
        async with trio.open_nursery() as calls:
            task_status.started()
            async for call, over in self._started:
                calls.start_soon(play, call, over)

    def _forget(self, memory: dict[str, ItemT]) -> list[ItemT]:
        """Drop the oldest entries beyond the limit, and return them."""
        surplus = max(len(memory) - self._remembered, 0)
        return [memory.pop(key) for key in list(islice(memory, surplus))]


async def hold_answer_back(behavior: Behavior, over: trio.Event, pace: float) -> None:
    """Wait until the request that placed a call is to be answered."""
    if behavior.webhooks == "early":
        with trio.move_on_after(_EARLY_STEPS * pace):
            await over.wait()
    await trio.sleep(behavior.answer_after * pace)
