"""Check what an uploaded file would do; later import it, if that is still what was shown.

All of this runs on a worker thread, on a connection of its own.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

from attrs import frozen

from reminderd.core.imports import Forecast, ImportStatus, UnreadableError, Waiting
from reminderd.core.tables.columns import ColumnsError
from reminderd.core.tables.row_reader import Asked
from reminderd.core.upsert import Intake
from reminderd.databases import Target
from reminderd.imports.loop import Tally
from reminderd.imports.one_file import FileImport, FileRefusal, ImportResult, OpenImport, refusal_of
from reminderd.store.connection import Connection
from reminderd.store.opening import open_sync, open_to_look

_FIRST: Final = 5
"""Rows that are shown as they are read."""
MOST_SHOWN: Final = 20
"""Rejected rows, and appointments that would be cancelled, that are shown; the file of rejected lines has all."""

Show: TypeAlias = Callable[[float, Tally | None], None]
"""Takes the share of the file that is done, and the counts so far; None: nothing of it is imported yet."""


@frozen
class RejectedRow:
    """A row that is rejected, for people."""

    line: str
    reason: str


@frozen(kw_only=True)
class Done:
    """What became of the rows of a file, or would."""

    status: ImportStatus
    unit: str
    """What a row is called."""
    counts: Mapping[Intake, int]
    rejected: int
    first_rejected: Sequence[RejectedRow]
    warnings: Sequence[str]
    more_warnings: int
    why_nothing_cancelled: str | None


@frozen(kw_only=True)
class Checked:
    """What an import of a file would do."""

    found: Sequence[str]
    """How the file is understood."""
    columns: Sequence[tuple[str, str]]
    """Each field with the headers it is read from."""
    ignored: Sequence[str]
    numbers_from: Sequence[tuple[str, int]]
    """How many rows have their number from which column, if more than one has numbers."""
    first_rows: Sequence[tuple[int, Asked | Sequence[str]]]
    would: Done
    missing: Sequence[Waiting]
    """What it lacks, and would cancel."""

    @property
    def forecast(self) -> Forecast:
        """Return what the import must not exceed."""
        missing = frozenset(one.id for one in self.missing)
        return Forecast(done=self.would.counts, rejected=self.would.rejected, missing=missing)


def digest_of(file: Path) -> str:
    """Return what tells the content of a file from any other."""
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()


def check(one: FileImport, database: Target, show: Show, is_stopped: Callable[[], bool]) -> Checked | FileRefusal:
    """Return what an import would do, or why the file is refused as a whole; write nothing into the database.

    Raises:
        OSError: The file of rejected lines can't be written.
        StoreUnavailableError: The database can't be read now.
    """
    try:
        with one.opened() as opened, open_to_look(database) as connection:
            return _checked(opened, connection, show, is_stopped)
    except (UnreadableError, ColumnsError) as error:
        return refusal_of(error)


def take(
    one: FileImport, database: Target, shown: Checked, show: Show, is_stopped: Callable[[], bool]
) -> Done | Checked | FileRefusal:
    """Import a file that was checked; if it would now do more than was shown, write nothing, and return that instead.

    Raises:
        OSError: The file of rejected lines can't be written.
        StoreUnavailableError: The database can't be written now.
    """
    with open_sync(database) as connection:
        try:
            with one.opened() as opened:
                now = _checked(opened, connection, lambda share, _tally: show(share / 2, None), is_stopped)
                if now.would.status is ImportStatus.INTERRUPTED:
                    return _nothing_done(now.would)
                if shown.forecast.is_exceeded_by(now.forecast):
                    return now
                result = opened.write(
                    connection,
                    now.missing,
                    lambda tally, _is_end: show(0.5 + _share(opened) / 2, tally),
                    is_stopped,
                )
                return _done(opened, result)
        except (UnreadableError, ColumnsError) as error:
            refusal = refusal_of(error)
        one.refused(connection, refusal)
    return refusal


def _checked(opened: OpenImport, connection: Connection, show: Show, is_stopped: Callable[[], bool]) -> Checked:
    missing = opened.missing(connection)
    table, columns = opened.table, opened.columns
    first = [
        (row.line, [row.mistake] if row.mistake is not None else opened.read(row))
        for row in islice(table.rows(), _FIRST)
    ]
    result = opened.compare(connection, missing, lambda tally, _is_end: show(_share(opened), tally), is_stopped)
    read_from = [(name, [table.header[place].strip() for place in places]) for name, places in columns.places.items()]
    return Checked(
        found=table.found,
        # A format with our own names says nothing.
        columns=[(name, ", ".join(headers)) for name, headers in read_from if headers != [name]],
        ignored=[name.strip() for name in columns.ignored if name.strip()],
        numbers_from=[(table.header[place].strip(), rows) for place, rows in sorted(result.numbers_from.items())],
        first_rows=first,
        would=_done(opened, result),
        missing=missing,
    )


def _nothing_done(would: Done) -> Done:
    """Return that an import was stopped before it has begun."""
    return Done(
        status=ImportStatus.INTERRUPTED,
        unit=would.unit,
        counts={},
        rejected=0,
        first_rejected=(),
        warnings=(),
        more_warnings=0,
        why_nothing_cancelled=None,
    )


def _share(opened: OpenImport) -> float:
    return min(1.0, opened.table.position() / max(1, opened.table.size))


def _done(opened: OpenImport, result: ImportResult) -> Done:
    tally = result.tally
    return Done(
        status=result.status,
        unit=opened.table.unit,
        counts=dict(tally.done),
        rejected=tally.rejected.lines,
        first_rejected=_first_rejected(opened) if tally.rejected.lines else [],
        warnings=tally.warnings,
        more_warnings=tally.more_warnings,
        why_nothing_cancelled=result.why_nothing_cancelled,
    )


def _first_rejected(opened: OpenImport) -> list[RejectedRow]:
    with opened.one.rejected.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=opened.table.delimiter)
        return [RejectedRow(row[0], row[1]) for row in islice(rows, 1, MOST_SHOWN + 1)]
