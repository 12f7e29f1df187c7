"""Set up the log: its place, its format for a person, a program or the journal, and what must not be in it."""

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO, cast

from loguru import logger

from reminderd.clock import SystemClock
from reminderd.core.masking import mask_name, mask_numbers
from reminderd.files import check_target, first_bytes
from reminderd.logs.terminal import on_one_line, raw_stream

if TYPE_CHECKING:
    from loguru import Record

_IDS: Final = ("reminder", "call", "attempt")
"""The bound values that are first in a line; others follow in their own order."""

# loguru does not interpret the values that it fills in, neither as a template nor as colors.
_REST_OF_TEXT: Final = "<level>{shown[level]:<7}</level> {shown[message]}<dim>{shown[bound]}</dim>{shown[exception]}\n"
_TEXT: Final = "<dim>{shown[time]}</dim> " + _REST_OF_TEXT
_TEXT_IN_JOURNAL: Final = "{shown[priority]}" + _REST_OF_TEXT
_JSON: Final = "{shown}\n"

_PRIORITIES: Final = ((50, 2), (40, 3), (30, 4), (25, 5), (20, 6))
"""Loguru's level numbers, each with syslog's priority from that level upward: critical to info."""
_DEBUG_PRIORITY: Final = 7

_NEEDS_QUOTES: Final = re.compile('[ "=]')
"""The characters because of which a value after `key=` needs quotes."""

_JOURNAL_STREAM: Final = re.compile(r"(\d+):(\d+)")


def is_journal(stream: TextIO) -> bool:
    """Return whether this stream leads to the journal: systemd.exec(5), "JOURNAL_STREAM".

    The variable alone does not show that, as it stays set if our output is redirected.
    """
    device_and_inode = _JOURNAL_STREAM.fullmatch(os.environ.get("JOURNAL_STREAM", ""))
    if device_and_inode is None:
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no file at all, or a closed one
        return False
    return (status.st_dev, status.st_ino) == (int(device_and_inode[1]), int(device_and_inode[2]))


def as_text(record: "Record") -> str:
    """Return a format for loguru: time, level, message, bound values as key=value; then a traceback with bars."""
    return _filled_in(record, _TEXT, {"time": record["time"].isoformat(" ", "milliseconds"), **_parts(record, "")})


def as_text_in_journal(record: "Record") -> str:
    """Return the format of `as_text` for the journal: a priority before each line, and no time."""
    priority = _priority(record)
    return _filled_in(record, _TEXT_IN_JOURNAL, {"priority": priority, **_parts(record, priority)})


def _parts(record: "Record", prefix: str) -> dict[str, str]:
    """Return the parts of a record that every text shows; `prefix` begins each line of a traceback."""
    return {
        "level": record["level"].name,
        "message": on_one_line(mask_numbers(record["message"])),
        "bound": "".join(f" {on_one_line(key)}={_word(value)}" for key, value in _bound(record).items()),
        "exception": "".join(f"\n{prefix}  | {on_one_line(line)}" for line in _exception(record).splitlines()),
    }


def as_json(record: "Record") -> str:
    """Return a format for loguru: one object per line with time, level, message, bound values and any exception."""
    return _filled_in(record, _JSON, _object(record, {"time": record["time"].isoformat("T", "milliseconds")}))


def as_json_in_journal(record: "Record") -> str:
    """Return the format of `as_json` for the journal: a priority before the object, and no time in it."""
    return _filled_in(record, _JSON, _priority(record) + _object(record, {}))


def _object(record: "Record", first: dict[str, str]) -> str:
    stable = {**first, "level": record["level"].name, "message": mask_numbers(record["message"])}
    exception = _exception(record)
    if exception:
        stable["exception"] = exception
    bound = {key: str(value) if isinstance(value, float) else value for key, value in _bound(record).items()}
    # Stable twice: it gives the order, and it wins over what is bound under the same key. In ASCII, so that whatever
    # could fool a terminal is an escape.
    return json.dumps({**stable, **bound, **stable}).replace("\x7f", "\\u007f")


def _filled_in(record: "Record", template: str, shown: object) -> str:
    """Return the template, after adding its values to the record, from which loguru fills them in."""
    cast("dict[str, Any]", record)["shown"] = shown
    return template


def _bound(record: "Record") -> dict[str, object]:
    extra = record["extra"]
    ordered = [*(key for key in _IDS if key in extra), *(key for key in extra if key not in _IDS)]
    return {str(key): _shown(str(key), extra[key]) for key in ordered if extra[key] is not None}


def _shown(key: str, value: object) -> object:
    """Return a value with phone numbers masked; in an id, which the admin searches for, only numbers with a +."""
    if isinstance(value, bool | int | float):
        return value
    return mask_name(str(value)) if key in _IDS else mask_numbers(str(value))


def _word(value: object) -> str:
    """Return a value, in quotes if it contains a space or another special character."""
    text = str(value)
    return on_one_line(text if text and not _NEEDS_QUOTES.search(text) else json.dumps(text, ensure_ascii=False))


def _exception(record: "Record") -> str:
    """Return the traceback without values of variables and with masked phone numbers; empty if there is none."""
    exception = record["exception"]
    if exception is None or exception.value is None:
        return ""
    return mask_numbers("".join(traceback.format_exception(exception.value))).rstrip()


def _priority(record: "Record") -> str:
    """Return the prefix of a line for the journal: sd-daemon(3)."""
    number = record["level"].no
    return f"<{next((priority for least, priority in _PRIORITIES if number >= least), _DEBUG_PRIORITY)}>"


_FILE_MODE: Final = 0o640

_OURS: Final = re.compile(rb'(?:\d{4}-\d\d-\d\d \d\d:\d\d|\{"time": "\d{4}-|$)')
"""The beginning of our log files, as text or as JSON. An empty file also matches, as nothing in it can be lost."""
_LONGEST_BEGINNING: Final = 16

_ROTATED: Final = r"\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}(?:\.\d+)?"
"""The text that loguru inserts between the name and the ending of a rotated file."""

_SPAN: Final = re.compile(r"(\d+) ?(hour|day|week|month|year)s?")
_HOURS: Final = {"hour": 1, "day": 24, "week": 168, "month": 730, "year": 8760}

_TALKATIVE: Final = dict.fromkeys(("apprise", "httpx", "hypercorn"), logging.INFO) | {"psycopg": logging.WARNING}
"""Libraries that log routine events up to this level; our own lines have more information."""

_SHARED_LEVELS: Final = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})
"""The level names that the standard library and loguru have in common."""

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
    """Send every line of this process, including the libraries' lines, to `stream` and, if configured, to a file.

    If the stream leads to systemd's journal, lines begin with a priority and have no time.
    Return the new log outputs, for `instead_of` of the next call.

    Args:
        level: the least important level that is written: `INFO` …
        log_format: `text` for a person, `json` for a program.
        file: a file that also gets every line; missing folders are created.
        rotation: when the file is rotated, in loguru's form; None or empty for never.
        retention: how long rotated files are kept, like "30 days"; None or empty for forever.
        stream: by default, stderr.
        instead_of: the outputs to replace, from an earlier call, so that no line is lost; if empty, replace all.

    Raises:
        OSError: the file can't or must not be written; the outputs in `instead_of` stay in use.
    """
    stream = stream or raw_stream(sys.stderr)
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
    """Check that a log may be appended to a file: the file does not exist yet, or begins like one of our logs.

    Raises:
        OSError: the file is another one; nothing was written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    check_target(
        file, ours=lambda log: _OURS.match(first_bytes(log, _LONGEST_BEGINNING)) is not None, what="a log of reminderd"
    )


def _deleting(file: Path, kept_for: str) -> Callable[[Sequence[str]], None]:
    """Return a function that deletes the rotated files of a log once they are old, and nothing else.

    loguru itself would delete any old file with a similar name: for a log `reminderd`, even `reminderd.db`.

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
    """Passes a record on to loguru, at its level and without query strings; the library's name is bound as `logger`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record into our log, even if its arguments are wrong."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a library's arguments may fail in any way, and must not be shown instead
            message = f"{record.msg} (could not be formatted)"
        cleaned = _QUERY.sub(r"\1", message.strip())
        logger.opt(exception=record.exc_info).bind(logger=record.name).log(_level(record), cleaned)


def _route_library_lines() -> None:
    """Send the standard library's logging, and warnings, only to our log.

    Records below INFO are dropped: at DEBUG, HTTP libraries log headers, and headers contain keys.
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
    if logging.INFO <= record.levelno <= _TALKATIVE.get(record.name.partition(".")[0], logging.NOTSET):
        return "DEBUG"
    return record.levelname if record.levelname in _SHARED_LEVELS else record.levelno
