"""Name the moments at which our processes are killed, and what the provider knows about each process."""

from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from random import Random
from typing import Final

from attrs import define

from tests.support.program import Program

SUSPENSION: Final = 2.6
"""Seconds for which a process is suspended: longer than the lease."""


class Strike(Enum):
    """The moment at which a process gets SIGKILL."""

    STARTING = auto()
    """At any time from its start on."""
    RUNNING = auto()
    """At any time after it has begun to accept webhooks."""
    CONNECTED = auto()
    """It has connected, and none of its request was read."""
    REQUESTED = auto()
    """Its request was read, and not answered."""
    ANSWERED = auto()
    """It was answered up to 20 ms ago: before or after its commit."""
    REPORTED = auto()
    """A webhook to it was sent up to 10 ms ago: while it is committed."""
    SUSPENDED = auto()
    """Its request was read; it is suspended for longer than its lease, resumes, and is killed soon after."""


_MIXTURE: Final = {
    Strike.STARTING: 3,
    Strike.RUNNING: 6,
    Strike.CONNECTED: 6,
    Strike.REQUESTED: 9,
    Strike.ANSWERED: 8,
    Strike.REPORTED: 6,
    Strike.SUSPENDED: 2,
}
"""How many of forty kills happen at each moment; with fewer kills, at least one at each."""


def plan(kills: int, draw: Random) -> list[Strike]:
    """Return the moments of this number of kills, in random order; for very few kills, only some moments."""
    if kills < len(_MIXTURE):
        return draw.sample(list(_MIXTURE), kills)
    whole = sum(_MIXTURE.values())
    strikes = [strike for strike, share in _MIXTURE.items() for _ in range(max(1, round(share * kills / whole)))]
    draw.shuffle(strikes)
    return strikes


@define
class Target:
    """A place for one of our processes: which connections it has, and where it listens for webhooks."""

    web_url: str | None = None
    """The process's URL for webhooks; None while no process accepts any."""
    program: Program | None = None
    marked: Strike | None = None
    """The moment at which the process is to be killed."""

    def owns(self, port: int) -> bool:
        """Return whether the process has a connection from this port; False once it has ended."""
        if self.program is None:
            return False
        process = Path("/proc", str(self.program.process.pid))
        with suppress(OSError):
            rows = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
            sockets = {f"socket:[{row[9]}]" for row in rows if row[1].endswith(f":{port:04X}")}
            return any(_target(file) in sockets for file in (process / "fd").iterdir())
        return False

    def strikes(self, strike: Strike) -> bool:
        """Return whether the process is marked for this moment, and remove the mark."""
        if self.marked is not strike:
            return False
        self.marked = None
        return True


def _target(file: Path) -> str:
    """Return what an open file is; empty once it is closed."""
    try:
        return str(file.readlink())
    except OSError:
        return ""
