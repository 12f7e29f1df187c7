"""Judges the machine: its disk, its clock, its time zones, its files, and the database on it."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from stat import S_IROTH, S_ISVTX, S_IWOTH, S_IXOTH
from typing import Final

from reminderd.core.diagnosis.finding import Finding, good, unknown, warning, wrong

DISK_FULL_SOON: Final = 100_000_000
DISK_LOW: Final = 1_000_000_000
"""Bytes."""

CLOCK_OFF: Final = timedelta(seconds=30)
"""More than an answer's way and the whole seconds of its Date can explain; webhooks are refused from 300 s on."""

WAL_LARGE: Final = 64 * 1024 * 1024
"""Bytes: the `journal_size_limit` to which each checkpoint cuts it."""

_VERSION: Final = re.compile(r"(\d{4})[a-z]+")
_OLD_YEARS: Final = 2


def disk(free: int, folder: str) -> Finding:
    """Of the bytes that are free where the database grows."""
    says = f"{_size(free)} free in {folder}"
    if free >= DISK_LOW:
        return good("disk", says)
    fix = "free some space: on a full disk nothing is dialed and no webhook is recorded"
    return (wrong if free < DISK_FULL_SOON else warning)("disk", says, fix)


def clock(*, kept: bool | None, ahead: timedelta | None) -> Finding:
    """Of the wall clock.

    Args:
        kept: whether the kernel says that it is synchronized; None: it can't be asked.
        ahead: by how much it is ahead of the provider's; None: that is not known.
    """
    keep = "timedatectl set-ntp true, or install chrony"
    if ahead is not None and abs(ahead) > CLOCK_OFF:
        side = "ahead of" if ahead > timedelta(0) else "behind"
        seconds = abs(ahead).total_seconds()
        return wrong("clock", f"{seconds:.0f} s {side} the provider's", f"calling hours go by it, set it: {keep}")
    compared = "" if ahead is None else "; it agrees with the provider's now, to some seconds"
    if kept is None:
        return unknown("clock", f"unknown whether it is synchronized: the kernel can't be asked here{compared}")
    if not kept:
        return warning("clock", f"not synchronized, by the kernel{compared}", keep)
    return good("clock", f"synchronized, by the kernel{compared}")


def time_zones(version: str | None, source: str, today: datetime) -> Finding:
    """Of the time zone data's version, like `2026a`; None: it names none."""
    found = None if version is None else _VERSION.fullmatch(version)
    if found is None:
        return unknown("time zones", f"unknown how old the data in {source} is: it has no version")
    says = f"version {version}, in {source}"
    if int(found[1]) > today.year - _OLD_YEARS:
        return good("time zones", says)
    fix = "update it, or calls follow old rules: apt-get install tzdata, or pip install -U tzdata"
    return warning("time zones", f"{says}, is old", fix)


def uncallable(reasons: Mapping[str, int]) -> list[Finding]:
    """Of the waiting reminders that can't be called, how many for each reason."""
    return [
        wrong(
            "reminders",
            f"{count} waiting {'reminder' if count == 1 else 'reminders'} can't be called: {reason}",
            "correct them, or the configuration, before they are due: then they fail",
        )
        for reason, count in reasons.items()
    ]


def open_to_others(mode: int, folders: Iterable[int]) -> bool:
    """Whether a file of this mode, below folders of those, can be read or written by every user of the machine."""
    return bool(mode & (S_IROTH | S_IWOTH)) and all(folder & S_IXOTH for folder in folders)


def replaceable(folders: Iterable[int]) -> bool:
    """Whether every user may put another file in a file's place: the first mode is its own folder's."""
    own, *above = folders
    return bool(own & S_IWOTH) and not own & S_ISVTX and all(folder & S_IXOTH for folder in (own, *above))


def schema(version: int, newest: int) -> Finding:
    """Of the database's schema, not newer than the newest that this program knows."""
    if version == newest:
        return good("schema", f"{version}, the newest")
    says = f"{version or 'none yet'}, and this program brings {newest}"
    return warning("schema", says, "make a backup, stop the daemon, then reminderd db migrate")


def wal(size: int) -> Finding:
    """Of the write-ahead log's size in bytes."""
    if size <= WAL_LARGE:
        return good("write-ahead log", _size(size))
    fix = "a program holds a transaction open, find and end it: fuser -v on the -wal file lists the programs"
    return warning("write-ahead log", f"has grown to {_size(size)}", fix)


def _size(size: int) -> str:
    for unit, bytes_in_it in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_in_it:
            return f"{size / bytes_in_it:.1f} {unit}"
    return f"{size} bytes"
