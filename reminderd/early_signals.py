"""Keep the signals that arrive while the daemon is starting: none ends it half way, and none is lost."""

import os
import signal
import sys
from types import FrameType
from typing import Final

_STOPS: Final = (signal.SIGTERM, signal.SIGINT)

_ARE_ECHOED: Final = bool(getattr(sys, "frozen", False))
"""The single file's first process hands on every signal, which a terminal has sent to the second one, this one, too."""

_arrived: list[int] = []


def keep_signals() -> None:
    """Note SIGHUP, SIGTERM and SIGINT from here on, until somebody receives them; a second stop ends the process."""
    for number in (signal.SIGHUP, *_STOPS):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _note)


def taken(*numbers: int) -> int | None:
    """Return one of these signals if it has arrived before somebody received them, and forget it."""
    found = next((number for number in numbers if number in _arrived), None)
    if found is not None:
        _arrived[:] = [number for number in _arrived if number != found]
    return found


def _note(number: int, _frame: FrameType | None) -> None:
    if number in _STOPS and _arrived.count(number) > _ARE_ECHOED:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    _arrived.append(number)
