"""Import the rows of a table: read some, write them in one transaction, and continue with the next.

On SQLite, others can write while rows are read, and can't while rows are written. So nothing is read meanwhile: Python
would run a second thread in turn with the one that writes, and each transaction would last twice as long.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias
from uuid import uuid4

from attrs import define, field, frozen

from reminderd.clock import Clock, SystemClock
from reminderd.core.booking import (
    AppointmentCancellation,
    AppointmentRequest,
    appointment_content,
    decide_appointment,
    decide_appointment_cancellation,
)
from reminderd.core.imports import ImportStatus, counts_in_words
from reminderd.core.requests import ReminderRequest
from reminderd.core.rules import Rules
from reminderd.core.tables.csv_rows import CsvRow
from reminderd.core.tables.row_reader import RowRequest
from reminderd.core.upsert import (
    Decision,
    Intake,
    ReminderCancellation,
    content_of,
    decide_reminder,
    decide_reminder_cancellation,
)
from reminderd.imports.rejected import Rejected, Rejection
from reminderd.imports.table import Table
from reminderd.store import appointments, reminders
from reminderd.store.connection import Connection, snapshot, transaction
from reminderd.store.intake import Source
from reminderd.store.sqlite.driver import connect, translated

CHUNK: Final = 100
"""The rows of one transaction: enough to make its commit cheap, few enough not to delay the daemon."""

MOST_WARNINGS: Final = 20
"""How many warnings are shown one by one."""

ReadRow = Callable[[CsvRow], RowRequest | list[str]]
"""Returns what a row asks for, or everything that is wrong with it."""

SeenBefore = Callable[[Sequence[tuple[int, int, int]]], list[tuple[int, int]]]
"""Takes `(key, content, line)` of lines; returns, for each, the content and line of the first with the same key."""


@frozen
class Chunk:
    """The rows of one transaction."""

    last_line: int
    good: Sequence[tuple[CsvRow, RowRequest]]
    """Rows that can be carried out."""
    bad: Sequence[Rejection]
    repeated: int
    """How many rows have the same contents as an earlier row."""


Write = Callable[[Chunk], list[Decision]]
"""Writes the good rows of a chunk; returns the decision for each."""

_ByKind: TypeAlias = Mapping[type, Callable[[Sequence[Any]], list[Any]]]
"""The function that decides about rows of each kind."""


@define
class Tally:
    """Counts the results of the rows so far."""

    rejected: Rejected
    done: Counter[Intake] = field(factory=Counter)
    last_line: int = 1
    warnings: list[str] = field(factory=list)
    """The first warnings, each with its line."""
    more_warnings: int = 0

    def add(self, chunk: Chunk, decisions: Sequence[Decision]) -> None:
        """Count a chunk that was written, and write its rejected rows to their file."""
        refused = list(chunk.bad)
        for (row, _), decision in zip(chunk.good, decisions, strict=True):
            if decision.refused:
                refused.append(Rejection(row, [decision.reason]))
                continue
            self.done[decision.intake] += 1
            if decision.warnings:
                self._warn(row, decision.warnings)
        self.done[Intake.UNCHANGED] += chunk.repeated
        self.rejected.write(sorted(refused, key=lambda rejection: rejection.row.line))
        self.last_line = chunk.last_line

    def _warn(self, row: CsvRow, warnings: Sequence[str]) -> None:
        room = MOST_WARNINGS - len(self.warnings)
        self.warnings += [f"{self.rejected.table.unit} {row.line}: warning: {warning}" for warning in warnings[:room]]
        self.more_warnings += len(warnings[room:])

    def __str__(self) -> str:
        return counts_in_words(self.done, self.rejected.lines)


ShowProgress = Callable[[Tally, bool], None]
"""Takes the counts so far, and whether the import has ended."""


def import_rows(
    table: Table, read: ReadRow, write: Write, tally: Tally, show: ShowProgress, is_stopped: Callable[[], bool]
) -> ImportStatus:
    """Import every row; if `is_stopped`, finish the chunk that was begun, and begin no other.

    Returns:
        Done or interrupted.
    """
    rows = table.rows()
    some = list(islice(rows, CHUNK))
    with _earlier_rows() as seen_before:
        while some:
            chunk = _chunk_of(some, read, seen_before, table.unit)
            if is_stopped():
                return ImportStatus.INTERRUPTED
            tally.add(chunk, write(chunk))
            some = list(islice(rows, CHUNK))
            show(tally, not some)
    return ImportStatus.DONE


def _chunk_of(some: Sequence[CsvRow], read: ReadRow, seen_before: SeenBefore, unit: str) -> Chunk:
    """Read some rows: those that can be carried out, without repetitions, and those that can't."""
    readable: list[tuple[CsvRow, RowRequest]] = []
    bad: list[Rejection] = []
    for row in some:
        asked = read(row)
        if isinstance(asked, list):
            bad.append(Rejection(row, asked))
        else:
            readable.append((row, asked))
    keys = [_key_and_content(asked) for _, asked in readable]
    firsts = seen_before([(*key, row.line) for key, (row, _) in zip(keys, readable, strict=True)])
    good, repeated = [], 0
    for (row, asked), (_, content), (first, line) in zip(readable, keys, firsts, strict=True):
        if line == row.line:
            good.append((row, asked))
        elif first == content:
            repeated += 1
        else:
            bad.append(Rejection(row, [_why_second(asked, f"{unit} {line}")]))
    return Chunk(some[-1].line, good, bad, repeated)


def _key_and_content(asked: RowRequest) -> tuple[int, int]:
    """Return a key and a content for a row: two rows with the same key are about the same reminder or appointment."""
    if isinstance(asked, ReminderCancellation | AppointmentCancellation):
        return hash(asked.name), hash(Intake.CANCELLED)
    if isinstance(asked, AppointmentRequest):
        return hash(asked.own_id if asked.ref is None else asked.ref), hash(appointment_content(asked))
    return hash(asked.own_id if asked.ref is None else asked.ref), hash(content_of(asked))


def _why_second(asked: RowRequest, first: str) -> str:
    unit = first.partition(" ")[0]
    if asked.ref is None and isinstance(asked, AppointmentRequest | AppointmentCancellation):
        return f"ref: none, and {first} has the same patient, number and time; expected a ref for each appointment"
    if asked.ref is None:
        what = f"same as on {first} except for its expiry, time zone, language or status"
        return f"message: {what}; expected one {unit} for a reminder"
    return f"ref: {first} has the same ref and other contents; expected one {unit} for a ref"


@contextmanager
def _earlier_rows() -> Iterator[SeenBefore]:
    """Remember the key and the content of every row, as two numbers, in a file without a name.

    In memory, this would grow with the table.

    Raises:
        StoreUnavailableError: There is no room for temporary files.
    """
    with translated(), TemporaryDirectory(prefix="reminderd-") as folder:
        # SQLite may keep its own temporary databases in memory, whatever its settings.
        connection = connect(Path(folder) / "earlier.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("CREATE TABLE earlier (key INTEGER PRIMARY KEY, content INTEGER, line INTEGER)")
        connection.execute("BEGIN")  # never committed: nothing needs to be kept

    def seen_before(lines: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
        with translated():
            cursor = connection.executemany("INSERT OR IGNORE INTO earlier VALUES (?, ?, ?)", lines)
            if cursor.rowcount == len(lines):
                return [(content, line) for _, content, line in lines]
            statement = "SELECT content, line FROM earlier WHERE key = ?"
            found = [connection.execute(statement, (key,)).fetchone() for key, _, _ in lines]
            return [(content, line) for content, line in found]

    # The file no longer has a name: nothing is left behind, however the program ends.
    with closing(connection):
        yield seen_before


def chunk_writer(connection: Connection, *, rules: Rules, source: Source, clock: Clock) -> Write:
    """Return a function that writes chunks into the database, each change with its audit line."""
    connection.make_room()
    fixed = partial(put_and_cancel, rules=rules, mint=lambda: str(uuid4()), source=source)

    def write(chunk: Chunk) -> list[Decision]:
        asked = [asked for _, asked in chunk.good]
        return transaction(connection, partial(fixed, asked=asked), clock.now()) if asked else []

    return write


def put_and_cancel(
    connection: Connection,
    now: datetime,
    *,
    asked: Sequence[RowRequest],
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
) -> list[Decision]:
    """Write what some rows ask for; return the decision for each. See `reminders.put` for the arguments."""
    put = partial(reminders.put, connection, now, rules=rules, mint=mint, source=source)
    book = partial(appointments.put_appointments, connection, now, rules=rules, mint=mint, source=source)
    cancel = partial(reminders.put_cancellations, connection, now, rules=rules, source=source)
    cancel_booked = partial(appointments.put_appointment_cancellations, connection, now, rules=rules, source=source)
    return _in_order(
        asked,
        {
            ReminderRequest: lambda some: put(requests=some),
            ReminderCancellation: lambda some: cancel(asked=some),
            AppointmentRequest: lambda some: book(requests=some),
            AppointmentCancellation: lambda some: cancel_booked(asked=some),
        },
    )


def chunk_comparer(connection: Connection | None, *, rules: Rules, source: Source) -> Write:
    """Return a function that only compares chunks with the database; None means that there is no database yet."""
    now = SystemClock().now()
    alone: Mapping[type, Callable[..., Decision]] = {
        ReminderRequest: partial(decide_reminder, existing=None, rules=rules, now=now, opted_out=False),
        ReminderCancellation: partial(decide_reminder_cancellation, existing=None),
        AppointmentRequest: partial(
            decide_appointment, existing=None, rules=rules, now=now, opted_out=False, cancels_as=source.cancels_as
        ),
        AppointmentCancellation: partial(decide_appointment_cancellation, existing=None),
    }

    def compare(chunk: Chunk) -> list[Decision]:
        asked = [asked for _, asked in chunk.good]
        if connection is None:
            return [alone[type(one)](one) for one in asked]
        decided = snapshot(connection, lambda opened: _in_order(asked, _with_what_is_stored(opened, rules, source)))
        return [decision for _, decision in decided]

    return compare


def _with_what_is_stored(connection: Connection, rules: Rules, source: Source) -> _ByKind:
    """Return the functions that decide about rows; each returns pairs of what is stored and the decision."""
    now = SystemClock().now()
    put = partial(reminders.decisions, connection, now, rules=rules)
    book = partial(appointments.appointment_decisions, connection, now, rules=rules, source=source)
    return {
        ReminderRequest: lambda some: put(requests=some),
        ReminderCancellation: partial(reminders.cancellations, connection),
        AppointmentRequest: lambda some: book(requests=some),
        AppointmentCancellation: partial(appointments.appointment_cancellations, connection),
    }


def _in_order(asked: Sequence[RowRequest], by_kind: _ByKind) -> list[Any]:
    """Decide about all rows of a kind at once, and return the decisions in the order of the rows."""
    decided = {kind: iter(of_kind([one for one in asked if type(one) is kind])) for kind, of_kind in by_kind.items()}
    return [next(decided[type(one)]) for one in asked]
