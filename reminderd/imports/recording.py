"""Have a row of `imports` say that an import runs, and at its end what became of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial

from attrs import define

from reminderd.clock import Clock
from reminderd.core.imports import ImportStatus
from reminderd.imports.loop import Tally
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.import_records import begin_import, end_import, note_headers
from reminderd.store.sqlite.driver import Connection, transaction


@define
class Ending:
    """How an import ends, if nothing fails."""

    status: ImportStatus = ImportStatus.DONE
    reason: str | None = None


def refused(connection: Connection, now: datetime, *, file: str, profile: str | None, actor: str, reason: str) -> None:
    """Record that a file was refused as a whole; the reason contains nothing about a patient."""

    def write(connection: Connection, now: datetime) -> None:
        import_id = begin_import(connection, now, file=file, profile=profile, actor=actor)
        status = ImportStatus.REFUSED
        end_import(connection, now, import_id=import_id, status=status, done={}, rejected=0, reason=reason)

    transaction(connection, write, now)


@contextmanager
def recorded(
    connection: Connection,
    tally: Tally,
    *,
    file: str,
    profile: str | None,
    actor: str,
    headers: Mapping[str, str],
    clock: Clock,
) -> Iterator[Ending]:
    """Record an import from its beginning to its end; what fails is recorded, too, as far as that is possible.

    The headers are those of the file, by our fields: the answers come back under those of the last file of a profile.
    """

    def begin(connection: Connection, now: datetime) -> int:
        if profile is not None:
            note_headers(connection, now, profile=profile, headers=headers)
        return begin_import(connection, now, file=file, profile=profile, actor=actor)

    import_id = transaction(connection, begin, clock.now())

    def end(status: ImportStatus, reason: str | None) -> None:
        done, rejected = tally.done, tally.rejected.lines
        write = partial(end_import, import_id=import_id, status=status, done=done, rejected=rejected, reason=reason)
        transaction(connection, write, clock.now())

    ending = Ending()
    try:
        yield ending
    except BaseException as error:
        status = ImportStatus.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ImportStatus.FAILED
        with suppress(StoreUnavailableError):  # the row then shows that it was not finished
            end(status, _why(error))
        raise
    end(ending.status, ending.reason)


def _why(error: BaseException) -> str | None:
    """Return why an import has failed, without anything that is in its file."""
    if isinstance(error, KeyboardInterrupt):
        return None
    if isinstance(error, StoreUnavailableError):
        return str(error)
    return error.strerror if isinstance(error, OSError) else f"unexpected error ({type(error).__name__})"
