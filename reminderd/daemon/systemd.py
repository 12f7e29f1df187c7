"""Tells the supervisor how the run goes, as systemd wants to be told, and feeds its watchdog while the run is alive.

The protocol: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html. It is some lines over a datagram
socket, so none of the libraries for it is needed.
"""

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final

import trio
from attrs import frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.engine.context import Memory

_UNWATCHED: Final = 15.0
"""Seconds between two lines about how it goes, where there is no watchdog to feed."""

_LOOK_AGAIN: Final = 1.0
"""Seconds, at most, between two looks at a run that is silent: as soon as it lives again the watchdog is fed."""


@frozen
class Supervisor:
    """Who started us and wants to be told."""

    address: str | None = None
    """Its socket, `@` at the beginning for an abstract one; None: nobody wants to be told."""
    watchdog: timedelta | None = None
    """It ends a run that has not fed its watchdog for so long; None: it has none for us."""

    def tell(self, *assignments: str) -> None:
        """Send `NAME=value` lines in one datagram; without waiting, and a supervisor that is gone stops nobody."""
        if self.address is None:
            return
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        try:
            with socket.socket(socket.AF_UNIX, kind) as sender:
                sender.sendto("\n".join(assignments).encode(), address)
        except OSError as error:
            logger.warning(f"the supervisor can't be notified of {assignments[0]}: {error.strerror or error}")


NOBODY: Final = Supervisor()
"""No supervisor, as for a run by hand."""


@frozen(kw_only=True)
class Signs:
    """How a run shows that it lives."""

    ready: Callable[[], Awaitable[None]]
    """Returns once all that the run is for works."""
    silence: Callable[[], float]
    """Seconds since its last sign of life."""
    patience: float
    """Seconds of silence from which on it counts as stuck, unless the watchdog is quicker."""
    trouble: Callable[[], str | None]
    """What is wrong, in a line for the admin that names no patient; None: nothing."""


def signs_of(memory: Memory, clock: Clock, *, dials: bool, patience: float) -> Signs:
    """Return a run's signs: those of its poll loop; without one, that it comes round at all."""
    if not dials:
        return Signs(ready=trio.lowlevel.checkpoint, silence=lambda: 0.0, patience=patience, trouble=lambda: None)
    breaker = memory.breaker
    return Signs(
        ready=memory.claimed.wait,
        silence=lambda: clock.monotonic() - memory.beat,
        patience=patience,
        trouble=lambda: memory.failure or _paused(breaker.reason or breaker.address.reason),
    )


def _paused(reason: str | None) -> str | None:
    return None if reason is None else f"dialing is paused: {reason}"


def supervisor(environ: Mapping[str, str]) -> Supervisor:
    """Who wants to be told, as the environment says."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return Supervisor()
    microseconds = 0
    if environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
        with suppress(ValueError):
            microseconds = int(environ.get("WATCHDOG_USEC", ""))
    return Supervisor(address, timedelta(microseconds=microseconds) if microseconds > 0 else None)


async def attend(who: Supervisor, signs: Signs, *, stopping: trio.Event, stop_within: timedelta) -> None:
    """Tell that the run is ready once it is, feed the watchdog while it lives, tell of the stop; then return.

    The watchdog is fed at half of its time, but not by a run that has been silent for longer than that.

    Args:
        who: is told.
        signs: the run's.
        stopping: set when the run is to end.
        stop_within: how long the stop may take; the supervisor is asked for this time.
    """
    if who.address is None:
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_stopping, who, signs)
        await stopping.wait()
        nursery.cancel_scope.cancel()
    who.tell("STOPPING=1", "STATUS=stopping", f"EXTEND_TIMEOUT_USEC={stop_within // timedelta(microseconds=1)}")


async def _until_stopping(who: Supervisor, signs: Signs) -> None:
    await signs.ready()
    who.tell("READY=1")
    pause = _UNWATCHED if who.watchdog is None else who.watchdog.total_seconds() / 2
    patience = min(signs.patience, pause)
    while True:
        silence = signs.silence()
        if silence > patience:
            who.tell(f"STATUS=no sign of life for {silence:.0f} s")
            await trio.sleep(min(pause, _LOOK_AGAIN))
        else:
            who.tell("WATCHDOG=1", f"STATUS={_line(signs.trouble() or 'running')}")
            await trio.sleep(pause)


def _line(text: str) -> str:
    """In one line: what comes after a line's end would be taken for something else that we tell."""
    return " ".join(text.split())
