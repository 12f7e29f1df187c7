"""The moments at which our processes are killed, and what the provider knows of each process."""

from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from random import Random
from typing import Final

from attrs import define

from tests.support.program import Program

SUSPENSION: Final = 2.6
"""Seconds: longer than the lease."""


class Strike(Enum):
    """The moment at which a process gets its SIGKILL."""

    STARTING = auto()
    """Whenever, from its very start."""
    RUNNING = auto()
    """Whenever, once it takes webhooks."""
    CONNECTED = auto()
    """It has connected, nothing of its request is read."""
    REQUESTED = auto()
    """Its request is read and not answered."""
    ANSWERED = auto()
    """It was answered up to 20 ms ago: before its commit, or after it."""
    REPORTED = auto()
    """A webhook is on its way for up to 10 ms: while it is committed."""
    SUSPENDED = auto()
    """Its request is read; it is suspended for longer than its lease, resumes, and is killed soon after."""


_MIXTURE: Final = {
    Strike.STARTING: 3,
    Strike.RUNNING: 6,
    Strike.CONNECTED: 6,
    Strike.REQUESTED: 9,
    Strike.ANSWERED: 8,
    Strike.REPORTED: 6,
    Strike.SUSPENDED: 2,
}
"""Of forty kills, how many at each moment; of fewer, each once at least."""


def plan(kills: int, draw: Random) -> list[Strike]:
    """The moments of so many kills, in an order of the seed's; of very few, some of them."""
    if kills < len(_MIXTURE):
        return draw.sample(list(_MIXTURE), kills)
    whole = sum(_MIXTURE.values())
    strikes = [strike for strike, share in _MIXTURE.items() for _ in range(max(1, round(share * kills / whole)))]
    draw.shuffle(strikes)
    return strikes


@define
class Target:
    """One of our processes at a time: which connections are its own, and where it listens for webhooks."""

    web_url: str | None = None
    """None while there is no process that takes webhooks."""
    program: Program | None = None
    marked: Strike | None = None
    """When the process is to be struck."""

    def owns(self, port: int) -> bool:
        """Whether the process has a connection from this port; false once it is dead."""
        if self.program is None:
            return False
        process = Path("/proc", str(self.program.process.pid))
        with suppress(OSError):
            rows = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
            sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}")}
            return any(_target(file) in sockets for file in (process / "fd").iterdir())
        return False

    def strikes(self, strike: Strike) -> bool:
        """Whether the process is marked for this moment; it then is no more."""
        if self.marked is not strike:
            return False
        self.marked = None
        return True


def _target(file: Path) -> str:
    """What an open file is; nothing once it is closed."""
    try:
        return str(file.readlink())
    except OSError:
        return ""
