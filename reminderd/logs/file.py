"""The log file: where one may be written, and which of its rotated files are deleted."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from reminderd.clock import SystemClock
from reminderd.files import begins, check

_OURS: Final = re.compile(rb'(?:\d{4}-\d\d-\d\d \d\d:\d\d|\{"time": "\d{4}-|$)')
"""How each of our logs begins, as text or as JSON. An empty file loses nothing."""
_LONGEST_BEGINNING: Final = 16

_ROTATED: Final = r"\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}(?:\.\d+)?"
"""What loguru puts between the name of a rotated file and its ending."""

_SPAN: Final = re.compile(r"(\d+) ?(hour|day|week|month|year)s?")
_HOURS: Final = {"hour": 1, "day": 24, "week": 168, "month": 730, "year": 8760}


def may_log_to(file: Path) -> None:
    """Check that a log may be appended to a file: there is none yet, or it begins as a log of ours.

    Raises:
        OSError: It is anything else; nothing was written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    check(file, ours=lambda log: _OURS.match(begins(log, _LONGEST_BEGINNING)) is not None, what="a log of reminderd")


def deleting(file: Path, kept_for: str) -> Callable[[Sequence[str]], None]:
    """Return what deletes the rotated files of a log once they are old, and nothing else.

    loguru by itself would delete whatever has a similar name: next to a log `reminderd` also an old `reminderd.db`.

    Args:
        file: the log.
        kept_for: "30 days", "6 months" ….
    """
    rotated = re.compile(re.escape(file.stem) + _ROTATED + re.escape(file.suffix), re.ASCII)
    span = _SPAN.fullmatch(kept_for)
    if span is None:
        raise ValueError(kept_for)
    keep = timedelta(hours=int(span[1]) * _HOURS[span[2]])

    def delete(similar: Sequence[str]) -> None:
        oldest = (SystemClock().now() - keep).timestamp()
        for one in map(Path, similar):
            with suppress(OSError):  # gone by now
                if rotated.fullmatch(one.name) and one.lstat().st_mtime < oldest:
                    one.unlink()

    return delete
