"""Signals: the first asks for a stop in order, the second ends it all."""

import signal

import trio
from loguru import logger


async def watch_signals(stopping: trio.Event, everything: trio.CancelScope) -> None:
    """Stop in order at the first SIGTERM or SIGINT; end at once at the second, as a crash would."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            name = signal.Signals(number).name
            if stopping.is_set():
                logger.warning(f"{name} again: ending at once")
                everything.cancel()
                return
            logger.info(f"{name}: stopping, calls in flight may end")
            stopping.set()
