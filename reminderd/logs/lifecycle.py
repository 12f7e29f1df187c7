"""Log each change of a reminder or a call, and of a pause."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from loguru import logger

from reminderd.core.lifecycle.transition import Transition

FEW: Final = 3
"""Up to this many expired reminders need no line with their number."""


def log_transition(transition: Transition | None) -> None:
    """Log what a transition changed, with reminder and call bound; None: its row was deleted."""
    if transition is None:
        logger.warning("the call no longer exists: another program has deleted it")
        return
    for line in transition.lines:
        ids = {"reminder": line.reminder_id, "call": line.call_id}
        logger.bind(**{name: one for name, one in ids.items() if one is not None}).log(line.level, line.text)


def log_expired(transitions: Iterable[Transition]) -> None:
    """Log how many reminders have expired, where there are too many lines of their own to count."""
    expired = sum(line.expired for transition in transitions for line in transition.lines)
    if expired > FEW:
        logger.error(f"expired {expired} reminders that could not be called in time: see list --status expired")


def log_pause(*, before: bool, now: bool) -> None:
    """Log that all dialing is paused, by staff or a restore, or resumed; nothing if nothing has changed."""
    if now and not before:
        logger.warning("all dialing is paused, reminderd status shows by whom and why; reminderd resume ends it")
    elif before and not now:
        logger.info("dialing is resumed")


def log_quiet(until: datetime | None) -> None:
    """Log until when nobody is called after a restore, even if staff resume dialing; None: it has ended."""
    if until is None:
        logger.info("the quiet time after the restore is over: reminders are called again")
    else:
        logger.warning(f"a backup was restored: nobody is called before {until:%Y-%m-%d %H:%M} UTC")
