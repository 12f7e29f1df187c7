"""Decide what a file that is a snapshot no longer holds: what it should hold, and does not, was cancelled."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from attrs import frozen

MOST_CANCELLED: Final = 0.2
"""The share of what is stored that a snapshot may leave out, if nothing else is said."""

FEW: Final = 5
"""So many may always be left out: of a few appointments, one is soon more than any share."""


class SnapshotRefusedError(Exception):
    """A snapshot leaves out so many that it is hardly whole; the message says how many, and what is expected."""


@frozen(kw_only=True)
class Waiting:
    """An appointment to come, or a reminder that waits, in the span of a snapshot."""

    id: str
    name: str
    """Its `ref`, or the id that a row of the file with the same content has."""
    at: datetime


def missing_from(stored: Sequence[Waiting], names: Collection[str], most: float) -> list[Waiting]:
    """Return what is stored and a snapshot no longer holds.

    Args:
        stored: all in its span that came from files of its kind.
        names: what it holds, also in rows that are rejected.
        most: the share of them that it may leave out.

    Raises:
        SnapshotRefusedError: It leaves out too many, or it is empty.
    """
    missing = [one for one in stored if one.name not in names]
    if missing and not names:
        raise SnapshotRefusedError("it has no row at all; expected a whole file, as it is a snapshot")
    if len(missing) > max(FEW, most * len(stored)):
        share = f"{len(missing)} of {len(stored)} in its span would be cancelled, more than {most:.0%}"
        raise SnapshotRefusedError(f"{share}; expected a whole file, as it is a snapshot, or --max-cancelled")
    return missing


@frozen
class Held:
    """What a snapshot holds."""

    names: frozenset[str]
    """See `missing_from`."""
    nameless: int | None = None
    """The first row that is rejected and has no `ref` that can be read: any appointment may be meant. None: none."""
