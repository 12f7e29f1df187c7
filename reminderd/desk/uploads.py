"""Hold the files that staff upload: one for each session, checked and then taken in the background, soon deleted.

What is checked or taken goes on when the browser leaves. One file is worked on at a time, on a worker thread, and in
small chunks, so that webhooks and calls go on meanwhile.
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Final, TypeVar

import trio
from attrs import define, field, frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.config import Config
from reminderd.core.imports import ImportStatus, in_words
from reminderd.core.masking import without_numbers
from reminderd.core.upsert import Intake
from reminderd.databases import Target
from reminderd.desk.dry_runs import Checked, Done, check, digest_of, take
from reminderd.desk.private_folder import private_folder
from reminderd.imports.formats import Profile, ending_of
from reminderd.imports.loop import Tally
from reminderd.imports.one_file import FileImport, FileRefusal
from reminderd.imports.snapshot import Coverage
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError

T = TypeVar("T")

MOST_BYTES: Final = 20 * 1024 * 1024
"""The largest file: the appointments of a small clinic for years."""

MOST_FILES: Final = 10
"""So many are kept at a time; each belongs to one session."""

KEPT: Final = timedelta(minutes=30)
"""How long a file stays that nobody works on."""

_LOOK_SECONDS: Final = 15.0
_PRIVATE: Final = 0o600


class Stage(Enum):
    """How far an uploaded file has come."""

    ARRIVING = "arriving"
    CHECKING = "checking"
    """Its dry run waits or is under way."""
    CHECKED = "checked"
    """The dry run is shown; nothing was taken."""
    TAKING = "taking"
    """Its import waits or is under way."""
    REFUSED = "refused"
    """As a whole."""
    DONE = "done"
    """It was imported, or interrupted on the way."""
    FAILED = "failed"
    """Something was in the way that may be gone the next time."""

    @property
    def is_busy(self) -> bool:
        """Return whether it is being worked on, or will be at once."""
        return self in {Stage.ARRIVING, Stage.CHECKING, Stage.TAKING}


class TooManyFilesError(Exception):
    """No further file can be kept."""


class BusyError(Exception):
    """The session's file is being taken."""


@frozen(kw_only=True)
class FileReading:
    """How a file is to be read."""

    profile: Profile
    coverage: Coverage | None
    """Which days it has all appointments of; None: it is no snapshot."""


@define(eq=False)
class Upload:
    """A file that somebody has uploaded."""

    session: str
    user: str
    name: str
    """As people know it; it is used for no path."""
    path: Path
    reading: FileReading
    mark: str = field(factory=partial(token_hex, 8), init=False)
    """What tells it from every other: the same content may be read in another way."""
    digest: str = ""
    """What tells its content from any other, once it is here."""
    stage: Stage = Stage.ARRIVING
    share: float = 0.0
    """How much of it is worked through."""
    counts: Mapping[Intake, int] = field(factory=dict)
    rejected: int = 0
    checked: Checked | None = None
    looks: int = 0
    """How often it was checked: what is taken is what the last look has shown."""
    has_changed: bool = False
    """Whether it was to be taken, and would have done more than was shown."""
    refusal: FileRefusal | None = None
    done: Done | None = None
    error: str = ""
    is_stopped: bool = False
    """Whether staff have stopped it, or nobody waits for it anymore."""
    kept_until: datetime | None = None
    """None: as long as it is busy."""

    @property
    def rejected_path(self) -> Path:
        """Return where its rejected rows are."""
        return self.path.with_name(f"{self.path.stem}.rejected.csv")


@define(eq=False)
class Uploads:
    """The files that are here now, while `open_uploads` keeps them."""

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

    def taking(self) -> Upload | None:
        """Return the file that is being taken; any session may have brought it."""
        return next((one for one in self._by_session.values() if one.stage is Stage.TAKING), None)

    def begin(self, session: str, user: str, name: str, reading: FileReading) -> Upload:
        """Make room for a file that is about to arrive; the session's previous one is discarded.

        Raises:
            BusyError: that one is being taken.
            TooManyFilesError: others have all the places.
        """
        former = self.of(session)
        if former is not None and former.stage is Stage.TAKING:
            raise BusyError
        if former is None and len(self._by_session) >= MOST_FILES:
            raise TooManyFilesError
        self.discard(session)
        self._numbers += 1
        upload = Upload(session, user, name, self.folder / f"{self._numbers}{ending_of(name)}", reading)
        os.close(os.open(upload.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE))
        self._by_session[session] = upload
        return upload

    def check(self, upload: Upload, config: Config) -> None:
        """Check in the background what it would do, now that it is here."""
        upload.stage = Stage.CHECKING
        self._nursery.start_soon(self._check, upload, config)

    def take(self, upload: Upload, config: Config) -> None:
        """Import it in the background, if it is checked."""
        if upload.stage is Stage.CHECKED and upload.checked is not None:
            upload.stage, upload.share, upload.kept_until = Stage.TAKING, 0.0, None
            upload.counts, upload.rejected = {}, 0
            self._nursery.start_soon(self._take, upload, upload.checked, config)

    def discard(self, session: str) -> None:
        """Delete the file of a session; one that is being taken is only stopped."""
        upload = self.of(session)
        if upload is None:
            return
        upload.is_stopped = True
        if upload.stage is not Stage.TAKING:
            self.forget(upload)

    def leave(self, session: str) -> None:
        """Delete the file of a session that ends; what is being taken goes on."""
        upload = self.of(session)
        if upload is not None and upload.stage is not Stage.TAKING:
            self.discard(session)

    def forget_old(self) -> None:
        """Delete what nobody has come back for."""
        now = self.clock.now()
        for upload in list(self._by_session.values()):
            if upload.kept_until is not None and not now < upload.kept_until <= now + KEPT:  # the clock may be set
                self.forget(upload)

    def forget(self, upload: Upload) -> None:
        """Delete a file that nobody works on."""
        if self._by_session.get(upload.session) is upload:
            del self._by_session[upload.session]
        for path in (upload.path, upload.rejected_path):
            with suppress(OSError):
                path.unlink(missing_ok=True)

    async def _check(self, upload: Upload, config: Config) -> None:
        def work() -> Checked | FileRefusal:
            upload.digest = digest_of(upload.path)
            return check(
                self._import(upload, config), self.database, partial(_show, upload), partial(self._is_over, upload)
            )

        found = await self._worked(upload, work)
        if found is not None:
            _put(upload, found)
        self._rests(upload)

    async def _take(self, upload: Upload, shown: Checked, config: Config) -> None:
        def work() -> Done | Checked | FileRefusal:
            if digest_of(upload.path) != upload.digest:
                raise OSError(0, "the file is not the one anymore that was checked")
            one = self._import(upload, config)
            return take(one, self.database, shown, partial(_show, upload), partial(self._is_over, upload))

        found = await self._worked(upload, work)
        if found is not None:
            upload.has_changed = isinstance(found, Checked)
            _put(upload, found)
            _log(upload)
        self._rests(upload)

    async def _worked(self, upload: Upload, work: Callable[[], T]) -> T | None:
        """Do it on a worker thread, one after the other; None: it has failed."""
        try:
            return await trio.to_thread.run_sync(work, limiter=self._turn)
        except (StoreUnavailableError, StoreUnusableError) as error:
            upload.error = str(error)
        except OSError as error:
            upload.error = error.strerror or type(error).__name__
        except Exception:  # noqa: BLE001 - a bug in an import must not stop the calls
            logger.exception("an uploaded file: unexpected error")
            upload.error = "unexpected error; the log has more"
        upload.stage = Stage.FAILED
        return None

    def _rests(self, upload: Upload) -> None:
        """Keep it to be shown for a while, now that nobody works on it; or delete it if its session has left it."""
        upload.kept_until = self.clock.now() + KEPT
        if self._by_session.get(upload.session) is not upload:
            self.forget(upload)
        elif upload.stage in {Stage.DONE, Stage.REFUSED, Stage.FAILED}:
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


def _show(upload: Upload, share: float, tally: Tally | None) -> None:
    upload.share = share
    if tally is not None:
        upload.counts, upload.rejected = dict(tally.done), tally.rejected.lines


def _put(upload: Upload, found: Done | Checked | FileRefusal) -> None:
    """Note what has become of a file, for its page."""
    if isinstance(found, Checked):
        is_whole = found.would.status is ImportStatus.DONE
        upload.stage, upload.checked = (Stage.CHECKED if is_whole else Stage.FAILED), found
        upload.looks += 1
    elif isinstance(found, FileRefusal):
        upload.stage, upload.refusal = Stage.REFUSED, found
    else:
        upload.stage, upload.done = Stage.DONE, found


def _log(upload: Upload) -> None:
    """Log what the page has imported; nothing in it is about a patient."""
    name = without_numbers(upload.name)
    if upload.done is not None:
        is_whole = upload.done.status is ImportStatus.DONE
        counts = in_words(upload.done.counts, upload.done.rejected)
        what = f"imported {name}" if is_whole else f"import of {name} interrupted"
        logger.info(f"{what} for {upload.user}: {counts}")
    elif upload.refusal is not None:
        logger.warning(f"{name} of {upload.user} was not imported: {without_numbers(upload.refusal.reason)}")


@asynccontextmanager
async def open_uploads(database: Target, folder: Path, clock: Clock) -> AsyncIterator[Uploads]:
    """Keep uploaded files until the end; then stop what is being taken between two chunks, and delete all of them.

    An exception in the body is raised as it is, not in a group.

    Raises:
        OSError: no private folder can be made in this one.
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
            nursery.cancel_scope.cancel()  # threads are waited for
        if failure is not None:
            raise failure


async def _keep_forgetting(uploads: Uploads) -> None:
    while True:
        await trio.sleep(_LOOK_SECONDS)
        uploads.forget_old()
