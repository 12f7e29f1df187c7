"""Signals: the first asks for a stop in order, the second ends it all."""

import math
import signal

import trio
from loguru import logger

from reminderd.early_signals import taken


async def watch_signals(stopping: trio.Event, everything: trio.CancelScope, *, echo_seconds: float = 0.0) -> None:
    """Stop in order at the first SIGTERM or SIGINT, be it of the start; end at once at the second, as a crash would.

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
