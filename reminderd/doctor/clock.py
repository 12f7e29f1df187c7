"""Looks at the clock and at the time zone data: calling hours and signatures go by them."""

import ctypes
import zoneinfo
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import trio
import tzdata

from reminderd.clock import Clock
from reminderd.config import Config
from reminderd.core.diagnosis import machine
from reminderd.core.diagnosis.finding import Finding
from reminderd.doctor.asking import Asking, is_this_machine
from reminderd.providers.http import Heard

_UNKEPT_MICROSECONDS: Final = 16_000_000
"""The kernel's bound of the clock's error, once nothing has set it for long: NTP_PHASE_LIMIT."""


class Timex(ctypes.Structure):
    """The beginning of `struct timex`, adjtimex(2), with room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 512),
    )


async def look(config: Config, asking: Asking, clock: Clock) -> list[Finding]:
    """The clock, as the kernel and the provider's answers tell, and the data behind the clinic's time zone."""
    ahead = None
    url = provider_url(config)
    if url and not is_this_machine(urlsplit(url).hostname or ""):  # else it has the same clock, and proves nothing
        ahead = await ahead_of(url, asking, clock)
    version, source = zone_data(config.calling.zone.key)
    return [
        machine.clock(kept=kept_by_kernel(), ahead=ahead),
        machine.time_zones(version, source, clock.now()),
    ]


def adjtimex(seen: Timex) -> int:
    """Ask the kernel, changing nothing; below 0 if it can't be asked."""
    state: int = ctypes.CDLL(None).adjtimex(ctypes.byref(seen))
    return state


def kept_by_kernel(ask: Callable[[Timex], int] = adjtimex) -> bool | None:
    """Whether some program keeps the clock right, as `timedatectl` tells it: by the kernel's own bound of its error.

    None: the kernel can't be asked, as in some containers. STA_UNSYNC is not looked at, since it is also set to
    keep the kernel from writing the hardware's clock.
    """
    seen = Timex()
    try:
        state = ask(seen)
    except (AttributeError, OSError):  # another C library, or none
        return None
    return None if state < 0 else bool(seen.maxerror < _UNKEPT_MICROSECONDS)


def provider_url(config: Config) -> str:
    """Where the provider is; empty for the sandbox."""
    return config.provider.settings.server


async def ahead_of(url: str, asking: Asking, clock: Clock) -> timedelta | None:
    """By how much our clock is ahead of the one in a server's answers; None if that can't be told."""
    asked = trio.current_time()
    outcome = await asking.get(url)
    half_way = timedelta(seconds=(trio.current_time() - asked) / 2)
    if not isinstance(outcome, Heard):
        return None
    try:
        said: datetime = parsedate_to_datetime(outcome.headers["date"])
        return clock.now() - half_way - said
    except (KeyError, ValueError, TypeError):  # none, nonsense, or without an offset
        return None


def zone_data(zone: str) -> tuple[str | None, str]:
    """The version of the data from which this zone is read, or None; and where it is: the system's come first."""
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / zone).is_file():
            return _version_in(folder), str(folder)
    return tzdata.IANA_VERSION, "the package tzdata"


def _version_in(folder: Path) -> str | None:
    """As `tzdata.zi` begins with it: `# version 2026a`."""
    try:
        with (folder / "tzdata.zi").open(encoding="utf-8", errors="replace") as lines:
            first = lines.readline()
    except OSError:
        return None
    return first.removeprefix("# version ").strip()
