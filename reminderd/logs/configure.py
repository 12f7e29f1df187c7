"""Set up the log: where it goes, how its lines look, and what must never be in it."""

import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, Literal, TextIO

from loguru import logger

from reminderd.clock import SystemClock
from reminderd.files import begins, check
from reminderd.logs.formats import as_json, as_json_in_journal, as_text, as_text_in_journal, is_journal
from reminderd.logs.terminal import unguarded

_FILE_MODE: Final = 0o640

_OURS: Final = re.compile(rb'(?:\d{4}-\d\d-\d\d \d\d:\d\d|\{"time": "\d{4}-|$)')
"""How each of our logs begins, as text or as JSON. An empty file loses nothing."""
_LONGEST_BEGINNING: Final = 16

_ROTATED: Final = r"\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}(?:\.\d+)?"
"""What loguru puts between the name of a rotated file and its ending."""

_SPAN: Final = re.compile(r"(\d+) ?(hour|day|week|month|year)s?")
_HOURS: Final = {"hour": 1, "day": 24, "week": 168, "month": 730, "year": 8760}

_TALKATIVE: Final = frozenset({"apprise", "httpx", "hypercorn"})
"""Libraries that log each message, request and start at INFO; our own lines say more."""

_SHARED_LEVELS: Final = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})
"""Names that mean the same to the standard library and to loguru."""

_QUERY: Final = re.compile(r"(/[^\s?\"'<>]*)\?[^\s\"'<>]*")


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

    Where the stream leads to systemd's journal, lines begin with a priority and have no time.
    Returns what this process writes to from here on, for the next call's `instead_of`.

    Args:
        level: the least important level that is written: `INFO` …
        log_format: `text` for a person, `json` for a program.
        file: also written to; its folders are made.
        rotation: when the file is rotated, in loguru's form; None or empty: never.
        retention: how long rotated files are kept, like "30 days"; None or empty: forever.
        stream: None: stderr.
        instead_of: what an earlier call returned, so that nothing is lost between the two; empty: replaces all.

    Raises:
        OSError: the file can't or must not be written; what `instead_of` names stays in use.
    """
    stream = stream or unguarded(sys.stderr)
    file_format = as_json if log_format == "json" else as_text
    stream_format = file_format
    if is_journal(stream):
        stream_format = as_json_in_journal if log_format == "json" else as_text_in_journal
    colors = log_format == "text" and stream.isatty() and not os.environ.get("NO_COLOR")
    if not instead_of:
        logger.remove()
    # Never `diagnose` or `backtrace`: they print the values of variables, and patients' data are among those.
    to_file: tuple[int, ...] = ()
    if file is not None:
        _check_log_file(file)
        added = logger.add(
            str(file).replace("{", "{{").replace("}", "}}"),  # loguru fills in braces
            level=level,
            format=file_format,
            colorize=False,
            backtrace=False,
            diagnose=False,
            rotation=rotation or None,
            retention=_deleting(file, retention) if retention else None,
            opener=partial(os.open, mode=_FILE_MODE),
        )
        to_file = (added,)
    to_stream = logger.add(stream, level=level, format=stream_format, colorize=colors, backtrace=False, diagnose=False)
    for sink in instead_of:
        logger.remove(sink)
    _route_library_lines()
    return (to_stream, *to_file)


def _check_log_file(file: Path) -> None:
    """Check that a log may be appended to a file: there is none yet, or it begins as a log of ours.

    Raises:
        OSError: it is anything else; nothing was written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    check(file, ours=lambda log: _OURS.match(begins(log, _LONGEST_BEGINNING)) is not None, what="a log of reminderd")


def _deleting(file: Path, kept_for: str) -> Callable[[Sequence[str]], None]:
    """Return a function that deletes the rotated files of a log once they are old, and nothing else.

    loguru by itself would delete any file with a similar name: next to a log `reminderd` also an old `reminderd.db`.

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
            with suppress(OSError):  # deleted meanwhile
                if rotated.fullmatch(one.name) and one.lstat().st_mtime < oldest:
                    one.unlink()

    return delete


class _InterceptHandler(logging.Handler):
    """Passes a record on to loguru: without query strings, at its own level, the library's name bound as `logger`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record into our log, whatever the library put into it."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's arguments may fail in any way, and must not be shown instead
            message = f"{record.msg} (could not be formatted)"
        cleaned = _QUERY.sub(r"\1", message.strip())
        logger.opt(exception=record.exc_info).bind(logger=record.name).log(_level(record), cleaned)


def _route_library_lines() -> None:
    """Make our log the only place that the standard library's logging, and warnings, go to.

    Nothing below INFO passes: at DEBUG, HTTP libraries log headers, and headers carry keys.
    """
    root = logging.getLogger()
    root.handlers = [_InterceptHandler()]
    root.setLevel(logging.INFO)
    for named in root.manager.loggerDict.values():
        if isinstance(named, logging.Logger):
            named.handlers.clear()
            named.propagate = True
    logging.captureWarnings(capture=True)


def _level(record: logging.LogRecord) -> str | int:
    if record.levelno == logging.INFO and record.name.partition(".")[0] in _TALKATIVE:
        return "DEBUG"
    return record.levelname if record.levelname in _SHARED_LEVELS else record.levelno
