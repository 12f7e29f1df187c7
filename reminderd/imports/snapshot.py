"""Read a file that has all appointments of some days, and cancel what came from such files and is no longer in it."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from functools import partial
from hashlib import sha256
from time import sleep
from typing import Final
from zoneinfo import ZoneInfo

from attrs import frozen

from reminderd.clock import Clock
from reminderd.core.booking import AppointmentCancellation, AppointmentRequest
from reminderd.core.imports import MOST_CANCELLED, FileRefusedError, WaitingEntry, missing_from
from reminderd.core.requests import ReminderRequest, normal_name
from reminderd.core.rules import Rules
from reminderd.core.tables.columns import Columns
from reminderd.core.tables.csv_rows import CsvRow
from reminderd.core.tables.row_reader import CUT
from reminderd.core.upsert import ReminderCancellation
from reminderd.imports.loop import ReadRow
from reminderd.imports.table import MESSAGE_UNIT, SPREADSHEET_UNIT, Table
from reminderd.store.appointments import appointments_between, cancel_appointment
from reminderd.store.connection import Connection, snapshot, transaction
from reminderd.store.intake import Source
from reminderd.store.reminders import cancel, waiting_between

_AT_ONCE: Final = 50
"""How many appointments or reminders one transaction cancels …"""
_PAUSE: Final = 0.01
"""… and the seconds after it in which others can write."""

_NO_REF: Final = ("ref:", "cells:", CUT)


@frozen(kw_only=True)
class Coverage:
    """The days that a snapshot covers."""

    start: datetime | None = None
    """The first moment; None for the beginning of the day of its first row."""
    end: datetime | None = None
    """The first moment after its span; None for `days` after its start."""
    days: int = 0
    most: float = MOST_CANCELLED
    """The share of the stored appointments that it may leave out."""
    even_if_older: bool = False
    """Whether it is imported even after a newer snapshot."""


@frozen(kw_only=True)
class Snapshot:
    """The names in a snapshot, and the span that it covers."""

    names: frozenset[str]
    """The names that it contains, see `missing_from`."""
    nameless: int | None
    """The first row that is rejected and has no readable `ref`, or may be cut off before other rows.

    It may mean any appointment. None if there is no such row.
    """
    are_appointments: bool
    """Whether it contains appointments, and not reminders."""
    start: datetime
    end: datetime
    certain_until: datetime
    """From here on, nothing missing is cancelled: the file may be cut off, or its first days may have been free."""
    most: float
    digest: str
    """The digest of its rows."""

    def missing(self, connection: Connection, profile: str, now: datetime) -> list[WaitingEntry]:
        """Return what is stored for the future and not in the file; nothing if a rejected row may mean any of it.

        Raises:
            FileRefusedError: So much is missing that the file is probably cut off.
        """
        if self.nameless is not None:
            return []
        stored = snapshot(connection, partial(self._waiting, profile=profile, now=now))
        return [one for one in missing_from(stored, self.names, self.most) if one.at < self.certain_until]

    def cancel(
        self, connection: Connection, missing: Sequence[WaitingEntry], *, rules: Rules, source: Source, clock: Clock
    ) -> int:
        """Cancel what is missing and still waits, a part in each transaction; return how many were cancelled."""
        cancelled = 0
        for at in range(0, len(missing), _AT_ONCE):
            some = partial(self._cancel, some=missing[at : at + _AT_ONCE], rules=rules, source=source)
            cancelled += transaction(connection, some, clock.now())
            sleep(_PAUSE)
        return cancelled

    def _waiting(
        self, connection: Connection, profile: str, now: datetime, *, among: Sequence[str] | None = None
    ) -> list[WaitingEntry]:
        start = max(self.start, now)
        if not self.are_appointments:
            return waiting_between(connection, profile, start, self.end, among=among)
        found = appointments_between(connection, profile, start, self.end, among=among)
        return [WaitingEntry(id=one.id, name=one.ref or one.id, at=one.at) for one in found]

    def _cancel(
        self, connection: Connection, now: datetime, *, some: Sequence[WaitingEntry], rules: Rules, source: Source
    ) -> int:
        still = self._waiting(connection, source.profile or "", now, among=[one.id for one in some])
        for one in still:
            if self.are_appointments:
                cancel_appointment(connection, now, appointment_id=one.id, rules=rules, source=source)
            else:
                cancel(connection, now, reminder_id=one.id, rules=rules, source=source)
        return len(still)


def snapshot_of(
    table: Table, columns: Columns, read: ReadRow, coverage: Coverage, *, zone: ZoneInfo, now: datetime
) -> Snapshot:
    """Read a table once, to know its names; a rejected row counts, too, for the appointment that it names.

    Raises:
        FileRefusedError: The file contains only changes.
    """
    if table.unit == MESSAGE_UNIT:
        raise FileRefusedError("its messages contain only changes; expected all appointments, as it is a snapshot")
    names: set[str] = set()
    nameless: int | None = None
    moments: list[datetime] = []
    digest = sha256(repr(list(table.header)).encode())
    for row in table.rows():
        digest.update(repr(row.cells).encode())
        asked = read(row)
        if row.whole_cells is not None:
            nameless = nameless or row.line
        if isinstance(asked, AppointmentRequest):
            names.add(asked.ref or asked.own_id)
            moments.append(asked.at)
        elif isinstance(asked, ReminderRequest):
            names.add(asked.ref or asked.own_id)
            moments.append(asked.scheduled_at)
        elif isinstance(asked, AppointmentCancellation | ReminderCancellation):
            names.add(asked.name)
        elif ref := _ref_of(row, columns, asked, table.unit):
            names.add(ref)
        else:
            nameless = nameless or row.line
    ends = (min(moments), max(moments)) if moments else (now, now)
    first_day, last_day = (datetime.combine(one.astimezone(zone).date(), time.min, tzinfo=zone) for one in ends)
    start = coverage.start or first_day
    end = coverage.end or start + timedelta(days=coverage.days)
    after_last = last_day + timedelta(days=1 if moments else 0)
    return Snapshot(
        names=frozenset(names),
        nameless=nameless,
        are_appointments=columns.are_appointments,
        start=start,
        end=end,
        certain_until=coverage.end or after_last,
        most=coverage.most,
        digest=digest.hexdigest(),
    )


def _ref_of(row: CsvRow, columns: Columns, mistakes: object, unit: str) -> str:
    """Return the `ref` of a rejected row; empty if it has none that is certain.

    In a line that can't be split, or has more cells than the header, a cell may belong to another header. A cell that
    may be cut off is not certain either.
    """
    found = mistakes if isinstance(mistakes, list) else []
    if (row.mistake is not None and unit == SPREADSHEET_UNIT) or any(one.startswith(_NO_REF) for one in found):
        return ""
    return normal_name(columns.text("ref", row.cells))
