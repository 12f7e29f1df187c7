"""Hold the files that staff upload: one for each session, checked and then imported in the background, soon deleted.

A check or an import continues when the browser leaves. One file is worked on at a time, on a worker thread with its own
database connection, and in small chunks, so that webhooks and calls continue meanwhile.
"""

import csv
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Final, TypeAlias

import trio
from attrs import define, field, frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.config import Config
from reminderd.core.imports import FileRefusedError, Forecast, ImportStatus, WaitingEntry, counts_in_words
from reminderd.core.masking import mask_numbers
from reminderd.core.tables.columns import ColumnsError
from reminderd.core.tables.row_reader import RowRequest
from reminderd.core.upsert import Intake
from reminderd.databases import Target
from reminderd.desk.private_folder import private_folder
from reminderd.imports.formats import Profile, ending_of
from reminderd.imports.loop import Tally
from reminderd.imports.one_file import FileImport, FileRefusal, ImportResult, OpenImport, refusal_of
from reminderd.imports.snapshot import Coverage
from reminderd.store.any_engine import open_read_only, open_sync
from reminderd.store.connection import Connection
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError

MOST_BYTES: Final = 20 * 1024 * 1024
"""The size of the largest file: the appointments of a small clinic for years."""

MOST_FILES: Final = 10
"""The most files that are kept at a time; each belongs to one session."""

KEPT: Final = timedelta(minutes=30)
"""How long a file is kept that nobody works on."""

MOST_SHOWN: Final = 20
"""The most rejected rows, and cancelled appointments, that are shown; the file of rejected lines has all."""

_FIRST: Final = 5
"""How many first rows are shown as they are read."""

_LOOK_SECONDS: Final = 15.0
_PRIVATE: Final = 0o600

Show: TypeAlias = Callable[[float, Tally | None], None]
"""Takes the share of the file that is done, and the counts so far; None if nothing is imported yet."""


@frozen(kw_only=True)
class ImportSummary:
    """The result of an import of a file, or of its dry run."""

    status: ImportStatus
    unit: str
    """The word for a row."""
    counts: Mapping[Intake, int] = field(factory=dict)
    rejected: int = 0
    first_rejected: Sequence[tuple[str, str]] = ()
    """The line and the reason of each row."""
    warnings: Sequence[str] = ()
    more_warnings: int = 0
    why_nothing_cancelled: str | None = None


@frozen(kw_only=True)
class Checked:
    """What an import of a file would do."""

    found: Sequence[str]
    """How the file is understood."""
    columns: Sequence[tuple[str, str]]
    """Each field with the headers from which it is read."""
    ignored: Sequence[str]
    numbers_from: Sequence[tuple[str, int]]
    """How many rows have their number from each column, if several columns have numbers."""
    first_rows: Sequence[tuple[int, RowRequest | Sequence[str]]]
    would: ImportSummary
    missing: Sequence[WaitingEntry]
    """The appointments or reminders that the file lacks, and that the import would cancel."""

    @property
    def forecast(self) -> Forecast:
        """Return the forecast that the import must not exceed."""
        missing = frozenset(one.id for one in self.missing)
        return Forecast(done=self.would.counts, rejected=self.would.rejected, missing=missing)


def check_upload(
    one: FileImport, database: Target, show: Show, is_stopped: Callable[[], bool]
) -> Checked | FileRefusal:
    """Return what an import would do, or why the file is refused as a whole; write nothing into the database.

    Raises:
        OSError: The file of rejected lines can't be written.
        StoreUnavailableError: The database can't be read now.
    """
    try:
        with one.opened() as opened, open_read_only(database) as connection:
            return _checked(opened, connection, show, is_stopped)
    except (FileRefusedError, ColumnsError) as error:
        return refusal_of(error)


def import_as_shown(
    one: FileImport, database: Target, shown: Checked, show: Show, is_stopped: Callable[[], bool]
) -> ImportSummary | Checked | FileRefusal:
    """Import a file that was checked; if it would now do more than was shown, write nothing, and return the new check.

    Raises:
        OSError: The file of rejected lines can't be written.
        StoreUnavailableError: The database can't be written now.
    """
    with open_sync(database) as connection:
        try:
            with one.opened() as opened:
                now = _checked(opened, connection, lambda share, _tally: show(share / 2, None), is_stopped)
                if now.would.status is ImportStatus.INTERRUPTED:
                    return ImportSummary(
                        status=ImportStatus.INTERRUPTED, unit=now.would.unit
                    )  # before the import has begun
                if shown.forecast.is_exceeded_by(now.forecast):
                    return now
                result = opened.write(
                    connection,
                    now.missing,
                    lambda tally, _is_end: show(0.5 + _share(opened) / 2, tally),
                    is_stopped,
                )
                return _done(opened, result)
        except (FileRefusedError, ColumnsError) as error:
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
        # For a format with our own names, this would show nothing new.
        columns=[(name, ", ".join(headers)) for name, headers in read_from if headers != [name]],
        ignored=[name.strip() for name in columns.ignored if name.strip()],
        numbers_from=[(table.header[place].strip(), rows) for place, rows in sorted(result.numbers_from.items())],
        first_rows=first,
        would=_done(opened, result),
        missing=missing,
    )


def _share(opened: OpenImport) -> float:
    return min(1.0, opened.table.position() / max(1, opened.table.size))


def _done(opened: OpenImport, result: ImportResult) -> ImportSummary:
    tally = result.tally
    return ImportSummary(
        status=result.status,
        unit=opened.table.unit,
        counts=dict(tally.done),
        rejected=tally.rejected.lines,
        first_rejected=_first_rejected(opened) if tally.rejected.lines else (),
        warnings=tally.warnings,
        more_warnings=tally.more_warnings,
        why_nothing_cancelled=result.why_nothing_cancelled,
    )


def _first_rejected(opened: OpenImport) -> Sequence[tuple[str, str]]:
    with opened.one.rejected.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=opened.table.delimiter)
        return [(row[0], row[1]) for row in islice(rows, 1, MOST_SHOWN + 1)]


class Stage(Enum):
    """The stage of an uploaded file."""

    ARRIVING = "arriving"
    CHECKING = "checking"
    """Its dry run waits or is under way."""
    CHECKED = "checked"
    """The dry run is shown; nothing was imported."""
    IMPORTING = "importing"
    """Its import waits or is under way."""
    REFUSED = "refused"
    """It was refused as a whole."""
    DONE = "done"
    """It was imported, or its import was interrupted."""
    FAILED = "failed"
    """An error prevented it that may not occur the next time."""

    @property
    def is_busy(self) -> bool:
        """Return whether it is being worked on, or will be at once."""
        return self in {Stage.ARRIVING, Stage.CHECKING, Stage.IMPORTING}

    @property
    def is_over(self) -> bool:
        """Return whether nothing follows, so that the file itself is deleted."""
        return self in {Stage.REFUSED, Stage.DONE, Stage.FAILED}


class TooManyFilesError(Exception):
    """No further file can be kept."""


class BusyError(Exception):
    """The session's file is being imported."""


@frozen(kw_only=True)
class FileReading:
    """How a file is to be read."""

    profile: Profile
    coverage: Coverage | None
    """The days of which it has all appointments; None if it is no snapshot."""


@define(eq=False)
class Upload:
    """A file that somebody has uploaded."""

    session: str
    user: str
    name: str
    """The name that people know; it is used for no path."""
    path: Path
    reading: FileReading
    digest: str = ""
    """The digest of its content, once it has arrived."""
    stage: Stage = Stage.ARRIVING
    share: float = 0.0
    """The share of it that is done."""
    counts: Mapping[Intake, int] = field(factory=dict)
    rejected: int = 0
    checked: Checked | None = None
    has_changed: bool = False
    """Whether its import was refused, as it would have done more than was shown."""
    refusal: FileRefusal | None = None
    done: ImportSummary | None = None
    error: str = ""
    is_stopped: bool = False
    """Whether staff have stopped it, or no longer wait for it."""
    kept_until: datetime | None = None
    """None while it is busy."""
    _mark: str = field(factory=partial(token_hex, 8), init=False)
    _looks: int = field(default=0, init=False)
    """How often it was checked: only what the last check has shown is imported."""

    @property
    def rejected_path(self) -> Path:
        """Return the path of its rejected rows."""
        return self.path.with_name(f"{self.path.stem}.rejected.csv")

    @property
    def look(self) -> str:
        """Return a mark of one dry run of one file, read in one way."""
        return f"{self._mark}-{self._looks}"

    def show(self, share: float, tally: Tally | None) -> None:
        """Note how far it is, for its page."""
        self.share = share
        if tally is not None:
            self.counts, self.rejected = dict(tally.done), tally.rejected.lines

    def ends(self, found: ImportSummary | Checked | FileRefusal) -> None:
        """Note its result, for its page."""
        self.has_changed = self.stage is Stage.IMPORTING and isinstance(found, Checked)
        if isinstance(found, Checked):
            is_whole = found.would.status is ImportStatus.DONE
            self.stage, self.checked = (Stage.CHECKED if is_whole else Stage.FAILED), found
            self._looks += 1
        elif isinstance(found, FileRefusal):
            self.stage, self.refusal = Stage.REFUSED, found
        else:
            self.stage, self.done = Stage.DONE, found


@define(eq=False)
class Uploads:
    """The files that are kept now, while `open_uploads` runs."""

    folder: Path
    database: Target
    clock: Clock
    _nursery: trio.Nursery = field(repr=False)
    is_stopping: bool = False
    _by_session: dict[str, Upload] = field(factory=dict, init=False)
    _turn: trio.CapacityLimiter = field(factory=partial(trio.CapacityLimiter, 1), init=False)
    _numbers: int = field(default=0, init=False)

    def of(self, session: str) -> Upload | None:
        """Return the file of a session."""
        return self._by_session.get(session)

    def importing(self) -> Upload | None:
        """Return the file that is being imported; any session may have uploaded it."""
        return next((one for one in self._by_session.values() if one.stage is Stage.IMPORTING), None)

    def begin(self, session: str, user: str, name: str, reading: FileReading) -> Upload:
        """Make room for a file that is about to arrive; the session's previous file is discarded.

        Raises:
            BusyError: the previous file is being imported.
            TooManyFilesError: other sessions have too many files.
        """
        former = self.of(session)
        if former is not None and former.stage is Stage.IMPORTING:
            raise BusyError
        if former is None and len(self._by_session) >= MOST_FILES:
            raise TooManyFilesError
        self.discard(session)
        self._numbers += 1
        upload = Upload(session, user, name, self.folder / f"{self._numbers}{ending_of(name)}", reading)
        os.close(os.open(upload.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE))
        self._by_session[session] = upload
        return upload

    def start_check(self, upload: Upload, config: Config) -> None:
        """Check in the background what importing a file would do, now that it has arrived."""

        def work() -> Checked | FileRefusal:
            upload.digest = _digest_of(upload.path)
            one = self._import(upload, config)
            return check_upload(one, self.database, upload.show, partial(self._is_over, upload))

        upload.stage = Stage.CHECKING
        self._nursery.start_soon(self._work, upload, work)

    def start_import(self, upload: Upload, config: Config) -> None:
        """Import a file in the background, if it is checked."""
        shown = upload.checked
        if upload.stage is not Stage.CHECKED or shown is None:
            return

        def work() -> ImportSummary | Checked | FileRefusal:
            if _digest_of(upload.path) != upload.digest:
                raise OSError(0, "the file is not the one anymore that was checked")
            one = self._import(upload, config)
            return import_as_shown(one, self.database, shown, upload.show, partial(self._is_over, upload))

        upload.stage, upload.share, upload.kept_until = Stage.IMPORTING, 0.0, None
        upload.counts, upload.rejected = {}, 0
        self._nursery.start_soon(self._work, upload, work)

    def discard(self, session: str) -> None:
        """Delete the file of a session; if it is being imported, only stop that."""
        upload = self.of(session)
        if upload is not None:
            upload.is_stopped = True
            self.leave(session)

    def leave(self, session: str) -> None:
        """Delete the file of a session that ends; an import continues."""
        upload = self.of(session)
        if upload is not None and upload.stage is not Stage.IMPORTING:
            upload.is_stopped = True
            self.forget(upload)

    def forget_old(self) -> None:
        """Delete files for which nobody has come back."""
        now = self.clock.now()
        for upload in list(self._by_session.values()):
            if upload.kept_until is not None and not now < upload.kept_until <= now + KEPT:  # the clock may be set back
                self.forget(upload)

    def forget(self, upload: Upload) -> None:
        """Delete a file that nobody works on."""
        if self._by_session.get(upload.session) is upload:
            del self._by_session[upload.session]
        for path in (upload.path, upload.rejected_path):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    async def _work(self, upload: Upload, work: Callable[[], ImportSummary | Checked | FileRefusal]) -> None:
        """Work on a file on a worker thread, one file at a time; then keep its result for a while."""
        is_import = upload.stage is Stage.IMPORTING
        try:
            upload.ends(await trio.to_thread.run_sync(work, limiter=self._turn))
            if is_import:
                _log(upload)
        except (StoreUnavailableError, StoreUnusableError) as error:
            upload.stage, upload.error = Stage.FAILED, str(error)
        except OSError as error:
            upload.stage, upload.error = Stage.FAILED, error.strerror or type(error).__name__
        except Exception:  # noqa: BLE001 - a bug in an import must not stop the calls
            logger.exception("an uploaded file: unexpected error")
            upload.stage, upload.error = Stage.FAILED, "unexpected error; the log has more"
        upload.kept_until = self.clock.now() + KEPT
        if self._by_session.get(upload.session) is not upload:  # its session has left
            self.forget(upload)
        elif upload.stage.is_over:
            upload.path.unlink(missing_ok=True)  # its rejected rows stay for a while

    def _is_over(self, upload: Upload) -> bool:
        return self.is_stopping or upload.is_stopped

    def _import(self, upload: Upload, config: Config) -> FileImport:
        return FileImport(
            file=upload.path,
            name=upload.name,
            profile=upload.reading.profile,
            coverage=upload.reading.coverage,
            rejected=upload.rejected_path,
            actor=upload.user,
            config=config,
            clock=self.clock,
        )


def _digest_of(file: Path) -> str:
    with file.open("rb") as opened:
        return file_digest(opened, "sha256").hexdigest()


def _log(upload: Upload) -> None:
    """Log what the page has imported; nothing in it is about a patient."""
    name = mask_numbers(upload.name)
    if upload.done is not None:
        is_whole = upload.done.status is ImportStatus.DONE
        counts = counts_in_words(upload.done.counts, upload.done.rejected)
        what = f"imported {name}" if is_whole else f"import of {name} interrupted"
        logger.info(f"{what} for {upload.user}: {counts}")
    elif upload.refusal is not None:
        logger.warning(f"{name} of {upload.user} was not imported: {mask_numbers(upload.refusal.reason)}")


@asynccontextmanager
async def open_uploads(database: Target, folder: Path, clock: Clock) -> AsyncIterator[Uploads]:
    """Keep uploaded files until the end; then stop an import between two chunks, and delete all files.

    An exception in the body is raised as it is, not in a group.

    Raises:
        OSError: no private folder can be made in this folder.
    """
    failure: BaseException | None = None
    with private_folder(folder) as own:
        async with trio.open_nursery() as nursery:
            uploads = Uploads(own, database, clock, nursery)
            nursery.start_soon(_keep_forgetting, uploads)
            try:
                yield uploads
            except BaseException as error:  # noqa: BLE001 - raised again outside the nursery, which would make it a group
                failure = error
            uploads.is_stopping = True
            nursery.cancel_scope.cancel()  # this waits for the threads
        if failure is not None:
            raise failure


async def _keep_forgetting(uploads: Uploads) -> None:
    while True:
        await trio.sleep(_LOOK_SECONDS)
        uploads.forget_old()
