"""Keep the signals that arrive while the daemon is starting: none ends it half way, and none is lost.

This module imports only the standard library: it runs before everything else is loaded.
"""

import os
import signal
import sys
from types import FrameType
from typing import Final

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)

_ARE_ECHOED: Final = bool(getattr(sys, "frozen", False))
"""The single file's first process forwards every signal, and a terminal sends it to this second process, too."""

_arrived: list[int] = []


def keep_signals() -> None:
    """Keep SIGHUP, SIGTERM and SIGINT until the daemon receives them; a second stop ends the process at once."""
    for number in (signal.SIGHUP, *_STOPS):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _note)


def taken(*numbers: int) -> int | None:
    """Return one of these signals if it has arrived early, and forget it."""
    found = next((number for number in numbers if number in _arrived), None)
    if found is not None:
        _arrived[:] = [number for number in _arrived if number != found]
    return found


def _note(number: int, _frame: FrameType | None) -> None:
    if number in _STOPS and _arrived.count(number) > _ARE_ECHOED:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    _arrived.append(number)
