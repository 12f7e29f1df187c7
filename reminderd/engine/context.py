"""What all parts of the engine work with, and what this process has seen of alive calls."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import trio
from attrs import define, field, frozen

from reminderd.clock import Clock
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.core.rules import Rules
from reminderd.engine.breaker import Breaker
from reminderd.metrics import Instruments
from reminderd.providers.base import Provider
from reminderd.store.database import Database

_REMEMBERED: Final = 100_000
"""How many calls are remembered with the time when they were first seen: keys are valid for about a day."""


@define
class Sightings:
    """When this process first saw each alive call, and its last sign of life, on the monotonic clock."""

    seen_at: float = field(default=-math.inf, init=False)
    """When it last looked at them."""
    _signs: dict[str, tuple[datetime, float]] = field(factory=dict, init=False)
    _first: dict[str, float] = field(factory=dict, init=False)
    _quiet: tuple[datetime, float] | None = field(default=None, init=False)
    """The last restore, and until when nobody is called after it, as computed when this process first saw it."""

    def see(self, alive: Iterable[tuple[str, datetime]], monotonic: float) -> None:
        """Record all calls that are alive now, each with its last sign of life."""
        signs = {}
        for call_id, sign in alive:
            seen = self._signs.get(call_id)
            signs[call_id] = seen if seen is not None and seen[0] == sign else (sign, monotonic)
            self._first.setdefault(call_id, monotonic)
        self._signs, self.seen_at = signs, monotonic
        while len(self._first) > _REMEMBERED:
            del self._first[next(iter(self._first))]

    def witness(self, monotonic: float) -> Witness:
        """Return what is known about them now."""
        return Witness(monotonic=monotonic, signs=self._signs, first=self._first)

    def quiet_until(self, restored_at: datetime, rules: Rules, now: datetime, monotonic: float) -> float:
        """Return until when on the monotonic clock nobody is called after a restore.

        The quiet time is over only when both clocks agree: somebody may set the wall clock while a forgotten call goes
        on.
        """
        ends_at = monotonic + (restored_at + rules.outcome_timeout - now).total_seconds()
        if self._quiet is None or self._quiet[0] != restored_at:
            self._quiet = (restored_at, ends_at)
        return max(ends_at, self._quiet[1])


@frozen(kw_only=True)
class Context:
    """What every claim, request and look-up needs. A new configuration needs a new context."""

    database: Database
    provider: Provider
    breaker: Breaker
    clock: Clock
    rules: Rules
    timeout: timedelta
    """The longest that a request can take."""
    stopping: trio.Event
    instruments: Instruments
