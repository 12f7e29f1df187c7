"""Sets the log up: where it goes, how its lines look, and what must never be in it."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, Literal, TextIO

from loguru import logger

from reminderd.logs.file import deleting, may_log_to
from reminderd.logs.foreign import route_foreign_lines
from reminderd.logs.journal import is_journal
from reminderd.logs.lines import as_json, as_json_in_journal, as_text, as_text_in_journal

_FILE_MODE: Final = 0o640


def configure_logs(
    *,
    level: str,
    log_format: Literal["text", "json"],
    file: Path | None = None,
    rotation: str | None = None,
    retention: str | None = None,
    stream: TextIO | None = None,
    instead_of: Sequence[int] = (),
) -> tuple[int, ...]:
    """Send every line of this process, the libraries' included, to `stream` and, if one is given, to a file.

    Where the stream leads to systemd's journal, lines have a priority in front and no time.
    Returns what this process writes to from here on, for the next call's `instead_of`.

    Args:
        level: the least important level that is written: `INFO` …
        log_format: `text` for a person, `json` for a program.
        file: written besides `stream`; its folders are made.
        rotation: when the file is rotated, in loguru's form; None or empty: never.
        retention: how long rotated files are kept, like "30 days"; None or empty: for ever.
        stream: None: stderr.
        instead_of: what an earlier call returned, so that nothing is lost between the two; empty: whatever there is.

    Raises:
        OSError: the file can't or must not be written; what `instead_of` names goes on.
    """
    stream = stream or sys.stderr
    line = as_json if log_format == "json" else as_text
    told = line
    if is_journal(stream):
        told = as_json_in_journal if log_format == "json" else as_text_in_journal
    colours = log_format == "text" and stream.isatty() and not os.environ.get("NO_COLOR")
    if not instead_of:
        logger.remove()
    # Never `diagnose` or `backtrace`: they print the values of variables, and patients' data are among those.
    to_file: tuple[int, ...] = ()
    if file is not None:
        may_log_to(file)
        added = logger.add(
            str(file).replace("{", "{{").replace("}", "}}"),  # loguru fills in braces
            level=level,
            format=line,
            colorize=False,
            backtrace=False,
            diagnose=False,
            rotation=rotation or None,
            retention=deleting(file, retention) if retention else None,
            opener=partial(os.open, mode=_FILE_MODE),
        )
        to_file = (added,)
    to_stream = logger.add(stream, level=level, format=told, colorize=colours, backtrace=False, diagnose=False)
    for sink in instead_of:
        logger.remove(sink)
    route_foreign_lines()
    return (to_stream, *to_file)
