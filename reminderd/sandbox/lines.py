"""The lines of a sandbox: what is placed rings in a task of its own, and whoever placed it hears of it in time."""

import math
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import trio

from reminderd.sandbox.behaviours import Behaviour

_EARLY_STEPS: Final = 20
"""How long an "early" call's answer is held back at most, should nobody take its webhooks."""

RungT = TypeVar("RungT")


class Lines(Generic[RungT]):
    """As many as are needed; nothing rings before `serve` runs."""

    def __init__(self) -> None:
        self._to_ring, self._placed = trio.open_memory_channel[tuple[RungT, trio.Event]](math.inf)

    def ring(self, call: RungT) -> trio.Event:
        """Let a call ring; the event is set when its last webhook is delivered or given up."""
        over = trio.Event()
        self._to_ring.send_nowait((call, over))
        return over

    async def serve(
        self,
        play: Callable[[RungT, trio.Event], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Play each call from its start to its end, until cancelled."""
        async with trio.open_nursery() as calls:
            task_status.started()
            async for call, over in self._placed:
                calls.start_soon(play, call, over)


async def hold_answer_back(behaviour: Behaviour, over: trio.Event, pace: float) -> None:
    """Wait until the request that placed a call is to be answered."""
    if behaviour.webhooks == "early":
        with trio.move_on_after(_EARLY_STEPS * pace):
            await over.wait()
    await trio.sleep(behaviour.answer_after * pace)
