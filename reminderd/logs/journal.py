"""Whether systemd's journal is listening, and the priority that it reads off the front of each line."""

import os
import re
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from loguru import Record

_PRIORITIES: Final = ((50, 2), (40, 3), (30, 4), (25, 5), (20, 6))
"""The least of loguru's numbers, and the priority of syslog: critical, error, warning, notice, info."""

_DEBUG: Final = 7
_STREAM: Final = re.compile(r"(\d+):(\d+)")


def is_journal(stream: TextIO) -> bool:
    """Whether what is written here goes to the journal: systemd.exec(5), "JOURNAL_STREAM".

    The variable alone does not tell: whoever redirects our output leaves it set.
    """
    told = _STREAM.fullmatch(os.environ.get("JOURNAL_STREAM", ""))
    if told is None:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no file at all, or a closed one
        return False
    return (status.st_dev, status.st_ino) == (int(told[1]), int(told[2]))


def priority(record: "Record") -> str:
    """What stands before a line: sd-daemon(3)."""
    number = record["level"].no
    return f"<{next((priority for least, priority in _PRIORITIES if number >= least), _DEBUG)}>"
