"""How a line of the log looks: text for a person who follows it, JSON for a program."""

import json
import traceback
from typing import TYPE_CHECKING, Any, Final, cast

from reminderd.core.masking import name_without_number, without_numbers
from reminderd.logs.cleaning import on_one_line
from reminderd.logs.journal import priority

if TYPE_CHECKING:
    from loguru import Record

_IDS: Final = ("reminder", "call", "attempt")
"""These come first; whatever else is bound follows in its own order."""

# loguru never reads what it fills in as a template again, nor as colours.
_REST_OF_TEXT: Final = "<level>{shown[level]:<7}</level> {shown[message]}<dim>{shown[bound]}</dim>{shown[exception]}\n"
_TEXT: Final = "<dim>{shown[time]}</dim> " + _REST_OF_TEXT
_TEXT_IN_JOURNAL: Final = "{shown[priority]}" + _REST_OF_TEXT
_JSON: Final = "{shown}\n"


def as_text(record: "Record") -> str:
    """A format for loguru: time, level, message, what is bound as key=value; below it a traceback, set off by bars."""
    return _filled_in(record, _TEXT, {"time": record["time"].isoformat(" ", "milliseconds"), **_parts(record, "")})


def as_text_in_journal(record: "Record") -> str:
    """The same for the journal: a priority before each line, the traceback's too, and no time."""
    front = priority(record)
    return _filled_in(record, _TEXT_IN_JOURNAL, {"priority": front, **_parts(record, front)})


def _parts(record: "Record", front: str) -> dict[str, str]:
    """What every text shows of a record; `front` begins each line of a traceback."""
    return {
        "level": record["level"].name,
        "message": on_one_line(without_numbers(record["message"])),
        "bound": "".join(f" {on_one_line(key)}={_word(value)}" for key, value in _bound(record).items()),
        "exception": "".join(f"\n{front}  | {on_one_line(line)}" for line in _exception(record).splitlines()),
    }


def as_json(record: "Record") -> str:
    """A format for loguru: an object a line, of time, level, message, what is bound, and the exception if any."""
    return _filled_in(record, _JSON, _object(record, {"time": record["time"].isoformat("T", "milliseconds")}))


def as_json_in_journal(record: "Record") -> str:
    """The same for the journal: a priority before the object, and no time in it."""
    return _filled_in(record, _JSON, priority(record) + _object(record, {}))


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
    """The template, with what it shows put into the record, from which loguru fills it."""
    cast("dict[str, Any]", record)["shown"] = shown
    return template


def _bound(record: "Record") -> dict[str, object]:
    extra = record["extra"]
    ordered = [*(key for key in _IDS if key in extra), *(key for key in extra if key not in _IDS)]
    return {str(key): _shown(str(key), extra[key]) for key in ordered if extra[key] is not None}


def _shown(key: str, value: object) -> object:
    """A value as it may be seen: an id is what the admin looks for, so of an id only a phone number is masked."""
    if isinstance(value, bool | int | float):
        return value
    return name_without_number(str(value)) if key in _IDS else without_numbers(str(value))


def _word(value: object) -> str:
    """A value that ends where the next space is, or else in quotes."""
    text = str(value)
    return on_one_line(text if text and not set(text) & set(' "=') else json.dumps(text, ensure_ascii=False))


def _exception(record: "Record") -> str:
    """The traceback without the values of variables, phone numbers masked; empty if there is none."""
    exception = record["exception"]
    if exception is None or exception.value is None:
        return ""
    return without_numbers("".join(traceback.format_exception(exception.value))).rstrip()
