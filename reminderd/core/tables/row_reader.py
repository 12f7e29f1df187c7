"""Read what a row of a table asks for; check that its status is the appointment's, and that there is only one table."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from reminderd.core.booking import (
    AppointmentCancellation,
    AppointmentRequest,
    AppointmentText,
    read_appointment,
)
from reminderd.core.imports import FileRefusedError
from reminderd.core.phone import may_be_incomplete
from reminderd.core.requests import Reading, ReminderRequest, RequestText, normal_name, read_request
from reminderd.core.tables.columns import Columns, ColumnsError
from reminderd.core.tables.csv_rows import CsvRow
from reminderd.core.tables.words import UNKNOWN_STATUS, RowStatus, is_header, normal_header, role_of
from reminderd.core.upsert import ReminderCancellation


def check_status(header: Sequence[str], columns: Columns, rows: Iterable[CsvRow], unit: str) -> None:
    """Check that a column with the header `status` is the status of the appointment: each word in it must be known.

    Otherwise it may be the status of the patient, of an insurance or of a bill.

    Raises:
        ColumnsError: the column may be something else.
    """
    if columns.is_status_sure or columns.words or "status" not in columns.places:
        return
    for row in rows:
        if row.mistake is None and columns.row_status(row.cells) is None:
            name = header[columns.places["status"][0]].strip()
            what = f'status: "{name}" may be the status of the appointment or of something else'
            why = f"{unit} {row.line} has an unknown word"
            expected = f'expected --map status="{name}" if it is the appointment\'s, or --map status= to ignore it'
            raise ColumnsError([f"{what}: {why}; {expected}"])


_VALUE: Final = re.compile(r"(?:\d\D*){3}")
"""Digits of a phone number or a time; a header has fewer, like "Phone 2"."""
_NEEDED: Final = ("phone_number", "scheduled_at", "appointment_at")


def of_one_table(
    header: Sequence[str], columns: Columns, rows: Iterable[CsvRow], unit: str, *, also: frozenset[str] = frozenset()
) -> Iterator[CsvRow]:
    """Yield every row, and check that none is the header of another table, whose cells would be under wrong headers.

    `also` has more headers, see `is_header`.

    Raises:
        FileRefusedError: there is another table below the first.
    """
    names = [normal_header(name) for name in header if name.strip()]
    places = [place for field in _NEEDED for place in columns.places.get(field, ())]
    for row in rows:
        if row.mistake is None and _VALUE.search(columns.text("phone_number", row.cells)) is None:
            words = [row.cells[place] for place in places if place < len(row.cells)]
            has_value = any(map(_VALUE.search, words))
            is_named = any(role_of(word) is not None or normal_header(word) in also for word in words)
            other = [normal_header(cell) for cell in row.cells if cell.strip()]
            if is_named and not has_value and other != names and is_header(row.cells, also=also):
                what = f"{unit} {row.line} is a header with other columns"
                raise FileRefusedError(f"{what}; expected one table in a file")
        yield row


RowRequest: TypeAlias = ReminderRequest | ReminderCancellation | AppointmentRequest | AppointmentCancellation
"""What a row asks for."""

_HEADERS: Final = {"at": "appointment_at", "type": "appointment_type"}
"""The fields of an appointment that have another name in a table."""

CUT: Final = "line end"
"""The beginning of the mistake in a row that may be cut off."""

_CUT: Final = (
    f"{CUT}: the file ends without one, so this row may be cut off; expected one after the last line, or"
    " last_line_end = false in the profile of a program that never writes it"
)


def read_row(row: CsvRow, columns: Columns, *, width: int, reading: Reading) -> RowRequest | list[str]:
    """Return the reminder or appointment that a row adds or cancels, or all mistakes in the row.

    Empty cells count as missing.
    """
    if row.mistake is not None:
        return [row.mistake]
    asked = _read(row.cells, columns, width=width, reading=reading)
    if row.whole_cells is None or not any(_fields_cut(row.cells, row.whole_cells, columns, reading)):
        return asked
    return [*(asked if isinstance(asked, list) else ()), _CUT]


def _fields_cut(cells: Sequence[str], whole: int, columns: Columns, reading: Reading) -> Iterator[str]:
    """Yield the fields of a row that may be cut off, or missing because the row is cut off before them."""
    for field, places in columns.places.items():
        if field != "phone_number":
            if any(place >= whole for place in places):
                yield field
        elif columns.phone_place(cells) >= whole:
            number = _number_in(columns.text(field, cells), reading)
            if number is None or may_be_incomplete(number):
                yield field


def _read(cells: Sequence[str], columns: Columns, *, width: int, reading: Reading) -> RowRequest | list[str]:
    if len(cells) > width and any(cells[width:]):
        return [f"cells: more than the header has; expected {width}, and quotes around a delimiter inside a cell"]

    read = (_appointment if columns.are_appointments else _reminder)(cells, columns, reading)
    standing = columns.row_status(cells)
    if standing is None:
        return [*(read if isinstance(read, list) else ()), UNKNOWN_STATUS]
    if standing is RowStatus.STANDS:
        return read
    if isinstance(read, ReminderRequest):
        return ReminderCancellation(ref=read.ref, request=read, phone_number=read.phone_number)
    if isinstance(read, AppointmentRequest):
        return AppointmentCancellation(ref=read.ref, request=read, phone_number=read.phone_number)
    phone, ref = columns.text("phone_number", cells), columns.text("ref", cells).strip()
    number = _number_in(phone, reading)
    is_unread = number is None and any(map(str.isdigit, phone))
    is_named = bool(ref) and not any(mistake.startswith("ref:") for mistake in read)
    # Another patient's row may have this `ref`, so a row whose number can't be read cancels nothing.
    if not is_named or is_unread:
        return read
    cancellation_of = AppointmentCancellation if columns.are_appointments else ReminderCancellation
    return cancellation_of(ref=normal_name(ref), phone_number=number)


_OF_BOTH: Final = ("ref", "timezone", "language", "name", "provider", "place")
"""The fields that both reminders and appointments have."""


def _texts(fields: Sequence[str], cells: Sequence[str], columns: Columns) -> dict[str, str | None]:
    return {field: columns.text(field, cells).strip() or None for field in fields}


def _appointment(cells: Sequence[str], columns: Columns, reading: Reading) -> AppointmentRequest | list[str]:
    texts = _texts((*_OF_BOTH, "patient_ref", "template"), cells, columns)
    kind = columns.text("appointment_type", cells).strip() or None
    planning = reading.planning
    type_has_its_own = planning.of(kind).template not in {"", planning.default.template}
    if texts["template"] is None and not type_has_its_own:
        texts["template"] = columns.template
    phone, at = columns.text("phone_number", cells), columns.text("appointment_at", cells)
    read = read_appointment(AppointmentText(phone_number=phone, at=at, type=kind, **texts), reading)
    return [_under_its_header(mistake) for mistake in read] if isinstance(read, list) else read


def _under_its_header(mistake: str) -> str:
    field, colon, what = mistake.partition(":")
    return f"{_HEADERS.get(field, field)}{colon}{what}"


def _reminder(cells: Sequence[str], columns: Columns, reading: Reading) -> ReminderRequest | list[str]:
    texts = _texts((*_OF_BOTH, "expires_at", "appointment_at", "template"), cells, columns)
    message: str | None = columns.text("message", cells)
    if not (message or "").strip():
        texts["template"] = texts["template"] or columns.template
        message = None if texts["template"] is not None else message
    phone, at = columns.text("phone_number", cells), columns.text("scheduled_at", cells)
    return read_request(RequestText(phone_number=phone, message=message, scheduled_at=at, **texts), reading)


def _number_in(text: str, reading: Reading) -> str | None:
    try:
        return reading.normalize(text)
    except ValueError:
        return None
