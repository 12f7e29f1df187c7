"""Import one file: open it, check it as a whole, plan its changes, write them, and record the outcome.

The command, the folder and the page import in this way. They differ in where the file is, and in how they show it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from attrs import evolve, field, frozen

from reminderd.clock import Clock
from reminderd.config import Config, rules_of
from reminderd.core.booking import AppointmentRequest
from reminderd.core.imports import FileRefusedError, ImportStatus, SnapshotMark, WaitingEntry, check_newer
from reminderd.core.masking import mask_numbers
from reminderd.core.reasons import EndCode
from reminderd.core.requests import ReminderRequest
from reminderd.core.tables.columns import Columns, ColumnsError
from reminderd.core.tables.csv_rows import CsvRow
from reminderd.core.tables.row_reader import RowRequest
from reminderd.core.upsert import Intake
from reminderd.imports.formats import Profile, open_table
from reminderd.imports.loop import ReadRow, ShowProgress, Tally, chunk_comparer, chunk_writer, import_rows
from reminderd.imports.rejected import rejected_lines
from reminderd.imports.snapshot import Coverage, Snapshot, snapshot_of
from reminderd.imports.table import STDIN, Table
from reminderd.store.connection import Connection, transaction
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.import_records import begin_import, end_import, note_headers, snapshots_before
from reminderd.store.intake import Source


@frozen(kw_only=True)
class FileImport:
    """A file that somebody imports, and how it is read."""

    file: Path
    """`-` is standard input."""
    name: str
    """Its name in the record."""
    profile: Profile
    coverage: Coverage | None
    """The days of which it has all appointments; None if it is no snapshot."""
    dated_at: datetime | None = None
    """When it was written, in case it does not contain when it was made; None if unknown."""
    rejected: Path
    """The file for its rejected lines."""
    never: Mapping[Path, str] = field(factory=dict)
    """Files in use, which rejected lines must not replace; each with a description."""
    actor: str
    config: Config
    clock: Clock

    @contextmanager
    def opened(self, found: Callable[[Table, Columns], None] = lambda _table, _columns: None) -> Iterator["OpenImport"]:
        """Open the file and check it as a whole.

        Args:
            found: called to show how the file is understood, before its rows are checked.

        Raises:
            FileRefusedError: It can't be read as a whole.
            ColumnsError: Its fields are not found.
            OSError: It can't be read at all.
        """
        profile = self.profile
        with open_table(self.file, profile.headers, profile.encoding, form=profile.form) as whole:
            table = whole if profile.last_line_end else _never_cut(whole)
            columns = profile.columns_of(table)
            found(table, columns)
            read = profile.reader_of(table, columns)
            snapshot = None
            if self.coverage is not None:
                zone, now = self.config.calling.zone, self.clock.now()
                snapshot = snapshot_of(table, columns, read, self.coverage, zone=zone, now=now)
            yield OpenImport(one=self, table=table, columns=columns, read=read, snapshot=snapshot)

    @property
    def source(self) -> Source:
        """Return who imports it, for the audit. A later file can book again what one file has cancelled."""
        return Source(
            actor=self.actor,
            detail=f"import of {mask_numbers(self.name)}",
            profile=self.profile.name,
            cancels_as=EndCode.APPOINTMENT_CANCELLED,
        )

    def refused(self, connection: Connection, refusal: "FileRefusal") -> None:
        """Record that the file was refused as a whole."""

        def record(connection: Connection, now: datetime) -> None:
            import_id = begin_import(connection, now, file=self.name, profile=self.profile.name, actor=self.actor)
            status, reason = ImportStatus.REFUSED, mask_numbers(refusal.reason)
            end_import(connection, now, import_id=import_id, status=status, done={}, rejected=0, reason=reason)

        transaction(connection, record, self.clock.now())


@frozen(kw_only=True)
class FileRefusal:
    """Why a file is refused as a whole."""

    mistakes: Sequence[str]
    """Each with what was expected. Only for the person who imports the file, as mistakes may contain its cells."""
    reason: str
    """The same in one line, without cells of the file."""


def refusal_of(error: FileRefusedError | ColumnsError) -> FileRefusal:
    """Return what is wrong with a file."""
    if isinstance(error, ColumnsError):
        # The last mistake lists all headers: in a file without a header, these are a patient's cells.
        return FileRefusal(mistakes=error.mistakes, reason="; ".join(error.mistakes[:-1]) or error.mistakes[0])
    return FileRefusal(mistakes=[str(error)], reason=str(error))


@frozen(kw_only=True)
class ImportResult:
    """The result of an import of a file, or of its dry run."""

    status: ImportStatus
    """Done or interrupted."""
    tally: Tally
    missing: Sequence[WaitingEntry]
    """What the file lacks, if it is a snapshot."""
    numbers_from: Mapping[int, int]
    """How many rows have their number from each column, if several columns have numbers."""
    why_nothing_cancelled: str | None
    """Why a snapshot cancels nothing; None if it does, or the file is none."""


@frozen(kw_only=True)
class OpenImport:
    """A file that is open and understood."""

    one: FileImport
    table: Table
    columns: Columns
    read: ReadRow
    snapshot: Snapshot | None

    def missing(self, connection: Connection | None) -> Sequence[WaitingEntry]:
        """Return what the file lacks, if it is a snapshot; without a database, `connection` is None.

        Raises:
            FileRefusedError: So much is missing that the file is probably cut off; or it is an old file.
        """
        if self.snapshot is None or self.one.profile.name is None or connection is None:
            return ()
        self._check_newer(connection, self.one.profile.name)
        return self.snapshot.missing(connection, self.one.profile.name, self.one.clock.now())

    def compare(
        self,
        connection: Connection | None,
        missing: Sequence[WaitingEntry],
        show: ShowProgress,
        is_stopped: Callable[[], bool],
    ) -> ImportResult:
        """Return what an import would do, and change nothing but the file of rejected lines.

        Raises:
            OSError: The file can't be read, or the rejected lines can't be written.
            StoreUnavailableError: The database can't be read now.
        """
        write = chunk_comparer(connection, rules=rules_of(self.one.config), source=self.one.source)
        numbers_from = Counter[int]()
        with self._tally() as tally:
            status = import_rows(self.table, self._counting(numbers_from), write, tally, show, is_stopped)
            if status is ImportStatus.DONE:
                tally.done[Intake.CANCELLED] += len(missing)
        return self._result(status, tally, missing, numbers_from)

    def write(
        self,
        connection: Connection,
        missing: Sequence[WaitingEntry],
        show: ShowProgress,
        is_stopped: Callable[[], bool],
        is_same: Callable[[], bool] = lambda: True,
    ) -> ImportResult:
        """Import every row, then cancel what is missing; record the import, if possible even after a failure.

        If it is stopped, the chunk that was begun is finished, and nothing that is missing is cancelled.

        Args:
            connection: outside a transaction.
            missing: from `missing`.
            show: shows the progress.
            is_stopped: whether to begin no other chunk.
            is_same: whether the file is still the file that was opened; if not, only half of it may have been read, and
                nothing that is missing is cancelled.

        Raises:
            OSError: The file can't be read, or the rejected lines can't be written.
            StoreUnavailableError: The database can't be written now.
        """
        one, rules, source = self.one, rules_of(self.one.config), self.one.source
        numbers_from = Counter[int]()
        with self._tally() as tally:
            import_id = transaction(connection, self._begin, one.clock.now())
            end = partial(self._end, connection, import_id, tally)
            try:
                write = chunk_writer(connection, rules=rules, source=source, clock=one.clock)
                status = import_rows(self.table, self._counting(numbers_from), write, tally, show, is_stopped)
                if status is ImportStatus.DONE and self.snapshot is not None and is_same():
                    cancelled = self.snapshot.cancel(connection, missing, rules=rules, source=source, clock=one.clock)
                    tally.done[Intake.CANCELLED] += cancelled
            except BaseException as error:
                with suppress(StoreUnavailableError):  # the row then shows that it was not finished
                    end(*_failure(error))
                raise
            end(status, None)
        return self._result(status, tally, missing, numbers_from)

    def _begin(self, connection: Connection, now: datetime) -> int:
        profile = self.one.profile.name
        if profile is not None:  # answers are written under the headers of its last file
            note_headers(connection, now, profile=profile, headers=self.columns.headers(self.table.header))
        actor, mark = self.one.actor, self._mark
        return begin_import(connection, now, file=self.one.name, profile=profile, actor=actor, mark=mark)

    def _end(
        self, connection: Connection, import_id: int, tally: Tally, status: ImportStatus, reason: str | None
    ) -> None:
        done, rejected = tally.done, tally.rejected.lines
        write = partial(end_import, import_id=import_id, status=status, done=done, rejected=rejected, reason=reason)
        transaction(connection, write, self.one.clock.now())

    def _check_newer(self, connection: Connection, profile: str) -> None:
        mark, coverage = self._mark, self.one.coverage
        if mark is None or coverage is None or coverage.even_if_older:
            return
        last, same = snapshots_before(connection, profile=profile, digest=mark.digest)
        check_newer(mark, last, same, self.one.config.calling.zone)

    @property
    def _mark(self) -> SnapshotMark | None:
        if self.snapshot is None:
            return None
        dated_at, now = self.table.made_at or self.one.dated_at, self.one.clock.now()
        # After a file from the future, no file could be imported for a while.
        return SnapshotMark(digest=self.snapshot.digest, dated_at=None if dated_at is None else min(dated_at, now))

    @contextmanager
    def _tally(self) -> Iterator[Tally]:
        like = None if str(self.one.file) == STDIN else self.one.file
        with rejected_lines(self.one.rejected, self.table, like=like, never=self.one.never) as rejected:
            yield Tally(rejected)

    def _counting(self, numbers_from: Counter[int]) -> ReadRow:
        """Return a function that reads a row, and counts the column of its number."""
        if len(self.columns.places["phone_number"]) == 1:
            return self.read

        def read_and_count(row: CsvRow) -> RowRequest | list[str]:
            asked = self.read(row)
            if isinstance(asked, ReminderRequest | AppointmentRequest):
                numbers_from[self.columns.phone_place(row.cells)] += 1
            return asked

        return read_and_count

    def _result(
        self, status: ImportStatus, tally: Tally, missing: Sequence[WaitingEntry], numbers_from: Mapping[int, int]
    ) -> ImportResult:
        nothing_cancelled = None
        if self.snapshot is not None and self.snapshot.nameless is not None:
            row = f"{self.table.unit} {self.snapshot.nameless}"
            why = f"{row} is rejected or cut off, and may be about any of it"
            nothing_cancelled = f"nothing that it lacks was cancelled, as {why}"
        return ImportResult(
            status=status,
            tally=tally,
            missing=missing,
            numbers_from=numbers_from,
            why_nothing_cancelled=nothing_cancelled,
        )


def _never_cut(table: Table) -> Table:
    """Return the table, with its last row taken as whole though no line end follows it."""
    return evolve(
        table, rows=lambda: (row if row.whole_cells is None else evolve(row, whole_cells=None) for row in table.rows())
    )


def _failure(error: BaseException) -> tuple[ImportStatus, str | None]:
    """Return the status of an import that an exception has ended, and why, without any content of its file."""
    if isinstance(error, KeyboardInterrupt):
        return ImportStatus.INTERRUPTED, None
    if isinstance(error, StoreUnavailableError):
        return ImportStatus.FAILED, str(error)
    unexpected = f"unexpected error ({type(error).__name__})"
    return ImportStatus.FAILED, error.strerror if isinstance(error, OSError) else unexpected
