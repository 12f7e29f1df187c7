"""What many steps come to in one line, where their own lines bury it."""

from collections.abc import Iterable
from typing import Final

from reminderd.core.lifecycle.step import Level, Note, Step

FEW: Final = 3
"""So many lines are taken in at a glance."""


def summary(steps: Iterable[Step]) -> Note | None:
    """How many reminders have expired in these steps; None if it is few, each with its own line."""
    expired = sum(step.expired for step in steps)
    if expired <= FEW:
        return None
    return Note(f"expired {expired} reminders that could not be rung in time: see list --status expired", Level.ERROR)
