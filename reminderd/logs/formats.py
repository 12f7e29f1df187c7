"""Format a line of the log: as text for a person, as JSON for a program, each also for systemd's journal."""

import json
import os
import re
import traceback
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from reminderd.core.masking import name_without_number, without_numbers
from reminderd.logs.terminal import on_one_line

if TYPE_CHECKING:
    from loguru import Record

_IDS: Final = ("reminder", "call", "attempt")
"""These come first; other bound values follow in their own order."""

# loguru never reads what it fills in as a template again, nor as colors.
_REST_OF_TEXT: Final = "<level>{shown[level]:<7}</level> {shown[message]}<dim>{shown[bound]}</dim>{shown[exception]}\n"
_TEXT: Final = "<dim>{shown[time]}</dim> " + _REST_OF_TEXT
_TEXT_IN_JOURNAL: Final = "{shown[priority]}" + _REST_OF_TEXT
_JSON: Final = "{shown}\n"

_PRIORITIES: Final = ((50, 2), (40, 3), (30, 4), (25, 5), (20, 6))
"""Loguru's level numbers, and syslog's priority from each upward: critical, error, warning, notice, info."""
_DEBUG_PRIORITY: Final = 7

_JOURNAL_STREAM: Final = re.compile(r"(\d+):(\d+)")


def is_journal(stream: TextIO) -> bool:
    """Return whether what is written here goes to the journal: systemd.exec(5), "JOURNAL_STREAM".

    The variable alone does not show it: it stays set where our output is redirected.
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
    """Return a format for loguru: time, level, message, bound values as key=value; below it a traceback behind bars."""
    return _filled_in(record, _TEXT, {"time": record["time"].isoformat(" ", "milliseconds"), **_parts(record, "")})


def as_text_in_journal(record: "Record") -> str:
    """Return the same for the journal: a priority before each line, the traceback's too, and no time."""
    priority = _priority(record)
    return _filled_in(record, _TEXT_IN_JOURNAL, {"priority": priority, **_parts(record, priority)})


def _parts(record: "Record", prefix: str) -> dict[str, str]:
    """Return what every text shows of a record; `prefix` begins each line of a traceback."""
    return {
        "level": record["level"].name,
        "message": on_one_line(without_numbers(record["message"])),
        "bound": "".join(f" {on_one_line(key)}={_word(value)}" for key, value in _bound(record).items()),
        "exception": "".join(f"\n{prefix}  | {on_one_line(line)}" for line in _exception(record).splitlines()),
    }


def as_json(record: "Record") -> str:
    """Return a format for loguru: an object a line, of time, level, message, bound values, and the exception if any."""
    return _filled_in(record, _JSON, _object(record, {"time": record["time"].isoformat("T", "milliseconds")}))


def as_json_in_journal(record: "Record") -> str:
    """Return the same for the journal: a priority before the object, and no time in it."""
    return _filled_in(record, _JSON, _priority(record) + _object(record, {}))


def _object(record: "Record", first: dict[str, str]) -> str:
    stable = {**first, "level": record["level"].name, "message": without_numbers(record["message"])}
    exception = _exception(record)
    if exception:
        stable["exception"] = exception
    bound = {key: str(value) if isinstance(value, float) else value for key, value in _bound(record).items()}
    # Stable twice: it gives the order, and it wins over what is bound under the same key. In ASCII, so that whatever
    # could fool a terminal is an escape.
    return json.dumps({**stable, **bound, **stable}).replace("\x7f", "\\u007f")


def _filled_in(record: "Record", template: str, shown: object) -> str:
    """Return the template, after putting what it shows into the record, from which loguru fills it in."""
    cast("dict[str, Any]", record)["shown"] = shown
    return template


def _bound(record: "Record") -> dict[str, object]:
    extra = record["extra"]
    ordered = [*(key for key in _IDS if key in extra), *(key for key in extra if key not in _IDS)]
    return {str(key): _shown(str(key), extra[key]) for key in ordered if extra[key] is not None}


def _shown(key: str, value: object) -> object:
    """Return a value as it may be seen: an id is what the admin looks for, so only one with a + is masked in it."""
    if isinstance(value, bool | int | float):
        return value
    return name_without_number(str(value)) if key in _IDS else without_numbers(str(value))


def _word(value: object) -> str:
    """Return a value without a space in it, or else in quotes."""
    text = str(value)
    return on_one_line(text if text and not set(text) & set(' "=') else json.dumps(text, ensure_ascii=False))


def _exception(record: "Record") -> str:
    """Return the traceback without the values of variables, phone numbers masked; empty if there is none."""
    exception = record["exception"]
    if exception is None or exception.value is None:
        return ""
    return without_numbers("".join(traceback.format_exception(exception.value))).rstrip()


def _priority(record: "Record") -> str:
    """Return what the journal wants before a line: sd-daemon(3)."""
    number = record["level"].no
    return f"<{next((priority for least, priority in _PRIORITIES if number >= least), _DEBUG_PRIORITY)}>"
