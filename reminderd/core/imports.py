"""Decide about a file as a whole: the result of its import, and what is missing from a snapshot."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from attrs import field, frozen

from reminderd.core.sentences import Sentence, TextValue, text_of
from reminderd.core.upsert import Intake

FOLDER: Final = "folder"
"""The actor of an import from the folder."""

_ALWAYS: Final = (Intake.ADDED, Intake.CHANGED, Intake.UNCHANGED)
_IF_ANY: Final = (Intake.HELD, Intake.CANCELLED, Intake.NOT_NEEDED)


class ImportStatus(StrEnum):
    """The status of the import of a file."""

    RUNNING = "running"
    """The import is running, or its process was killed."""
    DONE = "done"
    """Every row was imported or rejected."""
    REFUSED = "refused"
    """The whole file was refused, before any row was written."""
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@frozen(kw_only=True)
class ImportRecord:
    """The import of one file."""

    id: int
    at: datetime
    finished_at: datetime | None
    file: str
    """Its name, without long numbers; empty once it is purged."""
    profile: str | None
    actor: str
    status: ImportStatus
    done: Mapping[Intake, int] = field(factory=dict)
    rejected: int = 0
    reason: str | None = None
    """Why it was refused, or has failed; None if neither."""


def counts_in_words(done: Mapping[Intake, int], rejected: int) -> str:
    """Return the number of rows with each result, as text."""
    return text_of(_counts(done, rejected), _show)


def _counts(done: Mapping[Intake, int], rejected: int) -> Sentence:
    counts = [(intake.value, done.get(intake, 0)) for intake in _ALWAYS]
    counts += [("rejected", rejected), *((intake.value, done[intake]) for intake in _IF_ANY if done.get(intake))]
    each = [Sentence("%(number)s %(what)s", {"number": number, "what": Sentence(what)}) for what, number in counts]
    return Sentence("%(counts)s", {"counts": each}, between=", ")


def result_of(record: ImportRecord) -> Sentence:
    """Return the result of importing a file, for one line."""
    counts = _counts(record.done, record.rejected)
    values: dict[str, TextValue] = {"reason": record.reason or "", "counts": counts}
    match record.status, record.reason:
        case ImportStatus.DONE, _:
            return counts
        case ImportStatus.REFUSED, _:
            return Sentence("refused: %(reason)s", values)
        case ImportStatus.RUNNING, _:
            return Sentence("not finished; until then %(counts)s", values)
        case ImportStatus.INTERRUPTED, _:
            return Sentence("interrupted; until then %(counts)s", values)
        case ImportStatus.FAILED, None:
            return Sentence("failed; until then %(counts)s", values)
        case _:
            return Sentence("failed: %(reason)s; until then %(counts)s", values)


def file_with_result(record: ImportRecord) -> Sentence:
    """Return the name of a file with the result of its import, for one line."""
    file = record.file or Sentence("a file whose name was deleted")
    values: dict[str, TextValue] = {"file": file, "profile": record.profile or "", "result": result_of(record)}
    if record.profile is None:
        return Sentence("%(file)s: %(result)s", values)
    return Sentence("%(file)s (profile %(profile)s): %(result)s", values)


def file_with_result_text(record: ImportRecord) -> str:
    """Return `file_with_result` as text."""
    return text_of(file_with_result(record), _show)


def _show(part: datetime | int) -> str:
    return f"{part:,}" if isinstance(part, int) else f"{part:%Y-%m-%d %H:%M}"


MOST_CANCELLED: Final = 0.2
"""The share of the stored entries that a snapshot may leave out, by default."""

FEW: Final = 5
"""A file may always leave out this many entries, but at most half of them: of few, one is a large share."""


class FileRefusedError(Exception):
    """A file is refused as a whole; the message says why and what is expected."""


@frozen(kw_only=True)
class WaitingEntry:
    """A future appointment, or a waiting reminder, in the span of a snapshot."""

    id: str
    name: str
    """Its `ref`, or the id that a row of the file with the same content has."""
    at: datetime


def missing_from(stored: Sequence[WaitingEntry], names: Collection[str], most: float) -> list[WaitingEntry]:
    """Return the stored entries that are missing from a snapshot.

    Args:
        stored: all entries in its span that came from files of its kind.
        names: the names in the snapshot, also those in rejected rows.
        most: the share of the stored entries that it may leave out.

    Raises:
        FileRefusedError: The snapshot leaves out too many entries, or is empty.
    """
    missing = [one for one in stored if one.name not in names]
    if missing and not names:
        raise FileRefusedError("it has no row at all; expected a whole file, as it is a snapshot")
    few = 1 if len(stored) == 1 else min(FEW, len(stored) // 2)
    if len(missing) > max(few, most * len(stored)):
        share = f"{len(missing)} of {len(stored)} in its span would be cancelled, more than {most:.0%}"
        raise FileRefusedError(f"{share}; expected a whole file, as it is a snapshot, or --max-cancelled")
    return missing


@frozen(kw_only=True)
class SnapshotMark:
    """What distinguishes a snapshot from others of its profile."""

    digest: str
    """The digest of its rows."""
    dated_at: datetime | None
    """When its file was written; None if not known."""


@frozen(kw_only=True)
class ImportedSnapshot:
    """A snapshot that was imported."""

    at: datetime
    mark: SnapshotMark


_NEWER: Final = "expected a newer file, as it is a snapshot, or --even-if-older"


def check_newer(
    mark: SnapshotMark, last: ImportedSnapshot | None, same: ImportedSnapshot | None, zone: ZoneInfo
) -> None:
    """Check that a snapshot is not an old one: an old one would undo later changes.

    Args:
        mark: the mark of the snapshot.
        last: the last imported snapshot of its profile; None if this is the first.
        same: the last imported snapshot of its profile with the same rows; None if there is none.
        zone: the clinic's time zone.

    Raises:
        FileRefusedError: The snapshot seems to be older than the last one.
    """
    if last is None or last.mark.digest == mark.digest:
        return
    if same is not None:
        what = f"it has the same rows as the file that was imported on {_minute(same.at, zone)}"
        raise FileRefusedError(f"{what}, and another one was imported since; {_NEWER}")
    dated_at, before = mark.dated_at, last.mark.dated_at
    if dated_at is not None and before is not None and dated_at < before:
        what = f"it was written on {_minute(dated_at, zone)}, and the last one that was imported on"
        raise FileRefusedError(f"{what} {_minute(before, zone)}; {_NEWER}")


def _minute(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"


_MATTERS: Final = (Intake.ADDED, Intake.CHANGED, Intake.HELD, Intake.CANCELLED)


@frozen(kw_only=True)
class Forecast:
    """What an import would do, by the database at the time of the preview."""

    done: Mapping[Intake, int]
    rejected: int
    missing: frozenset[str] = frozenset()
    """The ids of the entries that are missing from a snapshot, which it would cancel."""

    def is_exceeded_by(self, later: "Forecast") -> bool:
        """Return whether the import would now do more than was shown: more rows of any kind, or other cancellations."""
        more = any(later.done.get(intake, 0) > self.done.get(intake, 0) for intake in _MATTERS)
        return more or later.rejected > self.rejected or not later.missing <= self.missing
