"""Say what became of the import of a file: how far it came, and how many rows did what."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

from attrs import field, frozen

from reminderd.core.upsert import Intake

_ALWAYS: Final = (Intake.ADDED, Intake.CHANGED, Intake.UNCHANGED)
_IF_ANY: Final = (Intake.HELD, Intake.CANCELLED, Intake.NOT_NEEDED)


class ImportStatus(StrEnum):
    """How far the import of a file has come."""

    RUNNING = "running"
    """Also if the process was killed meanwhile."""
    DONE = "done"
    """Every row was imported or rejected."""
    REFUSED = "refused"
    """The file as a whole, before anything of it was written."""
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@frozen(kw_only=True)
class ImportRecord:
    """The import of one file."""

    id: int
    at: datetime
    finished_at: datetime | None
    file: str
    """Its name, without long numbers."""
    profile: str | None
    actor: str
    status: ImportStatus
    done: Mapping[Intake, int] = field(factory=dict)
    rejected: int = 0
    reason: str | None = None
    """Why it was refused, or has failed."""


def in_words(done: Mapping[Intake, int], rejected: int) -> str:
    """Return how many rows did what."""
    counts = ", ".join(f"{done.get(intake, 0):,} {intake}" for intake in _ALWAYS)
    others = "".join(f", {done[intake]:,} {intake}" for intake in _IF_ANY if done.get(intake))
    return f"{counts}, {rejected:,} rejected{others}"


def summary(record: ImportRecord) -> str:
    """Return the file with what became of it, for one line."""
    by = "" if record.profile is None else f" (profile {record.profile})"
    if record.status is ImportStatus.REFUSED:
        return f"{record.file}{by}: refused: {record.reason}"
    counts = in_words(record.done, record.rejected)
    if record.status is ImportStatus.DONE:
        return f"{record.file}{by}: {counts}"
    how = "not finished" if record.status is ImportStatus.RUNNING else record.status.value
    why = "" if record.reason is None else f": {record.reason}"
    return f"{record.file}{by}: {how}{why}; until then {counts}"
