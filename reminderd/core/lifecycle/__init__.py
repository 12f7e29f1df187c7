"""Every transition of a reminder: sync functions of (reminder, calls, event, rules, now) that return the new values.

No I/O, no clock, and no randomness but what is passed in. `docs/states.md` has the diagram.
"""

from reminderd.core.lifecycle.answer import answered, not_sent
from reminderd.core.lifecycle.company import Leading, Waiting, rides, riding, together
from reminderd.core.lifecycle.joining import parted
from reminderd.core.lifecycle.keys import NOT_NEEDED, Key, Turn, picked_up, pressed, still_said
from reminderd.core.lifecycle.lastlook import kept_back
from reminderd.core.lifecycle.lookup import chosen, looked_up
from reminderd.core.lifecycle.matching import call_spoken_of
from reminderd.core.lifecycle.reached import reached
from reminderd.core.lifecycle.report import reported
from reminderd.core.lifecycle.restored import MAYBE_RUNG, known, may_have_been_rung, restored
from reminderd.core.lifecycle.staff import NotAllowedError, called_again, cancelled
from reminderd.core.lifecycle.step import Claimed, Errand, Level, Note, Step, Surroundings
from reminderd.core.lifecycle.summary import summary
from reminderd.core.lifecycle.wake import HELD_BY_THE_CLINIC, put_aside, wake

__all__ = [
    "HELD_BY_THE_CLINIC",
    "MAYBE_RUNG",
    "NOT_NEEDED",
    "Claimed",
    "Errand",
    "Key",
    "Leading",
    "Level",
    "NotAllowedError",
    "Note",
    "Step",
    "Surroundings",
    "Turn",
    "Waiting",
    "answered",
    "call_spoken_of",
    "called_again",
    "cancelled",
    "chosen",
    "kept_back",
    "known",
    "looked_up",
    "may_have_been_rung",
    "not_sent",
    "parted",
    "picked_up",
    "pressed",
    "put_aside",
    "reached",
    "reported",
    "restored",
    "rides",
    "riding",
    "still_said",
    "summary",
    "together",
    "wake",
]
