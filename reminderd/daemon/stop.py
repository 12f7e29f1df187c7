"""End the daemon: the first signal stops it gracefully, the second at once.

In a graceful shutdown nothing more is claimed, requests end, webhooks end, and what still hangs is cut off in the end.
"""

import math
import signal
from datetime import timedelta
from typing import Final

import trio
from attrs import field, frozen
from loguru import logger

from reminderd.config import Config
from reminderd.early_signals import taken

GRACE: Final = timedelta(seconds=5)
"""What a stop allows on top of the longest request: to settle its answer, and to answer the last webhooks."""

_AFTER_GRACE: Final = timedelta(seconds=5)


@frozen(kw_only=True)
class Ended:
    """What has ended in a graceful shutdown, in this order."""

    requests: trio.Event = field(factory=trio.Event)
    """Nothing more is claimed, and every request has its answer."""
    webhooks: trio.Event = field(factory=trio.Event)
    """No more webhooks are accepted, and the last ones are answered."""

    async def both(self) -> None:
        """Wait until both have ended."""
        await self.requests.wait()
        await self.webhooks.wait()

    @property
    def is_complete(self) -> bool:
        """Return whether both have ended."""
        return self.requests.is_set() and self.webhooks.is_set()


def grace(config: Config) -> timedelta:
    """Return how long a graceful shutdown may take."""
    return timedelta(seconds=config.provider.timeout_seconds) + GRACE


def time_to_stop(config: Config) -> timedelta:
    """Return how long the supervisor is asked to wait: after the grace, answers are still written and files closed."""
    return grace(config) + _AFTER_GRACE


async def cut_off(everything: trio.CancelScope, stopping: trio.Event, ended: Ended, within: timedelta) -> None:
    """Once `stopping` is set, wait for requests and webhooks to end, `within` that time; then end what is left."""
    await stopping.wait()
    everything.deadline = trio.current_time() + within.total_seconds()
    await ended.both()
    everything.cancel()  # all that could be lost is settled; what is left are idle waits


async def watch_signals(stopping: trio.Event, everything: trio.CancelScope, *, echo_seconds: float = 0.0) -> None:
    """Stop gracefully at the first SIGTERM or SIGINT, also of the start; end at once at the second, as a crash would.

    Args:
        stopping: set at the first.
        everything: cancelled at the second.
        echo_seconds: for so long after the first, others are its echo. The single file's first process hands every
            signal on to the second one, this one, which a terminal or systemd has sent it to as well.
    """
    first_at = -math.inf
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        early = taken(signal.SIGTERM, signal.SIGINT)
        if early is not None:
            logger.info(f"{signal.Signals(early).name}: stopping, it came during the start")
            stopping.set()
            first_at = trio.current_time()
        async for number in signals:
            name = signal.Signals(number).name
            if trio.current_time() < first_at + echo_seconds:
                continue
            if stopping.is_set():
                logger.warning(f"{name} again: ending at once")
                everything.cancel()
                return
            logger.info(f"{name}: stopping, requests in flight may end")
            stopping.set()
            first_at = trio.current_time()
